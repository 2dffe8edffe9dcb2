/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The multiplexer between clients and a toy xenstored, with every byte in the test's hands: messages, transactions and watches. */

#include <glib.h>
#include <string.h>

#include "toy-clients.h"

static void test_same_numbers(struct toy_clients *f, gconstpointer data) {
        f->store->hold = true;
        ask(f->a, XS_READ, 7, 0, "from-a");
        ask(f->b, XS_READ, 7, 0, "from-b");
        run(f);
        g_assert_cmpuint(f->store->n_held, ==, 2);
        g_assert_cmpuint(f->store->held[0]->header.req_id, !=, f->store->held[1]->header.req_id);
        toy_store_answer(f->store, 1); /* the other way round */
        toy_store_answer(f->store, 0);
        run(f);
        expect(f->a, XS_READ, 7, 0, "from-a");
        expect(f->b, XS_READ, 7, 0, "from-b");
        both_leave(f);
}

static void test_byte_by_byte(struct toy_clients *f, gconstpointer data) {
        uint8_t a[64], b[64];
        size_t n_a = pack(a, XS_READ, 1, 0, "one", 4), n_b = pack(b, XS_READ, 2, 0, "second", 7);

        for (size_t i = 0; i < MAX(n_a, n_b); i++) {
                g_assert_true(i >= n_a || put(f->a, a + i, 1) == 1);
                g_assert_true(i >= n_b || put(f->b, b + i, 1) == 1);
                g_assert_cmpuint(move_down(f, 1), <=, 1);
        }
        run_in_pieces(f, 1);
        expect(f->a, XS_READ, 1, 0, "one");
        expect(f->b, XS_READ, 2, 0, "second");
        both_leave(f);
}

static void test_errors_pass(struct toy_clients *f, gconstpointer data) {
        ask(f->a, XS_READ, 3, 0, "missing");
        run(f);
        expect(f->a, XS_ERROR, 3, 0, "ENOENT");
        ask(f->a, XS_TYPE_COUNT + 5, 4, 0, "");
        run(f);
        expect(f->a, XS_ERROR, 4, 0, "ENOSYS");
        ask(f->a, XS_RESET_WATCHES, 5, 0, "");
        run(f);
        expect(f->a, XS_RESET_WATCHES, 5, 0, "OK");
        both_leave(f);
}

static void test_longest_message(struct toy_clients *f, gconstpointer data) {
        static char body[XENSTORE_PAYLOAD_MAX];

        memset(body, 'x', sizeof body);
        g_assert_true(ask_bytes(f->a, XS_READ, 1, 0, body, sizeof body));
        run(f);
        expect_bytes(f->a, XS_READ, 1, 0, body, sizeof body);
        both_leave(f);
}

static void test_too_long_message(struct toy_clients *f, gconstpointer data) {
        const struct xsd_sockmsg header = { .type = XS_READ, .len = XENSTORE_PAYLOAD_MAX + 1 };

        g_assert_cmpuint(put(f->a, &header, sizeof header), ==, sizeof header);
        expect_trouble(f->a, "XENSTORE_PAYLOAD_MAX");
        ask(f->b, XS_READ, 1, 0, "b");
        run(f);
        expect(f->b, XS_READ, 1, 0, "b");
        both_leave(f);
}

static void test_transaction(struct toy_clients *f, gconstpointer data) {
        uint32_t id = start_transaction(f, f->a);

        ask(f->a, XS_WRITE, 2, id, "path\0value");
        run(f);
        expect(f->a, XS_WRITE, 2, id, "OK");
        ask(f->a, XS_TRANSACTION_END, 3, id, "T");
        run(f);
        expect(f->a, XS_TRANSACTION_END, 3, id, "OK");
        g_assert_cmpuint(f->store->n_ended[1], ==, 1);
        ask(f->a, XS_TRANSACTION_END, 4, id, "T");
        run(f);
        expect(f->a, XS_ERROR, 4, id, "ENOENT");
        both_leave(f);
        g_assert_cmpuint(f->store->n_ended[0], ==, 0);
}

static void test_foreign_transaction(struct toy_clients *f, gconstpointer data) {
        uint32_t id = start_transaction(f, f->a);

        f->store->hold = true; /* so that the store's own answer would be missed */
        ask(f->b, XS_READ, 5, id, "path");
        run(f);
        expect(f->b, XS_ERROR, 5, id, "ENOENT");
        ask(f->b, XS_TRANSACTION_END, 6, id, "T");
        run(f);
        expect(f->b, XS_ERROR, 6, id, "ENOENT");
        g_assert_cmpuint(f->store->n_held, ==, 0);
        f->store->hold = false;
        both_leave(f);
        g_assert_cmpuint(f->store->n_ended[0], ==, 1);
}

static void test_transaction_end_is_checked(struct toy_clients *f, gconstpointer data) {
        uint32_t id = start_transaction(f, f->a);

        ask(f->a, XS_TRANSACTION_END, 1, id, "X");
        run(f);
        expect(f->a, XS_ERROR, 1, id, "EINVAL");
        g_assert_true(ask_bytes(f->a, XS_TRANSACTION_END, 2, id, "T", 1));
        run(f);
        expect(f->a, XS_ERROR, 2, id, "EINVAL");
        ask(f->a, XS_TRANSACTION_END, 3, 0, "T"); /* of no transaction: xenstored's to say */
        run(f);
        expect(f->a, XS_ERROR, 3, 0, "ENOENT");
        both_leave(f);
}

static void test_refused_transaction(struct toy_clients *f, gconstpointer data) {
        f->store->n_transactions = TOY_TRANSACTIONS_MAX;
        ask(f->a, XS_TRANSACTION_START, 1, 0, "");
        run(f);
        expect(f->a, XS_ERROR, 1, 0, "ENOSPC");
        f->store->n_transactions = 0;
        ask(f->a, XS_TRANSACTION_END, 2, start_transaction(f, f->a), "F");
        both_leave(f);
        g_assert_cmpuint(f->store->n_ended[0], ==, 1);
}

static void test_watch(struct toy_clients *f, gconstpointer data) {
        ask(f->a, XS_WATCH, 1, 0, "path\0token");
        ask(f->b, XS_WATCH, 1, 0, "path\0token");
        run(f);
        expect(f->a, XS_WATCH, 1, 0, "OK");
        expect_event(f->a, "path\0token");
        expect(f->b, XS_WATCH, 1, 0, "OK");
        expect_event(f->b, "path\0token");

        ask(f->a, XS_UNWATCH, 2, 0, "path\0token");
        run(f);
        expect(f->a, XS_UNWATCH, 2, 0, "OK");
        toy_store_fire(f->store, "path");
        run(f);
        expect_nothing(f->a);
        expect_event(f->b, "path\0token");
        both_leave(f);
}

static void test_watch_twice(struct toy_clients *f, gconstpointer data) {
        ask(f->a, XS_WATCH, 1, 0, "path\0token");
        run(f);
        ask(f->a, XS_WATCH, 2, 0, "path\0token");
        run(f);
        expect(f->a, XS_WATCH, 1, 0, "OK");
        expect_event(f->a, "path\0token");
        expect(f->a, XS_WATCH, 2, 0, "OK");
        expect_event(f->a, "path\0token");
        toy_store_fire(f->store, "path");
        run(f);
        expect_event(f->a, "path\0token");
        expect_event(f->a, "path\0token");
        ask(f->a, XS_UNWATCH, 3, 0, "path\0token");
        run(f);
        expect(f->a, XS_UNWATCH, 3, 0, "OK");
        g_assert_cmpuint(f->store->n_watches, ==, 1);
        both_leave(f);
}

static void test_unwatch_unknown(struct toy_clients *f, gconstpointer data) {
        ask(f->b, XS_WATCH, 1, 0, "path\0token");
        run(f);
        ask(f->a, XS_UNWATCH, 2, 0, "path\0token");
        run(f);
        expect(f->a, XS_UNWATCH, 2, 0, "OK");
        g_assert_cmpuint(f->store->n_watches, ==, 1); /* b's */
        both_leave(f);
}

static void test_unwatch_after_reset(struct toy_clients *f, gconstpointer data) {
        ask(f->a, XS_WATCH, 1, 0, "path\0token");
        ask(f->b, XS_RESET_WATCHES, 1, 0, "");
        run(f);
        expect(f->a, XS_WATCH, 1, 0, "OK");
        expect_event(f->a, "path\0token");
        g_assert_cmpuint(f->store->n_watches, ==, 0);
        ask(f->a, XS_UNWATCH, 2, 0, "path\0token"); /* which xenstored has forgotten */
        run(f);
        expect(f->a, XS_UNWATCH, 2, 0, "OK");
        both_leave(f);
}

static void test_watch_errors(struct toy_clients *f, gconstpointer data) {
        static char body[XENSTORE_PAYLOAD_MAX];

        ask(f->a, XS_WATCH, 1, 0, "missing\0token");
        run(f);
        expect(f->a, XS_ERROR, 1, 0, "EINVAL");
        g_assert_true(ask_bytes(f->a, XS_WATCH, 2, 0, "path\0token", 10));
        run(f);
        expect(f->a, XS_ERROR, 2, 0, "EINVAL");
        g_assert_true(ask_bytes(f->a, XS_UNWATCH, 3, 0, "path", 4));
        run(f);
        expect(f->a, XS_ERROR, 3, 0, "EINVAL");

        memset(body, 'x', sizeof body - 2); /* a path that would not fit beside our token: xenstored would end the domain's connection */
        g_assert_true(ask_bytes(f->a, XS_WATCH, 4, 0, body, sizeof body));
        run(f);
        expect(f->a, XS_ERROR, 4, 0, "EINVAL");
        both_leave(f);
}

/* On Linux the write() of a watch returns when it is set: what follows it waits. */
static void test_watch_is_in_order(struct toy_clients *f, gconstpointer data) {
        f->store->hold = true;
        ask(f->a, XS_WATCH, 1, 0, "path\0token");
        run(f);
        ask(f->a, XS_UNWATCH, 2, 0, "path\0token");
        ask(f->b, XS_READ, 3, 0, "path");
        run(f);
        g_assert_cmpuint(f->store->n_held, ==, 2);
        g_assert_cmpuint(f->store->held[1]->header.type, ==, XS_READ);
        f->store->hold = false;
        toy_store_answer(f->store, 1);
        toy_store_answer(f->store, 0);
        run(f);
        expect(f->a, XS_WATCH, 1, 0, "OK");
        expect(f->a, XS_UNWATCH, 2, 0, "OK"); /* which overtook the first event: that is dropped */
        both_leave(f);
}

static void test_removed_watch_is_silent(struct toy_clients *f, gconstpointer data) {
        ask(f->a, XS_WATCH, 1, 0, "path\0token");
        run(f);
        expect(f->a, XS_WATCH, 1, 0, "OK");
        expect_event(f->a, "path\0token");
        f->store->hold = true;
        ask(f->a, XS_UNWATCH, 2, 0, "path\0token");
        run(f);
        toy_store_fire(f->store, "path"); /* before the store has removed it */
        toy_store_answer(f->store, 0);
        f->store->hold = false;
        run(f);
        expect(f->a, XS_UNWATCH, 2, 0, "OK");
        expect_nothing(f->a);
        both_leave(f);
}

static void test_event_too_long(struct toy_clients *f, gconstpointer data) {
        char body[XENSTORE_PAYLOAD_MAX] = "p", event[XENSTORE_PAYLOAD_MAX] = "p/below";

        memset(body + 2, 't', sizeof body - 3); /* fits as a watch on "p", but not as an event for "p/below" */
        g_assert_true(ask_bytes(f->a, XS_WATCH, 1, 0, body, sizeof body));
        run(f);
        expect(f->a, XS_WATCH, 1, 0, "OK");
        expect_bytes(f->a, XS_WATCH_EVENT, 0, 0, body, sizeof body);
        strcpy(event + strlen(event) + 1, f->store->watches[0].token);
        toy_store_say(f->store, XS_WATCH_EVENT, 0, 0, event, strlen("p/below") + 1 + strlen(f->store->watches[0].token) + 1);
        run(f);
        expect_nothing(f->a);
        both_leave(f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, test) g_test_add("/xenbus-mux/" path, struct toy_clients, NULL, clients_set_up, test, clients_tear_down)
        add("clients-may-use-the-same-numbers", test_same_numbers);
        add("byte-by-byte", test_byte_by_byte);
        add("errors-pass", test_errors_pass);
        add("longest-message-passes", test_longest_message);
        add("one-byte-longer-is-cut-off", test_too_long_message);
        add("transaction", test_transaction);
        add("foreign-transaction-does-not-exist", test_foreign_transaction);
        add("transaction-end-is-checked", test_transaction_end_is_checked);
        add("refused-transaction-is-forgotten", test_refused_transaction);
        add("watch-tokens-are-private", test_watch);
        add("same-watch-twice", test_watch_twice);
        add("unwatch-of-unknown-succeeds", test_unwatch_unknown);
        add("unwatch-after-reset-succeeds", test_unwatch_after_reset);
        add("watch-errors", test_watch_errors);
        add("watch-is-in-order", test_watch_is_in_order);
        add("removed-watch-is-silent", test_removed_watch_is_silent);
        add("event-too-long-is-dropped", test_event_too_long);
        return g_test_run();
}
