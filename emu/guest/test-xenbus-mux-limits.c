/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the multiplexer bears: of clients that ask too much or read too little, and of a store that tells lies. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "toy-clients.h"

static void test_turns(struct toy_clients *f, gconstpointer data) {
        f->store->hold = true;
        for (unsigned i = 0; i < 4; i++) {
                while (ask_bytes(f->a, XS_READ, 100 + i, 0, "a", 2))
                        ;
                while (ask_bytes(f->b, XS_READ, 200 + i, 0, "b", 2))
                        ;
                run(f);
        }
        for (unsigned i = 0; i < f->store->n_held; i++)
                g_assert_cmpint(f->store->held[i]->body[0], ==, i % 2 ? 'b' : 'a');
        g_assert_cmpuint(f->store->n_held, ==, 8);
}

static void test_requests_of_one_client_are_limited(struct toy_clients *f, gconstpointer data) {
        unsigned n = 0;

        f->store->hold = true;
        while (ask_bytes(f->a, XS_READ, n, 0, "a", 2)) {
                n++;
                run(f);
        }
        g_assert_cmpuint(n, ==, XENBUS_CLIENT_REQUESTS_MAX + 1); /* and one that waits where it was put together */
        g_assert_cmpuint(f->store->n_held, ==, XENBUS_CLIENT_REQUESTS_MAX);
        ask(f->b, XS_READ, 1, 0, "b");
        run(f);
        g_assert_cmpuint(f->store->n_held, ==, XENBUS_CLIENT_REQUESTS_MAX + 1);
        toy_store_answer(f->store, XENBUS_CLIENT_REQUESTS_MAX);
        run(f);
        expect(f->b, XS_READ, 1, 0, "b");

        f->store->hold = false;
        while (f->store->n_held > 0)
                toy_store_answer(f->store, 0);
        run(f);
        for (unsigned i = 0; i < n; i++)
                expect(f->a, XS_READ, i, 0, "a");
        both_leave(f);
}

static void test_requests_of_all_are_limited(struct toy_clients *f, gconstpointer data) {
        f->store->hold = true;
        for (unsigned i = 0; i < XENBUS_MUX_REQUESTS_MAX; i++) {
                struct xenbus_client *client = client_new(f);

                for (unsigned n = 0; n < 2; n++) {
                        ask_bytes(client, XS_READ, n, 0, "x", 2); /* of the last half of them, one stays where it was put together */
                        run(f);
                }
        }
        g_assert_cmpuint(f->store->n_held, ==, XENBUS_MUX_REQUESTS_MAX);
        f->store->hold = false;
        while (f->store->n_held > 0)
                toy_store_answer(f->store, 0);
        run(f);
}

static void test_clients_are_limited(struct toy_clients *f, gconstpointer data) {
        struct xenbus_client *last = NULL, *none = NULL;

        f->store->hold = true;
        for (unsigned i = 2; i < XENBUS_MUX_CLIENTS_MAX; i++)
                last = client_new(f);
        g_assert_cmpint(xenbus_mux_add(f->mux, &none), ==, -EUSERS);
        g_assert_null(none);

        ask(last, XS_TRANSACTION_START, 1, 0, "");
        run(f);
        xenbus_mux_remove(f->mux, last);
        g_assert_cmpint(xenbus_mux_add(f->mux, &none), ==, -EUSERS); /* its remains count */
        f->store->hold = false;
        toy_store_answer(f->store, 0);
        run(f);
        client_new(f);
}

/* A client that asks and asks but does not read is held up, not cut off: it gets every reply in the end. */
static void test_replies_alone_never_cut_off(struct toy_clients *f, gconstpointer data) {
        static char body[XENSTORE_PAYLOAD_MAX];
        unsigned n = 0;

        memset(body, 'x', sizeof body);
        while (ask_bytes(f->a, XS_READ, n, 0, body, sizeof body)) {
                n++;
                run(f);
        }
        g_assert_null(xenbus_client_trouble(f->a));
        g_assert_cmpuint(n, >=, XENBUS_CLIENT_UNREAD_BUSY / sizeof body);
        for (unsigned i = 0; i < n; i++) {
                expect_bytes(f->a, XS_READ, i, 0, body, sizeof body);
                run(f);
        }
        expect_nothing(f->a);
        both_leave(f);
}

static void test_unread_events_cut_off(struct toy_clients *f, gconstpointer data) {
        const size_t n_event = sizeof(struct xsd_sockmsg) + sizeof "path\0token";
        size_t n_told = 0;

        ask(f->a, XS_WATCH, 1, 0, "path\0token");
        ask(f->b, XS_WATCH, 1, 0, "path\0token");
        run(f);
        expect(f->a, XS_WATCH, 1, 0, "OK");
        expect(f->b, XS_WATCH, 1, 0, "OK");
        expect_event(f->b, "path\0token");
        while (!xenbus_client_trouble(f->a)) {
                n_told += n_event;
                g_assert_cmpuint(n_told, <=, XENBUS_CLIENT_UNREAD_MAX);
                toy_store_fire(f->store, "path");
                run(f);
                expect_event(f->b, "path\0token");
        }
        g_assert_cmpuint(n_told + n_event, >, XENBUS_CLIENT_UNREAD_MAX);
        expect_trouble(f->a, "does not read");
        both_leave(f);
}

static void test_watches_are_limited(struct toy_clients *f, gconstpointer data) {
        for (unsigned i = 0; i < XENBUS_CLIENT_WATCHES_MAX; i++) {
                ask(f->a, XS_WATCH, i, 0, "path\0token");
                run(f);
                expect(f->a, XS_WATCH, i, 0, "OK");
                expect_event(f->a, "path\0token");
        }
        ask(f->a, XS_WATCH, 1, 0, "path\0token");
        run(f);
        expect(f->a, XS_ERROR, 1, 0, "E2BIG");
        ask(f->b, XS_WATCH, 1, 0, "path\0token");
        run(f);
        expect(f->b, XS_WATCH, 1, 0, "OK");
        both_leave(f);
}

static void test_transactions_are_limited(struct toy_clients *f, gconstpointer data) {
        for (unsigned i = 0; i < XENBUS_CLIENT_TRANSACTIONS_MAX; i++) {
                start_transaction(f, f->a);
                f->store->n_transactions = 0; /* a store without a limit, as domain 0 has it */
        }
        ask(f->a, XS_TRANSACTION_START, 1, 0, "");
        run(f);
        expect(f->a, XS_ERROR, 1, 0, "ENOSPC");
        both_leave(f);
}

static void expect_give_up(const char *what, uint32_t type, uint32_t req_id, const void *body, uint32_t n) {
        struct toy_clients f;
        int r;

        clients_set_up(&f, NULL);
        f.store->hold = true;
        ask(f.a, XS_TRANSACTION_START, 1, 0, "");
        run(&f);
        g_test_message("%s", what);
        toy_store_say(f.store, type, req_id ? req_id : f.store->held[0]->header.req_id, 0, body, n);
        do
                r = move_up(&f, 1);
        while (r > 0);
        g_assert_cmpint(r, ==, -EPROTO);
        clients_tear_down(&f, NULL);
}

static void test_nonsense_from_the_store(void) {
        static const char long_body[XENSTORE_PAYLOAD_MAX + 1];

        expect_give_up("too long", XS_READ, 0, long_body, sizeof long_body);
        expect_give_up("nobody asked", XS_READ, 12345, "x", 2);
        expect_give_up("event of one string", XS_WATCH_EVENT, 0, "path", 5);
        expect_give_up("event of three strings", XS_WATCH_EVENT, 0, "path\0token\0more", 16);
        expect_give_up("event without an end", XS_WATCH_EVENT, 0, "path\0token", 10);
        expect_give_up("transaction 0", XS_TRANSACTION_START, 0, "0", 2);
        expect_give_up("transaction of no number", XS_TRANSACTION_START, 0, "x", 2);
        expect_give_up("transaction of too large a number", XS_TRANSACTION_START, 0, "4294967296", 11);
        expect_give_up("transaction without an end", XS_TRANSACTION_START, 0, "12", 2);
        expect_give_up("empty transaction", XS_TRANSACTION_START, 0, "", 1);
}

static void test_event_of_unknown_watch(struct toy_clients *f, gconstpointer data) {
        toy_store_say(f->store, XS_WATCH_EVENT, 0, 0, "path\0ffff", 10);
        toy_store_say(f->store, XS_WATCH_EVENT, 0, 0, "path\0", 6);
        run(f);
        expect_nothing(f->a);
        both_leave(f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, test) g_test_add("/xenbus-mux-limits/" path, struct toy_clients, NULL, clients_set_up, test, clients_tear_down)
        add("clients-take-turns", test_turns);
        add("requests-of-one-client-are-limited", test_requests_of_one_client_are_limited);
        add("requests-of-all-are-limited", test_requests_of_all_are_limited);
        add("clients-are-limited", test_clients_are_limited);
        add("replies-alone-never-cut-off", test_replies_alone_never_cut_off);
        add("unread-events-cut-off", test_unread_events_cut_off);
        add("watches-are-limited", test_watches_are_limited);
        add("transactions-are-limited", test_transactions_are_limited);
        g_test_add_func("/xenbus-mux-limits/nonsense-from-the-store-ends-it", test_nonsense_from_the_store);
        add("event-of-unknown-watch-is-dropped", test_event_of_unknown_watch);
        return g_test_run();
}
