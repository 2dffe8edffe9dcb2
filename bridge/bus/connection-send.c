/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What goes out of a connection: messages with new headers, calls of the bus, and the queue of both. */

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "body.h"
#include "connection-private.h"

#define BATCH 64                        /* of messages, in one call of sendmsg() */
#define DELAYED_MAX (16u * 1024)        /* bytes that wait for others: a bus that could be reading them costs more than a system call */

static void outgoing_free(struct connection *connection, struct outgoing *outgoing) {
        connection->n_queued -= outgoing->n_head + outgoing->n_body - outgoing->offset;
        if (outgoing->size > 0)
                connection->handlers->sent(connection->userdata, outgoing->stream, outgoing->size);
        connection_close_fds(outgoing);
        free(outgoing->data);
        free(outgoing);
}

static void drop_list(struct connection *connection, struct outgoing **first, struct outgoing ***last) {
        struct outgoing *outgoing;

        while ((outgoing = *first)) {
                *first = outgoing->next;
                outgoing_free(connection, outgoing);
        }
        *last = first;
}

void connection_drop_outgoing(struct connection *connection) {
        drop_list(connection, &connection->first, &connection->last);
        drop_list(connection, &connection->first_held, &connection->last_held);
}

/* As much of the queue as one call takes, up to a message with descriptors. Returns the number of pieces. */
static size_t gather(const struct connection *connection, struct iovec *iov, size_t n_max) {
        size_t n = 0;

        for (const struct outgoing *o = connection->first; o && !o->fds && n + 2 <= n_max; o = o->next) {
                size_t skip = o->offset;

                if (skip < o->n_head)
                        iov[n++] = (struct iovec) { (void *) (o->head + skip), o->n_head - skip };
                skip = skip > o->n_head ? skip - o->n_head : 0;
                if (skip < o->n_body)
                        iov[n++] = (struct iovec) { (void *) (o->body + skip), o->n_body - skip };
        }
        return n;
}

static void forget_sent(struct connection *connection, size_t n) {
        while (n > 0) {
                struct outgoing *o = connection->first;
                size_t left = o->n_head + o->n_body - o->offset;

                if (n < left) {
                        o->offset += n;
                        connection->n_queued -= n;
                        return;
                }
                n -= left;
                connection->first = o->next;
                if (!connection->first)
                        connection->last = &connection->first;
                outgoing_free(connection, o);
        }
}

int connection_write(struct connection *connection) {
        while (connection->first) {
                struct iovec iov[2 * BATCH];
                struct msghdr header = { .msg_iov = iov, .msg_iovlen = gather(connection, iov, 2 * BATCH) };
                ssize_t n;

                if (connection->first->fds)
                        n = connection_send_first(connection);
                else
                        n = sendmsg(connection->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        connection->blocked = errno != EPIPE && errno != ECONNRESET;
                        return errno == EAGAIN ? 0 : -errno;
                }
                forget_sent(connection, (size_t) n);
        }
        connection->blocked = false;
        return 0;
}

/*
 * Sends what waits in the outbox. An error does not end it here, under the feet of who sends: that the bus is gone is noticed where it is read, as
 * there may be something yet, and of others the event loop tells, as of what blocks.
 */
static void write_delayed(struct connection *connection) {
        connection_leave_outbox(connection);
        connection->busy++;             /* the handler sent may want to free it */
        connection_write(connection);
        connection->busy--;
        connection_watch(connection);
}

void outbox_init(struct outbox *outbox) {
        *outbox = (struct outbox) { .last = &outbox->first };
}

static void enter_outbox(struct connection *connection) {
        struct outbox *outbox = connection->outbox;

        if (connection->link_in_outbox)
                return;
        connection->link_in_outbox = outbox->last;
        connection->next_in_outbox = NULL;
        *outbox->last = connection;
        outbox->last = &connection->next_in_outbox;
}

void connection_leave_outbox(struct connection *connection) {
        struct connection *next = connection->next_in_outbox;

        if (!connection->link_in_outbox)
                return;
        *connection->link_in_outbox = next;
        *(next ? &next->link_in_outbox : &connection->outbox->last) = connection->link_in_outbox;
        connection->link_in_outbox = NULL;
}

void outbox_send(struct outbox *outbox) {
        struct connection *connection;

        while ((connection = outbox->first)) {
                connection->busy++;
                write_delayed(connection);
                connection_settle(connection, 0);
        }
}

int connection_queue(struct connection *connection, struct outgoing *outgoing) {
        connection->n_queued += outgoing->n_head + outgoing->n_body;
        outgoing->next = NULL;
        if (connection->held && outgoing->held) {
                *connection->last_held = outgoing;
                connection->last_held = &outgoing->next;
                return 0;
        }
        *connection->last = outgoing;
        connection->last = &outgoing->next;
        if (connection->blocked)
                return 0;
        enter_outbox(connection);
        if (connection->n_queued > DELAYED_MAX)
                write_delayed(connection);
        return 0;
}

void connection_hold(struct connection *connection) {
        connection->held = true;
}

void connection_let_go(struct connection *connection) {
        connection->held = false;
        if (!connection->first_held)
                return;
        *connection->last = connection->first_held;
        connection->last = connection->last_held;
        connection->first_held = NULL;
        connection->last_held = &connection->first_held;
        write_delayed(connection);
}

uint32_t connection_serial(struct connection *connection) {
        if (++connection->serial == 0)
                connection->serial = 1;
        return connection->serial;
}

/* Takes fds, message->n_fds of them. */
static int queue_message(struct connection *connection, const struct message *message, uint8_t *data, uint32_t stream, uint32_t size,
                         bool held, int *fds) {
        size_t n = message_header_size(message), n_head;
        struct outgoing *outgoing = malloc(sizeof *outgoing + n);
        int r = -ENOMEM;

        if (outgoing)
                r = message_write_header(message, outgoing->head, n, &n_head);
        if (r < 0 || connection->lost) {
                struct outgoing dropped = { .fds = fds, .n_fds = message->n_fds };

                connection_close_fds(&dropped);
                free(outgoing);
                free(data);
                if (size > 0)
                        connection->handlers->sent(connection->userdata, stream, size);
                return r < 0 ? r : -ENOTCONN;
        }
        *outgoing = (struct outgoing) {
                .n_head = n_head,
                .data = data,
                .body = message->body,
                .n_body = message->n_body,
                .stream = stream,
                .size = size,
                .fds = fds,
                .n_fds = message->n_fds,
                .held = held,
        };
        return connection_queue(connection, outgoing);
}

int connection_send(struct connection *connection, const struct message *message, uint8_t *data, uint32_t stream, uint32_t size) {
        return queue_message(connection, message, data, stream, size, true, NULL);
}

int connection_send_fds(struct connection *connection, const struct message *message, uint8_t *data, uint32_t stream, uint32_t size,
                        int *fds) {
        return queue_message(connection, message, data, stream, size, true, fds);
}

static int remember(struct connection *connection, uint32_t serial, connection_reply_t reply, void *userdata) {
        struct waiting *waiting = malloc(sizeof *waiting);
        int r;

        if (!waiting)
                return -ENOMEM;
        *waiting = (struct waiting) { .serial = serial, .reply = reply, .userdata = userdata };
        r = table_add_number(connection->waiting, serial, waiting);
        if (r < 0)
                free(waiting);
        return r;
}

/* Only what has arguments of up to two strings and a number is ever called. */
static int make_arguments(struct message *call, uint8_t **ret_body, const char *types, va_list args) {
        const char *s;
        uint32_t u;

        if (*types == '\0')
                return 0;
        if (strcmp(types, "s") == 0)
                return message_make_body(call, ret_body, "s", va_arg(args, const char *));
        assert(strcmp(types, "su") == 0);
        s = va_arg(args, const char *);
        u = va_arg(args, uint32_t);
        return message_make_body(call, ret_body, "su", s, u);
}

int connection_call(struct connection *connection, connection_reply_t reply, void *userdata, const char *member, const char *types, ...) {
        struct message call = {
                .big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__,
                .type = MESSAGE_METHOD_CALL,
                .flags = reply ? 0 : MESSAGE_NO_REPLY_EXPECTED,
                .path = "/org/freedesktop/DBus",
                .interface = "org.freedesktop.DBus",
                .member = member,
                .destination = "org.freedesktop.DBus",
        };
        uint8_t *body = NULL;
        va_list args;
        int r;

        va_start(args, types);
        r = make_arguments(&call, &body, types, args);
        va_end(args);
        if (r < 0)
                return r;
        call.serial = connection_serial(connection);
        if (reply) {
                r = remember(connection, call.serial, reply, userdata);
                if (r < 0) {
                        free(body);
                        return r;
                }
        }

        /* Names change hands in the order in which they did, and after what their owners had to say. */
        connection->busy++;
        outbox_send(connection->outbox);
        r = queue_message(connection, &call, body, 0, 0, strcmp(member, "Hello") != 0, NULL);
        outbox_send(connection->outbox);
        connection->busy--;
        return r;
}

void connection_flush(struct connection *connection, uint64_t timeout_usec) {
        struct timespec now;
        uint64_t end, usec;

        clock_gettime(CLOCK_MONOTONIC, &now);
        end = (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000 + timeout_usec;
        connection->busy++;
        while (!connection->lost && connection_write(connection) == 0 && connection->first) {
                struct pollfd poll_fd = { .fd = connection->fd, .events = POLLOUT };

                clock_gettime(CLOCK_MONOTONIC, &now);
                usec = (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
                if (usec >= end || poll(&poll_fd, 1, (int) ((end - usec + 999) / 1000)) <= 0)
                        break;
        }
        connection->busy--;
}

uint64_t connection_queued(const struct connection *connection) {
        return connection->n_queued;
}
