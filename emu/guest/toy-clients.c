/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients of the multiplexer for tests; see toy-clients.h. */

#include "toy-clients.h"

#include <stdlib.h>
#include <string.h>

struct xenbus_client *client_new(struct toy_clients *f) {
        struct xenbus_client *client;

        g_assert_cmpint(xenbus_mux_add(f->mux, &client), ==, 0);
        return client;
}

void clients_set_up(struct toy_clients *f, gconstpointer data) {
        f->mux = xenbus_mux_new();
        f->store = toy_store_new();
        f->a = client_new(f);
        f->b = client_new(f);
}

void clients_tear_down(struct toy_clients *f, gconstpointer data) {
        xenbus_mux_free(f->mux);
        toy_store_free(f->store);
}

size_t move_down(struct toy_clients *f, size_t n) {
        const void *data;
        size_t size;

        xenbus_mux_ring_output(f->mux, &data, &size);
        size = MIN(size, n);
        toy_store_feed(f->store, data, size);
        if (size > 0)
                xenbus_mux_ring_output_done(f->mux, size);
        return size;
}

int move_up(struct toy_clients *f, size_t n) {
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

void run_in_pieces(struct toy_clients *f, size_t n) {
        int up;

        do {
                up = move_up(f, n);
                g_assert_cmpint(up, >=, 0);
        } while (move_down(f, n) + up > 0);
}

void run(struct toy_clients *f) {
        run_in_pieces(f, SIZE_MAX);
}

size_t put(struct xenbus_client *client, const void *data, size_t n) {
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

size_t pack(uint8_t *message, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *body, uint32_t n) {
        const struct xsd_sockmsg header = { .type = type, .req_id = req_id, .tx_id = tx_id, .len = n };

        memcpy(message, &header, sizeof header);
        memcpy(message + sizeof header, body, n);
        return sizeof header + n;
}

bool ask_bytes(struct xenbus_client *client, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *body, uint32_t n_body) {
        uint8_t message[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
        size_t n = pack(message, type, req_id, tx_id, body, n_body), n_put = put(client, message, n);

        g_assert_true(n_put == 0 || n_put == n);
        return n_put == n;
}

struct xsd_sockmsg told(struct xenbus_client *client, char body[static XENSTORE_PAYLOAD_MAX]) {
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

void expect_bytes(struct xenbus_client *client, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *body, size_t n) {
        char got[XENSTORE_PAYLOAD_MAX];
        struct xsd_sockmsg header = told(client, got);

        g_assert_cmpuint(header.type, ==, type);
        g_assert_cmpuint(header.req_id, ==, req_id);
        g_assert_cmpuint(header.tx_id, ==, tx_id);
        g_assert_cmpmem(got, header.len, body, n);
}

void expect_nothing(const struct xenbus_client *client) {
        const void *data;
        size_t n;

        xenbus_client_output(client, &data, &n);
        g_assert_cmpuint(n, ==, 0);
        g_assert_null(xenbus_client_trouble(client));
}

void expect_trouble(struct xenbus_client *client, const char *about) {
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

uint32_t start_transaction(struct toy_clients *f, struct xenbus_client *client) {
        char body[XENSTORE_PAYLOAD_MAX];

        ask(client, XS_TRANSACTION_START, 1, 0, "");
        run(f);
        g_assert_cmpuint(told(client, body).type, ==, XS_TRANSACTION_START);
        return strtoul(body, NULL, 10);
}

void both_leave(struct toy_clients *f) {
        xenbus_mux_remove(f->mux, f->a);
        xenbus_mux_remove(f->mux, f->b);
        run(f);
        g_assert_cmpuint(xenbus_mux_n_clients(f->mux), ==, 0);
        g_assert_cmpuint(f->store->n_transactions, ==, 0);
        g_assert_cmpuint(f->store->n_watches, ==, 0);
}
