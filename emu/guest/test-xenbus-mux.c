/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The multiplexer between clients that are written out here and a toy xenstored, with every byte in the test's hands. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "toy-store.h"
#include "xenbus-mux.h"

struct fixture {
        struct xenbus_mux *mux;
        struct toy_store *store;
        struct xenbus_client *a, *b;
};

static struct xenbus_client *client_new(struct fixture *f) {
        struct xenbus_client *client;

        g_assert_cmpint(xenbus_mux_add(f->mux, &client), ==, 0);
        return client;
}

static void set_up(struct fixture *f, gconstpointer data) {
        f->mux = xenbus_mux_new();
        f->store = toy_store_new();
        f->a = client_new(f);
        f->b = client_new(f);
}

static void tear_down(struct fixture *f, gconstpointer data) {
        xenbus_mux_free(f->mux);
        toy_store_free(f->store);
}

/* Moves at most n bytes to the store. Returns how many. */
static size_t move_down(struct fixture *f, size_t n) {
        const void *data;
        size_t size;

        xenbus_mux_ring_output(f->mux, &data, &size);
        size = MIN(size, n);
        toy_store_feed(f->store, data, size);
        if (size > 0)
                xenbus_mux_ring_output_done(f->mux, size);
        return size;
}

/* Moves at most n bytes from the store. Returns how many, or -EPROTO. */
static int move_up(struct fixture *f, size_t n) {
        const void *data;
        void *room;
        size_t size, n_room;
        int r;

        byte_queue_front(&f->store->out, &data, &size);
        xenbus_mux_ring_input(f->mux, &room, &n_room);
        g_assert_cmpuint(n_room, >, 0);
        size = MIN(MIN(size, n_room), n);
        if (size == 0)
                return 0;
        memcpy(room, data, size);
        byte_queue_consume(&f->store->out, size);
        r = xenbus_mux_ring_input_done(f->mux, size);
        return r < 0 ? r : (int) size;
}

/* Lets the ring run until it stands still, n bytes at a time. */
static void run_in_pieces(struct fixture *f, size_t n) {
        int up;

        do {
                up = move_up(f, n);
                g_assert_cmpint(up, >=, 0);
        } while (move_down(f, n) + up > 0);
}

static void run(struct fixture *f) {
        run_in_pieces(f, SIZE_MAX);
}

/* Sends n bytes as the client. Returns how many were taken. */
static size_t put(struct xenbus_client *client, const void *data, size_t n) {
        size_t size, n_done = 0;
        void *room;

        while (n_done < n) {
                xenbus_client_input(client, &room, &size);
                size = MIN(size, n - n_done);
                if (size == 0)
                        break;
                memcpy(room, (const char *) data + n_done, size);
                xenbus_client_input_done(client, size);
                n_done += size;
        }
        return n_done;
}

static size_t pack(uint8_t *message, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *body, uint32_t n) {
        const struct xsd_sockmsg header = { .type = type, .req_id = req_id, .tx_id = tx_id, .len = n };

        memcpy(message, &header, sizeof header);
        memcpy(message + sizeof header, body, n);
        return sizeof header + n;
}

/* Returns whether the client took the message whole; if not, it took nothing of it. */
static bool ask_bytes(struct xenbus_client *client, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *body, uint32_t n_body) {
        uint8_t message[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
        size_t n = pack(message, type, req_id, tx_id, body, n_body), n_put = put(client, message, n);

        g_assert_true(n_put == 0 || n_put == n);
        return n_put == n;
}

#define ask(client, type, req_id, tx_id, text) g_assert_true(ask_bytes(client, type, req_id, tx_id, text, sizeof(text)))

/* Takes the next message that the client is told. */
static struct xsd_sockmsg told(struct xenbus_client *client, char body[static XENSTORE_PAYLOAD_MAX]) {
        struct xsd_sockmsg header;
        const void *data;
        size_t n;

        xenbus_client_output(client, &data, &n);
        g_assert_cmpuint(n, >=, sizeof header);
        memcpy(&header, data, sizeof header);
        g_assert_cmpuint(header.len, <=, XENSTORE_PAYLOAD_MAX);
        g_assert_cmpuint(n, >=, sizeof header + header.len);
        memcpy(body, (const char *) data + sizeof header, header.len);
        xenbus_client_output_done(client, sizeof header + header.len);
        return header;
}

static void expect_bytes(struct xenbus_client *client, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *body, size_t n) {
        char got[XENSTORE_PAYLOAD_MAX];
        struct xsd_sockmsg header = told(client, got);

        g_assert_cmpuint(header.type, ==, type);
        g_assert_cmpuint(header.req_id, ==, req_id);
        g_assert_cmpuint(header.tx_id, ==, tx_id);
        g_assert_cmpmem(got, header.len, body, n);
}

#define expect(client, type, req_id, tx_id, text) expect_bytes(client, type, req_id, tx_id, text, sizeof(text))
#define expect_event(client, text) expect_bytes(client, XS_WATCH_EVENT, 0, 0, text, sizeof(text))

static void expect_nothing(const struct xenbus_client *client) {
        const void *data;
        size_t n;

        xenbus_client_output(client, &data, &n);
        g_assert_cmpuint(n, ==, 0);
        g_assert_null(xenbus_client_trouble(client));
}

static void expect_trouble(struct xenbus_client *client, const char *about) {
        const void *output;
        void *input;
        size_t n;

        g_assert_nonnull(xenbus_client_trouble(client));
        g_assert_nonnull(strstr(xenbus_client_trouble(client), about));
        xenbus_client_output(client, &output, &n);
        g_assert_cmpuint(n, ==, 0);
        xenbus_client_input(client, &input, &n);
        g_assert_cmpuint(n, ==, 0);
}

static uint32_t start(struct fixture *f, struct xenbus_client *client) {
        char body[XENSTORE_PAYLOAD_MAX];

        ask(client, XS_TRANSACTION_START, 1, 0, "");
        run(f);
        g_assert_cmpuint(told(client, body).type, ==, XS_TRANSACTION_START);
        return strtoul(body, NULL, 10);
}

/* Both clients leave, and nothing of them is left anywhere. */
static void leave(struct fixture *f) {
        xenbus_mux_remove(f->mux, f->a);
        xenbus_mux_remove(f->mux, f->b);
        run(f);
        g_assert_cmpuint(xenbus_mux_n_clients(f->mux), ==, 0);
        g_assert_cmpuint(f->store->n_transactions, ==, 0);
        g_assert_cmpuint(f->store->n_watches, ==, 0);
}

static void test_same_numbers(struct fixture *f, gconstpointer data) {
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
        leave(f);
}

static void test_byte_by_byte(struct fixture *f, gconstpointer data) {
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
        leave(f);
}

static void test_errors_pass(struct fixture *f, gconstpointer data) {
        ask(f->a, XS_READ, 3, 0, "missing");
        run(f);
        expect(f->a, XS_ERROR, 3, 0, "ENOENT");
        ask(f->a, XS_TYPE_COUNT + 5, 4, 0, "");
        run(f);
        expect(f->a, XS_ERROR, 4, 0, "ENOSYS");
        ask(f->a, XS_RESET_WATCHES, 5, 0, "");
        run(f);
        expect(f->a, XS_RESET_WATCHES, 5, 0, "OK");
        leave(f);
}

static void test_longest_message(struct fixture *f, gconstpointer data) {
        static char body[XENSTORE_PAYLOAD_MAX];

        memset(body, 'x', sizeof body);
        g_assert_true(ask_bytes(f->a, XS_READ, 1, 0, body, sizeof body));
        run(f);
        expect_bytes(f->a, XS_READ, 1, 0, body, sizeof body);
        leave(f);
}

static void test_too_long_message(struct fixture *f, gconstpointer data) {
        const struct xsd_sockmsg header = { .type = XS_READ, .len = XENSTORE_PAYLOAD_MAX + 1 };

        g_assert_cmpuint(put(f->a, &header, sizeof header), ==, sizeof header);
        expect_trouble(f->a, "XENSTORE_PAYLOAD_MAX");
        ask(f->b, XS_READ, 1, 0, "b");
        run(f);
        expect(f->b, XS_READ, 1, 0, "b");
        leave(f);
}

static void test_transaction(struct fixture *f, gconstpointer data) {
        uint32_t id = start(f, f->a);

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
        leave(f);
        g_assert_cmpuint(f->store->n_ended[0], ==, 0);
}

static void test_foreign_transaction(struct fixture *f, gconstpointer data) {
        uint32_t id = start(f, f->a);

        f->store->hold = true; /* so that the store's own answer would be missed */
        ask(f->b, XS_READ, 5, id, "path");
        run(f);
        expect(f->b, XS_ERROR, 5, id, "ENOENT");
        ask(f->b, XS_TRANSACTION_END, 6, id, "T");
        run(f);
        expect(f->b, XS_ERROR, 6, id, "ENOENT");
        g_assert_cmpuint(f->store->n_held, ==, 0);
        f->store->hold = false;
        leave(f);
        g_assert_cmpuint(f->store->n_ended[0], ==, 1);
}

static void test_transaction_end_is_checked(struct fixture *f, gconstpointer data) {
        uint32_t id = start(f, f->a);

        ask(f->a, XS_TRANSACTION_END, 1, id, "X");
        run(f);
        expect(f->a, XS_ERROR, 1, id, "EINVAL");
        g_assert_true(ask_bytes(f->a, XS_TRANSACTION_END, 2, id, "T", 1));
        run(f);
        expect(f->a, XS_ERROR, 2, id, "EINVAL");
        ask(f->a, XS_TRANSACTION_END, 3, 0, "T"); /* of no transaction: xenstored's to say */
        run(f);
        expect(f->a, XS_ERROR, 3, 0, "ENOENT");
        leave(f);
}

static void test_refused_transaction(struct fixture *f, gconstpointer data) {
        f->store->n_transactions = TOY_TRANSACTIONS_MAX;
        ask(f->a, XS_TRANSACTION_START, 1, 0, "");
        run(f);
        expect(f->a, XS_ERROR, 1, 0, "ENOSPC");
        f->store->n_transactions = 0;
        ask(f->a, XS_TRANSACTION_END, 2, start(f, f->a), "F");
        leave(f);
        g_assert_cmpuint(f->store->n_ended[0], ==, 1);
}

static void test_watch(struct fixture *f, gconstpointer data) {
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
        leave(f);
}

static void test_watch_twice(struct fixture *f, gconstpointer data) {
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
        leave(f);
}

static void test_unwatch_unknown(struct fixture *f, gconstpointer data) {
        ask(f->b, XS_WATCH, 1, 0, "path\0token");
        run(f);
        ask(f->a, XS_UNWATCH, 2, 0, "path\0token");
        run(f);
        expect(f->a, XS_UNWATCH, 2, 0, "OK");
        g_assert_cmpuint(f->store->n_watches, ==, 1); /* b's */
        leave(f);
}

static void test_unwatch_after_reset(struct fixture *f, gconstpointer data) {
        ask(f->a, XS_WATCH, 1, 0, "path\0token");
        ask(f->b, XS_RESET_WATCHES, 1, 0, "");
        run(f);
        expect(f->a, XS_WATCH, 1, 0, "OK");
        expect_event(f->a, "path\0token");
        g_assert_cmpuint(f->store->n_watches, ==, 0);
        ask(f->a, XS_UNWATCH, 2, 0, "path\0token"); /* which xenstored has forgotten */
        run(f);
        expect(f->a, XS_UNWATCH, 2, 0, "OK");
        leave(f);
}

static void test_watch_errors(struct fixture *f, gconstpointer data) {
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
        leave(f);
}

/* On Linux the write() of a watch returns when it is set: what follows it waits. */
static void test_watch_is_in_order(struct fixture *f, gconstpointer data) {
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
        leave(f);
}

static void test_removed_watch_is_silent(struct fixture *f, gconstpointer data) {
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
        leave(f);
}

static void test_event_too_long(struct fixture *f, gconstpointer data) {
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
        leave(f);
}

/*
 * A client with one of everything, on a ring that takes a byte at a time, and killed after every number of steps. Whatever it was doing,
 * nothing is left; and what it had sent completely before was done.
 */
static size_t long_life(uint8_t *script, uint32_t id) {
        size_t n = 0;

        n += pack(script + n, XS_WATCH, 1, 0, "path\0token", 11);
        n += pack(script + n, XS_TRANSACTION_START, 2, 0, "", 1);
        n += pack(script + n, XS_WRITE, 3, id, "path\0value", 11);
        n += pack(script + n, XS_TRANSACTION_START, 4, 0, "", 1);
        n += pack(script + n, XS_TRANSACTION_END, 5, id, "T", 2);
        n += pack(script + n, XS_WATCH, 6, 0, "other\0token", 12);
        n += pack(script + n, XS_UNWATCH, 7, 0, "path\0token", 11);
        n += pack(script + n, XS_WRITE, 8, 0, "path\0value", 11);
        return n;
}

static bool live_and_die(unsigned n_steps, bool held) {
        struct fixture f;
        uint8_t script[512];
        size_t n_script, n_done = 0;
        unsigned step;

        set_up(&f, NULL);
        n_script = long_life(script, 1);
        f.store->hold = held;
        for (step = 0; step < n_steps; step++) {
                size_t n = n_done < n_script ? put(f.a, script + n_done, 1) : 0;

                n_done += n;
                n += move_down(&f, 1);
                n += move_up(&f, 1);
                if (n == 0 && f.store->n_held > 0) {
                        toy_store_answer(f.store, f.store->n_held - 1);
                        n++;
                }
                if (n == 0)
                        break; /* it had lived its life to the end */
        }
        xenbus_mux_remove(f.mux, f.a);
        do {
                while (f.store->n_held > 0)
                        toy_store_answer(f.store, f.store->n_held - 1);
                run_in_pieces(&f, 1);
        } while (f.store->n_held > 0);

        g_assert_cmpuint(xenbus_mux_n_clients(f.mux), ==, 1);
        expect_nothing(f.b);
        f.store->hold = false;
        xenbus_mux_remove(f.mux, f.b);
        g_assert_cmpuint(xenbus_mux_n_clients(f.mux), ==, 0);
        g_assert_cmpuint(f.store->n_transactions, ==, 0);
        g_assert_cmpuint(f.store->n_watches, ==, 0);
        tear_down(&f, NULL);
        return step < n_steps;
}

static void test_death_in_every_phase(void) {
        for (int held = 0; held < 2; held++) {
                unsigned n_steps = 0;

                while (!live_and_die(n_steps, held))
                        n_steps++;
                g_assert_cmpuint(n_steps, >, 100);
        }
}

static void test_last_message_is_done(struct fixture *f, gconstpointer data) {
        ask(f->a, XS_WRITE, 1, 0, "path\0value");
        leave(f);
        g_assert_cmpuint(f->store->n_writes, ==, 1);
}

/* That it is answered without xenstored does not keep what the client leaves behind from being tidied up. */
static void test_last_message_is_answered_here(struct fixture *f, gconstpointer data) {
        start(f, f->a);
        ask(f->a, XS_READ, 2, 1234, "path");
        leave(f);
}

static void test_half_a_message_is_not(struct fixture *f, gconstpointer data) {
        uint8_t message[64];
        size_t n = pack(message, XS_WRITE, 1, 0, "path\0value", 11);

        g_assert_cmpuint(put(f->a, message, n - 1), ==, n - 1);
        leave(f);
        g_assert_cmpuint(f->store->n_writes, ==, 0);
}

/* One request is half in the ring when its client dies: the ring must see the rest. */
static void test_death_in_the_middle_of_the_ring(struct fixture *f, gconstpointer data) {
        ask(f->a, XS_WRITE, 1, 0, "path\0value");
        g_assert_cmpuint(move_down(f, 20), ==, 20);
        xenbus_mux_remove(f->mux, f->a);
        ask(f->b, XS_READ, 1, 0, "b");
        run(f);
        g_assert_cmpuint(f->store->n_writes, ==, 1);
        expect(f->b, XS_READ, 1, 0, "b");
        g_assert_cmpuint(xenbus_mux_n_clients(f->mux), ==, 1);
}

static void test_transaction_that_starts_after_death(struct fixture *f, gconstpointer data) {
        f->store->hold = true;
        ask(f->a, XS_TRANSACTION_START, 1, 0, "");
        run(f);
        xenbus_mux_remove(f->mux, f->a);
        run(f);
        g_assert_cmpuint(f->store->n_held, ==, 1);
        f->store->hold = false;
        toy_store_answer(f->store, 0);
        run(f);
        g_assert_cmpuint(f->store->n_ended[0], ==, 1);
        g_assert_cmpuint(xenbus_mux_n_clients(f->mux), ==, 1);
}

static void test_turns(struct fixture *f, gconstpointer data) {
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

static void test_requests_of_one_client_are_limited(struct fixture *f, gconstpointer data) {
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
        leave(f);
}

static void test_requests_of_all_are_limited(struct fixture *f, gconstpointer data) {
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

static void test_clients_are_limited(struct fixture *f, gconstpointer data) {
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
static void test_replies_alone_never_cut_off(struct fixture *f, gconstpointer data) {
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
        leave(f);
}

static void test_unread_events_cut_off(struct fixture *f, gconstpointer data) {
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
        leave(f);
}

static void test_watches_are_limited(struct fixture *f, gconstpointer data) {
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
        leave(f);
}

static void test_transactions_are_limited(struct fixture *f, gconstpointer data) {
        for (unsigned i = 0; i < XENBUS_CLIENT_TRANSACTIONS_MAX; i++) {
                start(f, f->a);
                f->store->n_transactions = 0; /* a store without a limit, as domain 0 has it */
        }
        ask(f->a, XS_TRANSACTION_START, 1, 0, "");
        run(f);
        expect(f->a, XS_ERROR, 1, 0, "ENOSPC");
        leave(f);
}

static void expect_give_up(const char *what, uint32_t type, uint32_t req_id, const void *body, uint32_t n) {
        struct fixture f;
        int r;

        set_up(&f, NULL);
        f.store->hold = true;
        ask(f.a, XS_TRANSACTION_START, 1, 0, "");
        run(&f);
        g_test_message("%s", what);
        toy_store_say(f.store, type, req_id ? req_id : f.store->held[0]->header.req_id, 0, body, n);
        do
                r = move_up(&f, 1);
        while (r > 0);
        g_assert_cmpint(r, ==, -EPROTO);
        tear_down(&f, NULL);
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

static void test_event_of_unknown_watch(struct fixture *f, gconstpointer data) {
        toy_store_say(f->store, XS_WATCH_EVENT, 0, 0, "path\0ffff", 10);
        toy_store_say(f->store, XS_WATCH_EVENT, 0, 0, "path\0", 6);
        run(f);
        expect_nothing(f->a);
        leave(f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, test) g_test_add("/xenbus-mux/" path, struct fixture, NULL, set_up, test, tear_down)
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
        g_test_add_func("/xenbus-mux/death-in-every-phase-leaves-nothing", test_death_in_every_phase);
        add("last-message-is-done", test_last_message_is_done);
        add("last-message-is-answered-here", test_last_message_is_answered_here);
        add("half-a-message-is-not", test_half_a_message_is_not);
        add("death-in-the-middle-of-the-ring", test_death_in_the_middle_of_the_ring);
        add("transaction-that-starts-after-death-is-aborted", test_transaction_that_starts_after_death);
        add("clients-take-turns", test_turns);
        add("requests-of-one-client-are-limited", test_requests_of_one_client_are_limited);
        add("requests-of-all-are-limited", test_requests_of_all_are_limited);
        add("clients-are-limited", test_clients_are_limited);
        add("replies-alone-never-cut-off", test_replies_alone_never_cut_off);
        add("unread-events-cut-off", test_unread_events_cut_off);
        add("watches-are-limited", test_watches_are_limited);
        add("transactions-are-limited", test_transactions_are_limited);
        g_test_add_func("/xenbus-mux/nonsense-from-the-store-ends-it", test_nonsense_from_the_store);
        add("event-of-unknown-watch-is-dropped", test_event_of_unknown_watch);
        return g_test_run();
}
