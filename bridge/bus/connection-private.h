/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A connection's insides, which its two halves share: connection.c reads and is alive, connection-send.c writes. */

#include "connection.h"
#include "table.h"

struct outgoing {
        size_t n_head;                  /* of head */
        uint8_t *data;                  /* what body lies in */
        const uint8_t *body;
        size_t n_body;
        size_t offset;                  /* of the first byte that has not gone out */
        uint32_t stream, size;          /* for the handler sent */
        int *fds;                       /* that go with its first byte; NULL: none, or they have gone */
        unsigned n_fds;
        bool held;                      /* may be kept back */
        struct outgoing *next;
        uint8_t head[];                 /* the header, or text of the authentication */
};

struct connection {
        const struct connection_handlers *handlers;
        void *userdata;
        sd_event *event;
        sd_event_source *io;
        struct budget *budget;
        struct outbox *outbox;
        struct connection *next_in_outbox, **link_in_outbox;    /* link: NULL if it is not there */
        int fd;
        char *unique;
        bool recognised;                /* the bus has said OK */
        bool authenticated;             /* and whether it passes descriptors: what follows are messages */
        bool passes_fds;
        int *fds;                       /* that have come, in their order; those of messages that are not read yet */
        size_t n_fds, fds_size;
        int *current_fds;               /* of the message that is handled */
        unsigned n_current_fds;
        bool lost, doomed, draining, paused, starving, held;
        bool blocked;                   /* the bus did not take all of the queue */
        bool unseen;                    /* what was read last may be ahead of the event loop, but for */
        bool announced;                 /* the next message, which the loop has told of */
        bool fresh;                     /* something was read since connection_settled() */
        unsigned busy;                  /* handlers on the stack: it must not be freed under them */
        uint32_t serial;
        struct table *waiting;          /* struct waiting by serial */

        struct outgoing *first, **last; /* what goes out next; behind it, if it is held, */
        struct outgoing *first_held, **last_held;       /* what is kept back */
        uint64_t n_queued;

        uint8_t *large;                 /* a message larger than the buffer, while it comes */
        size_t n_large, large_size;
        size_t start, end;
        uint8_t buffer[CONNECTION_BUFFER];
};

struct waiting {
        uint32_t serial;
        connection_reply_t reply;
        void *userdata;
};

/* Sends what can be sent. Returns 0, or a negative errno of the socket. */
int connection_write(struct connection *connection);

/* Queues bytes, which are taken. */
int connection_queue(struct connection *connection, struct outgoing *outgoing);
void connection_drop_outgoing(struct connection *connection);
void connection_leave_outbox(struct connection *connection);

/* connection-fds.c: recv() that takes descriptors as well; and those of a message that has come, which are dropped after it was handled. */
ssize_t connection_receive(struct connection *connection, void *data, size_t n);
int connection_begin_fds(struct connection *connection, unsigned n);
void connection_end_fds(struct connection *connection);
void connection_drop_fds(struct connection *connection);

/* Sends the first message, with its descriptors; as sendmsg(). */
ssize_t connection_send_first(struct connection *connection);
void connection_close_fds(struct outgoing *outgoing);

/* What the event loop is to tell of. */
void connection_watch(struct connection *connection);

/* To be called after handlers were, which busy was counted up for. r: an error ends the connection. */
void connection_settle(struct connection *connection, int r);
