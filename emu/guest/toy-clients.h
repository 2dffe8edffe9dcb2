/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Two clients of the multiplexer, written out byte by byte, and a toy xenstored, for tests. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "toy-store.h"
#include "xenbus-mux.h"

struct toy_clients {
        struct xenbus_mux *mux;
        struct toy_store *store;
        struct xenbus_client *a, *b;
};

void clients_set_up(struct toy_clients *f, gconstpointer data);
void clients_tear_down(struct toy_clients *f, gconstpointer data);

/* One more than these two. */
struct xenbus_client *client_new(struct toy_clients *f);

/* Moves at most n bytes to the store. Returns how many. */
size_t move_down(struct toy_clients *f, size_t n);

/* Moves at most n bytes from the store. Returns how many, or -EPROTO. */
int move_up(struct toy_clients *f, size_t n);

/* Lets the ring run until it stands still, n bytes at a time, or all that there is room for. */
void run_in_pieces(struct toy_clients *f, size_t n);
void run(struct toy_clients *f);

/* Sends n bytes as the client. Returns how many were taken. */
size_t put(struct xenbus_client *client, const void *data, size_t n);

/* A message of n bytes behind its header. Returns how long it is. */
size_t pack(uint8_t *message, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *body, uint32_t n);

/* Returns whether the client took the message whole; if not, it took nothing of it. */
bool ask_bytes(struct xenbus_client *client, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *body, uint32_t n_body);

/* Demands that it was taken. text: with its NUL, and any others in it. */
#define ask(client, type, req_id, tx_id, text) g_assert_true(ask_bytes(client, type, req_id, tx_id, text, sizeof(text)))

/* Takes the next message that the client is told. */
struct xsd_sockmsg told(struct xenbus_client *client, char body[static XENSTORE_PAYLOAD_MAX]);

/* Demands that this is the next one, or that there is none, or that the client was cut off and why. */
void expect_bytes(struct xenbus_client *client, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *body, size_t n);
void expect_nothing(const struct xenbus_client *client);
void expect_trouble(struct xenbus_client *client, const char *about);

#define expect(client, type, req_id, tx_id, text) expect_bytes(client, type, req_id, tx_id, text, sizeof(text))
#define expect_event(client, text) expect_bytes(client, XS_WATCH_EVENT, 0, 0, text, sizeof(text))

/* Starts a transaction and returns its number. */
uint32_t start_transaction(struct toy_clients *f, struct xenbus_client *client);

/* Both clients leave, and nothing of them is left anywhere. */
void both_leave(struct toy_clients *f);
