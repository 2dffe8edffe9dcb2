/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A connection's life, and what comes in. */

#include "connection.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "body.h"
#include "connection-private.h"

#define BUS_NAME "org.freedesktop.DBus"
#define AUTH_LINE_MAX 1024u             /* of what the bus says before OK */
#define SERIAL_BEFORE (UINT32_MAX - 100)        /* the first but one: that serials wrap is then nothing rare, which nobody has ever seen */

static void destroy(struct connection *connection) {
        struct waiting *waiting;
        size_t iterator = 0;

        connection_leave_outbox(connection);
        connection_drop_outgoing(connection);
        connection_drop_fds(connection);
        while (connection->waiting && (waiting = table_next(connection->waiting, &iterator))) {
                waiting->reply(waiting->userdata, NULL);
                free(waiting);
        }
        table_free(connection->waiting);
        if (connection->large)
                budget_return(connection->budget, connection->large_size);
        free(connection->large);
        sd_event_source_disable_unref(connection->io);
        sd_event_unref(connection->event);
        if (connection->fd >= 0)
                close(connection->fd);
        free(connection->unique);
        free(connection);
}

struct connection *connection_free(struct connection *connection) {
        if (!connection)
                return NULL;
        connection->doomed = true;
        if (connection->busy == 0) {
                connection->busy++;     /* handlers called at the end may not end it again */
                destroy(connection);
        }
        return NULL;
}

static void connection_lose(struct connection *connection, int error) {
        if (connection->lost)
                return;
        connection->lost = true;
        connection->io = sd_event_source_disable_unref(connection->io);
        if (connection->doomed)
                return;
        if (connection->draining)
                connection->handlers->drained(connection->userdata);
        else
                connection->handlers->lost(connection->userdata, error);
}

void connection_watch(struct connection *connection) {
        uint32_t events = 0;

        if (!connection->io)
                return;
        if (!connection->paused && !connection->starving)
                events |= EPOLLIN;
        if (connection->blocked)
                events |= EPOLLOUT;
        sd_event_source_set_io_events(connection->io, events);
}

void connection_pause(struct connection *connection) {
        connection->paused = true;
        connection_watch(connection);
}

static void on_drained(void *userdata, const struct message *reply) {
        if (reply)
                connection_lose(userdata, 0);
}

/* A bus drops what it has not handled yet of a connection that is closed: what comes last is a question, which it answers when it has. */
bool connection_drain(struct connection *connection) {
        if (connection->lost || connection_call(connection, on_drained, connection, "GetId", "") < 0)
                return true;
        connection->draining = true;
        connection->paused = false;
        connection_watch(connection);
        return false;
}

const char *connection_unique(const struct connection *connection) {
        return connection->unique;
}

/* What comes in */

static void answer(struct connection *connection, const struct message *message) {
        struct waiting *waiting = table_remove_number(connection->waiting, message->reply_serial);

        waiting->reply(waiting->userdata, message);
        free(waiting);
}

static bool is_answer(const struct connection *connection, const struct message *message) {
        return (message->type == MESSAGE_METHOD_RETURN || message->type == MESSAGE_ERROR) && message->sender &&
               strcmp(message->sender, BUS_NAME) == 0 && table_get_number(connection->waiting, message->reply_serial);
}

/* Takes data. */
static int handle_message(struct connection *connection, uint8_t *data, size_t size) {
        struct message message;
        int r;

        r = message_parse(data, size, &message);
        if (r != 0) {                   /* a bus that sends such a thing is not understood any further */
                free(data);
                return -EBADMSG;
        }
        r = connection_begin_fds(connection, message.n_fds);
        if (r < 0) {
                free(data);
                return r;
        }
        if (is_answer(connection, &message)) {
                answer(connection, &message);
                if (size > CONNECTION_BUFFER)
                        budget_return(connection->budget, size);
                free(data);
        } else if (connection->draining || connection->doomed) {
                if (size > CONNECTION_BUFFER)
                        budget_return(connection->budget, size);
                free(data);
        } else
                connection->handlers->message(connection->userdata, data, size, &message);
        return 0;
}

static int handle(struct connection *connection, uint8_t *data, size_t size) {
        int r;

        r = handle_message(connection, data, size);
        connection_end_fds(connection);
        connection->announced = false;
        return r;
}

/* A line that the bus says: that it knows us, or not; then, that it passes descriptors, or not. Returns 1 if it is there. */
static int read_line(struct connection *connection) {
        uint8_t *line = connection->buffer + connection->start;
        size_t n = connection->end - connection->start;
        uint8_t *end = memmem(line, n, "\r\n", 2);

        if (!end)
                return n > AUTH_LINE_MAX ? -EBADMSG : 0;
        if (connection->recognised)
                connection->passes_fds = (size_t) (end - line) == strlen("AGREE_UNIX_FD") && memcmp(line, "AGREE_UNIX_FD", (size_t) (end - line)) == 0;
        else if ((size_t) (end - line) < 3 || memcmp(line, "OK ", 3) != 0)
                return -EACCES;
        connection->start += (size_t) (end - line) + 2;
        connection->authenticated = connection->recognised;
        connection->recognised = true;
        return 1;
}

static int read_auth(struct connection *connection) {
        int r = 1;

        while (r > 0 && !connection->authenticated)
                r = read_line(connection);
        return r;
}

/* Begins with a message that is larger than the buffer. */
static int begin_large(struct connection *connection, size_t size) {
        size_t n = connection->end - connection->start;

        if (!budget_take(connection->budget, size)) {
                connection->starving = true;
                return 0;
        }
        connection->large = malloc(size);
        if (!connection->large) {
                budget_return(connection->budget, size);
                return -ENOMEM;
        }
        memcpy(connection->large, connection->buffer + connection->start, n);
        connection->n_large = n;
        connection->large_size = size;
        connection->start = connection->end = 0;
        return 0;
}

/* Handles the messages in the buffer. Returns 0 when there is no whole one left. */
static int handle_buffer(struct connection *connection) {
        int r;

        if (!connection->authenticated) {
                r = read_auth(connection);
                if (r <= 0)
                        return r;
        }
        while (connection->end - connection->start >= MESSAGE_FIXED_SIZE && !connection->doomed && !connection->paused) {
                const uint8_t *p = connection->buffer + connection->start;
                size_t n = connection->end - connection->start, size;
                uint8_t *data;

                if (message_length(p, n, &size) != 0)
                        return -EBADMSG;
                if (size > CONNECTION_BUFFER)
                        return begin_large(connection, size);
                if (n < size)
                        return 0;
                data = malloc(size);
                if (!data)
                        return -ENOMEM;
                memcpy(data, p, size);
                connection->start += size;
                r = handle(connection, data, size);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_large(struct connection *connection) {
        uint8_t *data = connection->large;
        ssize_t n;

        n = connection_receive(connection, data + connection->n_large, connection->large_size - connection->n_large);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -ECONNRESET;
        connection->unseen = connection->fresh = true;
        connection->n_large += (size_t) n;
        if (connection->n_large < connection->large_size)
                return 1;
        connection->large = NULL;       /* from here on, the budget is the receiver's, who knows by the size */
        return handle(connection, data, connection->large_size) < 0 ? -EBADMSG : 1;
}

/* Returns 1 if something came, 0 if nothing was there. */
static int read_once(struct connection *connection) {
        ssize_t n;
        int r;

        if (connection->large)
                return read_large(connection);
        if (connection->start > 0) {
                memmove(connection->buffer, connection->buffer + connection->start, connection->end - connection->start);
                connection->end -= connection->start;
                connection->start = 0;
        }
        n = connection_receive(connection, connection->buffer + connection->end, CONNECTION_BUFFER - connection->end);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -ECONNRESET;
        connection->unseen = connection->fresh = true;
        connection->end += (size_t) n;
        r = handle_buffer(connection);
        return r < 0 ? r : 1;
}

void connection_settle(struct connection *connection, int r) {
        if (--connection->busy > 0)
                return;
        if (r < 0 && !connection->lost) {
                connection->busy++;
                connection_lose(connection, r);
                connection->busy--;
        }
        if (connection->doomed) {
                connection->busy++;
                destroy(connection);
        } else
                connection_watch(connection);
}

static bool reads(const struct connection *connection) {
        return !connection->paused && !connection->starving && !connection->doomed && !connection->lost;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct connection *connection = userdata;
        int r = 0;

        connection->busy++;
        if (events & EPOLLOUT)
                r = connection_write(connection);
        if (r == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
                connection->announced = events & EPOLLIN;
                if (reads(connection))
                        r = read_once(connection);
                else if (events & (EPOLLHUP | EPOLLERR))
                        r = -ECONNRESET;
        }
        connection_settle(connection, r);
        return 0;
}

void connection_drain_input(struct connection *connection) {
        int r = 1;

        connection->busy++;
        connection->announced = false;
        while (r > 0 && reads(connection))
                r = read_once(connection);
        connection_settle(connection, r);
}

bool connection_is_ahead(const struct connection *connection) {
        return connection->unseen && !connection->announced;
}

void connection_caught_up(struct connection *connection) {
        connection->unseen = false;
}

bool connection_is_fresh(const struct connection *connection) {
        return connection->fresh;
}

void connection_settled(struct connection *connection) {
        connection->fresh = false;
}

static void go_on(struct connection *connection) {
        int r;

        connection->busy++;
        r = reads(connection) && !connection->large ? handle_buffer(connection) : 0;
        connection_settle(connection, r);
}

void connection_resume(struct connection *connection) {
        connection->paused = false;
        if (connection->busy == 0)
                go_on(connection);
}

void connection_retry(struct connection *connection) {
        if (!connection->starving)
                return;
        connection->starving = false;
        if (connection->busy == 0)
                go_on(connection);
}

/* Its beginning */

static int connect_socket(struct connection *connection, const char *path) {
        static const struct timeval patience = { .tv_sec = 1 };
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t n = strlen(path);

        if (n >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, n);
        if (path[0] == '@')
                address.sun_path[0] = '\0';
        connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connection->fd < 0)
                return -errno;
        /* Waits only while the bus has a full backlog, unix(7): it does when a link comes up with many peers. All else does not wait. */
        if (setsockopt(connection->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0)
                return -errno;
        if (connect(connection->fd, (struct sockaddr *) &address, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n)) < 0)
                return -errno;
        return 0;
}

/* D-Bus Specification, "Authentication Protocol": all that we have to say before the first message, at once. */
static int authenticate(struct connection *connection) {
        struct outgoing *outgoing;
        char uid[16], text[128], *p = text;

        snprintf(uid, sizeof uid, "%u", (unsigned) geteuid());
        *p++ = '\0';
        p = stpcpy(p, "AUTH EXTERNAL ");
        for (const char *digit = uid; *digit; digit++)
                p += sprintf(p, "%02x", (unsigned char) *digit);
        p = stpcpy(p, "\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
        outgoing = malloc(sizeof *outgoing + (size_t) (p - text));
        if (!outgoing)
                return -ENOMEM;
        *outgoing = (struct outgoing) { .n_head = (size_t) (p - text) };
        memcpy(outgoing->head, text, outgoing->n_head);
        return connection_queue(connection, outgoing);
}

static void on_hello(void *userdata, const struct message *reply) {
        struct connection *connection = userdata;
        const char *unique;

        if (!reply)
                return;
        if (reply->type != MESSAGE_METHOD_RETURN || message_read(reply, "s", &unique) < 0) {
                connection_lose(connection, -EACCES);
                return;
        }
        connection->unique = strdup(unique);
        if (!connection->unique)
                connection_lose(connection, -ENOMEM);
        else if (connection->draining)
                connection_let_go(connection);
        else if (!connection->doomed)
                connection->handlers->ready(connection->userdata, connection->unique);
}

static int start(struct connection *connection, const struct connection_bus *bus) {
        int r;

        r = table_new(&connection->waiting);
        if (r < 0)
                return r;
        r = connect_socket(connection, bus->path);
        if (r < 0)
                return r;
        r = sd_event_add_io(bus->event, &connection->io, connection->fd, EPOLLIN, on_io, connection);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(connection->io, bus->priority);
        if (r < 0)
                return r;
        r = authenticate(connection);
        if (r < 0)
                return r;
        return connection_call(connection, on_hello, connection, "Hello", "");
}

int connection_new(struct connection **ret_connection, const struct connection_bus *bus, const struct connection_handlers *handlers,
                   void *userdata) {
        struct connection *connection = malloc(sizeof *connection);
        int r;

        if (!connection)
                return -ENOMEM;
        memset(connection, 0, offsetof(struct connection, buffer));
        connection->fd = -1;
        connection->serial = SERIAL_BEFORE;
        connection->handlers = handlers;
        connection->userdata = userdata;
        connection->event = sd_event_ref(bus->event);
        connection->budget = bus->budget;
        connection->outbox = bus->outbox;
        connection->last = &connection->first;
        connection->last_held = &connection->first_held;
        r = start(connection, bus);
        if (r < 0) {
                connection_free(connection);
                return r;
        }
        *ret_connection = connection;
        return 0;
}
