/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Connections: one client of this domain's bus, as bytes.
 *
 * Nothing blocks and nothing is copied that need not be: messages are handed over as they came, and go out with a new header in front of
 * the body that they came with. What the program sends is queued from the start, and goes out as soon as the bus takes it. Messages that
 * are larger than CONNECTION_BUFFER take their memory out of a budget, and the connection is not read while there is none.
 *
 * The bus is a UNIX socket, and who connects is known to it by the socket (SASL EXTERNAL). Descriptors are taken if the bus passes them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <systemd/sd-event.h>

#include "budget.h"
#include "message.h"

#define CONNECTION_BUFFER (64u * 1024)

struct connection;

struct connection_handlers {
        /* It has its unique name. */
        void (*ready)(void *userdata, const char *unique);

        /* A message that is no answer to connection_call(). data is the receiver's, to be freed, and the view points into it. */
        void (*message)(void *userdata, uint8_t *data, size_t size, const struct message *message);

        /* A message given to connection_send() needs no memory any longer: it went out, or never will. */
        void (*sent)(void *userdata, uint32_t stream, uint32_t size);

        /* The bus has ended it, or could not be reached. Nothing else is called afterwards; it is still to be freed. */
        void (*lost)(void *userdata, int error);

        /* After connection_drain(): the bus has handled all of it, or never will. It is still to be freed. */
        void (*drained)(void *userdata);
};

/* Connections of a bus that have something to send since outbox_send(). */
struct outbox {
        struct connection *first, **last;
};

struct connection_bus {
        sd_event *event;
        const char *path;               /* of the socket; with '@' first, in the abstract namespace */
        int64_t priority;               /* of its events, sd_event_source_set_priority(3) */
        struct budget *budget;          /* for large messages that come */
        struct outbox *outbox;          /* what is sent goes out with outbox_send(), what came at once in one piece */
};

/* Connects. handlers have to live as long as the connection. */
int connection_new(struct connection **ret_connection, const struct connection_bus *bus, const struct connection_handlers *handlers,
                   void *userdata);

/* Ends it at once. May be called by a handler of its own. */
struct connection *connection_free(struct connection *connection);

/*
 * Sends only what it has been given already: of the handlers, only sent is called any longer, and at the end drained. Returns whether it can be
 * freed at once, as it is lost: then drained is not called.
 */
bool connection_drain(struct connection *connection);

/* Tries for so long to send what is queued, and blocks meanwhile: for a program that ends. */
void connection_flush(struct connection *connection, uint64_t timeout_usec);

/* Its name on the bus; NULL until it is known. */
const char *connection_unique(const struct connection *connection);

/* A serial for the next message: never 0, and used again after 2^32 messages. */
uint32_t connection_serial(struct connection *connection);

/*
 * Sends a message: the header that the view says, then its body. data is what the body lies in: it is taken, and freed; NULL if there is
 * no body. stream and size are for the handler sent, which is not called if size is 0. On failure data is freed, and sent is called.
 */
int connection_send(struct connection *connection, const struct message *message, uint8_t *data, uint32_t stream, uint32_t size);

/*
 * Sends a message with descriptors, message->n_fds of them: they are taken and closed, and the array is freed, also on failure. The bus must
 * be one that passes some.
 */
int connection_send_fds(struct connection *connection, const struct message *message, uint8_t *data, uint32_t stream, uint32_t size,
                        int *fds);

/*
 * In the handler message: the descriptors that came with it, n_fds of them, in an array to be freed. Those that nobody takes are closed when
 * the handler returns. NULL if there are none.
 */
int *connection_take_fds(struct connection *connection);

/*
 * Of the message that is handled: whether it may have come after the event loop looked at its sockets, so that what the bus has sent to another
 * connection before it may not be known to the loop yet. It is no longer when all of that has been read: then connection_caught_up() is called.
 */
bool connection_is_ahead(const struct connection *connection);
void connection_caught_up(struct connection *connection);

/*
 * Of the message that is handled: whether it may have come after connection_settled() was called last. Those that were read at once have all come when that
 * is called for the first of them.
 */
bool connection_is_fresh(const struct connection *connection);
void connection_settled(struct connection *connection);

/* Sends what is in the outbox: to be called before the program waits. */
void outbox_init(struct outbox *outbox);
void outbox_send(struct outbox *outbox);

/* What the bus itself answers to a call. reply is NULL if there will be no answer: the connection ended. */
typedef void (*connection_reply_t)(void *userdata, const struct message *reply);

/*
 * Calls a method of the bus itself, after what is in the outbox has gone out. types and arguments are those of message_make_body(). If reply is NULL, no answer is asked for. At the
 * connection's end, handlers that still wait are called with NULL.
 */
int connection_call(struct connection *connection, connection_reply_t reply, void *userdata, const char *member, const char *types, ...);

/* While it is paused, it is not read. */
void connection_pause(struct connection *connection);
void connection_resume(struct connection *connection);

/* Reads and handles all that is there now, instead of waiting for the event loop. */
void connection_drain_input(struct connection *connection);

/* There may be memory in the budget again. */
void connection_retry(struct connection *connection);

/* What is sent is kept back until it is let go, but for what makes the connection ready. */
void connection_hold(struct connection *connection);
void connection_let_go(struct connection *connection);

/* Bytes that the bus has not taken yet. */
uint64_t connection_queued(const struct connection *connection);
