/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The xenbus multiplexer: many clients on the one ring that a domain has to xenstored, with the semantics of Linux's xenbus node
 * (drivers/xen/xenbus/xenbus_dev_frontend.c and xenbus_xs.c).
 *
 * - A request gets a number of ours, because clients choose theirs alike; the client's is back in the reply.
 * - A transaction is used only by the client that started it: for others it does not exist (ENOENT).
 * - A watch is set with a token of ours, because clients choose theirs alike; events go to the one client that set it, with its token.
 *   Removing a watch that is not there succeeds, and the same watch may be set twice: both as on Linux.
 * - What a client leaves behind is tidied up: its open transactions are aborted, its watches removed, late replies dropped; also those
 *   that xenstored was only asked for when the client went. What it had sent completely is still done, as after a write() on Linux.
 * - Clients take turns, one message each.
 *
 * It differs from Linux where a stream socket cannot do what a device node does: an error that write() would return comes as XS_ERROR,
 * and a message that is too long ends its client. It takes bodies of XENSTORE_PAYLOAD_MAX, where Linux counts the header in as well.
 *
 * It does no I/O. Bytes go in and out on two sides: each client's (xenbus-client.h) and the ring's. All memory is bounded: by the number
 * of clients here, and by what one client may cost in xenbus-client.h.
 */

#include <stddef.h>
#include <stdint.h>

#include "xenbus-client.h"

#define XENBUS_MUX_CLIENTS_MAX 256u     /* including those whose remains are being tidied up */
#define XENBUS_MUX_WATCHES_MAX 4096u    /* of all clients: each costs up to a page */
#define XENBUS_MUX_REQUESTS_MAX 64u     /* on their way; xenstored takes 20 of a guest, and the ring's 1024 bytes are full soon */

struct xenbus_mux;

struct xenbus_mux *xenbus_mux_new(void);
struct xenbus_mux *xenbus_mux_free(struct xenbus_mux *mux);

/* A client has come. Returns 0, -EUSERS if there are XENBUS_MUX_CLIENTS_MAX, or -ENOMEM. The client is the multiplexer's. */
int xenbus_mux_add(struct xenbus_mux *mux, struct xenbus_client **ret_client);

/* A client has gone, and the caller forgets it. */
void xenbus_mux_remove(struct xenbus_mux *mux, struct xenbus_client *client);

/* Clients, with those whose remains are being tidied up. */
unsigned xenbus_mux_n_clients(const struct xenbus_mux *mux);

/* Bytes for xenstored; size 0 if there is nothing to say now. This is where clients get their turn. */
void xenbus_mux_ring_output(struct xenbus_mux *mux, const void **ret_data, size_t *ret_size);
void xenbus_mux_ring_output_done(struct xenbus_mux *mux, size_t n);

/* Where xenstored's next bytes go: there is always room. Returns 0, or -EPROTO if xenstored talks nonsense: give up then. */
void xenbus_mux_ring_input(struct xenbus_mux *mux, void **ret_data, size_t *ret_size);
int xenbus_mux_ring_input_done(struct xenbus_mux *mux, size_t n);
