/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The socket of one client of the xenbus relay: moves bytes between it and the multiplexer. */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "xenbus-mux.h"

struct xenbus_connection {
        struct xenbus_connection *next; /* the relay's list */
        struct xenbus_mux *mux;
        struct xenbus_client *client;
        sd_event_source *source;
        bool deaf;                      /* the other end is closed: replies go nowhere, but what it has sent is still done */
        bool closed;                    /* nothing more comes */
};

/*
 * Takes a connected socket over, whether it succeeds or not. The handler is called with the connection when the socket needs attention,
 * and calls xenbus_connection_receive(). Returns 0, -EUSERS if there are too many clients, or another negative errno.
 */
int xenbus_connection_new(struct xenbus_connection **ret_connection, sd_event *event, struct xenbus_mux *mux, int fd,
                          sd_event_io_handler_t handler);

/* Closes the socket; the multiplexer tidies up. */
struct xenbus_connection *xenbus_connection_free(struct xenbus_connection *connection);

/* Reads what the multiplexer has room for: a piece of one message. */
void xenbus_connection_receive(struct xenbus_connection *connection);

/* Writes what the multiplexer has for the client, as far as the socket takes it. Returns whether there was anything. */
bool xenbus_connection_send(struct xenbus_connection *connection);

/* Waits for what can be done next. */
void xenbus_connection_wait(struct xenbus_connection *connection);
