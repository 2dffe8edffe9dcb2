/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "xenbus-relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "store-ring.h"
#include "xenbus-connection.h"
#include "xenbus-mux.h"

/* Bytes moved over the ring before other events of the loop get their chance. */
#define RELAY_ROUND (64u * 1024)

struct xenbus_relay {
        sd_event_source *listener;
        sd_event_source *receiver;
        sd_event_source *runner;
        struct xenbus_mux *mux;
        struct xenbus_connection *connections;
        struct store_ring ring;
        struct event_port *port;
        bool refusing;                  /* the last client was refused: said once */
};

/* The hypervisor may have the socket open as well: closing it here would leave clients waiting in its backlog for ever. */
static void relay_close_listener(struct xenbus_relay *relay) {
        int listen_fd, client_fd;

        if (!relay->listener)
                return;

        listen_fd = sd_event_source_get_io_fd(relay->listener);
        shutdown(listen_fd, SHUT_RDWR); /* nobody joins the backlog any more */
        while ((client_fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
                close(client_fd);
        relay->listener = sd_event_source_disable_unref(relay->listener);
}

static void relay_close_connections(struct xenbus_relay *relay) {
        while (relay->connections) {
                struct xenbus_connection *connection = relay->connections;

                relay->connections = connection->next;
                xenbus_connection_free(connection);
        }
}

/* Says why, cuts everybody off, and never looks at the ring again. */
static void relay_stop(struct xenbus_relay *relay, const char *why) {
        log_line("xenbus relay stopped, no more access to the store: %s", why);
        relay_close_listener(relay);
        relay->receiver = sd_event_source_disable_unref(relay->receiver);
        relay->runner = sd_event_source_disable_unref(relay->runner);
        relay_close_connections(relay);
}

/* Moves bytes from the ring, and to it. Each returns how many, or -EPROTO. */
static int relay_read_ring(struct xenbus_relay *relay) {
        void *data;
        size_t size;
        int n, r;

        xenbus_mux_ring_input(relay->mux, &data, &size);
        n = store_ring_read(&relay->ring, data, size);
        if (n <= 0)
                return n;
        r = xenbus_mux_ring_input_done(relay->mux, n);
        return r < 0 ? r : n;
}

static int relay_write_ring(struct xenbus_relay *relay) {
        const void *data;
        size_t size;
        int n;

        xenbus_mux_ring_output(relay->mux, &data, &size);
        if (size == 0)
                return 0;
        n = store_ring_write(&relay->ring, data, size);
        if (n > 0)
                xenbus_mux_ring_output_done(relay->mux, n);
        return n;
}

/* Returns how many bytes went over the ring, or -EPROTO. */
static int relay_turn_ring(struct xenbus_relay *relay) {
        int n_in, n_out;

        if (!store_ring_is_connected(&relay->ring))
                return 0;
        n_in = relay_read_ring(relay);
        if (n_in < 0)
                return n_in;
        n_out = relay_write_ring(relay);
        return n_out < 0 ? n_out : n_in + n_out;
}

/* Returns whether anything was moved or anybody closed. */
static bool relay_turn_connections(struct xenbus_relay *relay) {
        struct xenbus_connection **link = &relay->connections;
        bool moved = false;

        while (*link) {
                struct xenbus_connection *connection = *link;
                const char *trouble;

                moved |= xenbus_connection_send(connection);
                trouble = xenbus_client_trouble(connection->client);
                if (trouble)
                        log_line("xenbus client cut off: %s", trouble);
                if (trouble || connection->closed) {
                        *link = connection->next;
                        xenbus_connection_free(connection);
                        relay->refusing = false;
                        if (relay->listener)
                                sd_event_source_set_enabled(relay->listener, SD_EVENT_ON);
                        moved = true;
                } else
                        link = &connection->next;
        }
        return moved;
}

static void relay_notify(struct xenbus_relay *relay) {
        if (relay->ring.notify)
                event_port_notify(relay->port);
        relay->ring.notify = false;
}

/* Does all that can be done without waiting, then waits. */
static void relay_run(struct xenbus_relay *relay) {
        struct xenbus_connection *connection;
        unsigned n_moved = 0;
        bool moved;
        int n;

        do {
                n = relay_turn_ring(relay);
                if (n < 0)
                        return relay_stop(relay, "xenstored broke the protocol of the ring");
                n_moved += n;
                moved = relay_turn_connections(relay);
        } while ((n > 0 || moved) && n_moved < RELAY_ROUND);

        relay_notify(relay);
        if (n > 0 || moved)
                event_port_wake(relay->port); /* there is more: come back */
        if (store_ring_error(&relay->ring))
                return relay_stop(relay, store_ring_error(&relay->ring));
        for (connection = relay->connections; connection; connection = connection->next)
                xenbus_connection_wait(connection);
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *data) {
        struct xenbus_connection *connection = data;

        xenbus_connection_receive(connection);
        return 0;
}

/* Runs after any other event of the loop. */
static int on_anything(sd_event_source *source, void *data) {
        relay_run(data);
        return 0;
}

static int on_event(sd_event_source *source, int fd, uint32_t events, void *data) {
        struct xenbus_relay *relay = data;

        event_port_take(relay->port);
        event_port_unmask(relay->port);
        return 0;
}

static void relay_refuse(struct xenbus_relay *relay, int error) {
        if (!relay->refusing)
                log_line("xenbus client refused, %u are served: %s", xenbus_mux_n_clients(relay->mux), strerror(error));
        relay->refusing = true;
}

static int on_listener(sd_event_source *source, int fd, uint32_t events, void *data) {
        struct xenbus_relay *relay = data;
        struct xenbus_connection *connection;
        int client_fd, r;

        client_fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client_fd < 0) {
                if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
                        return 0;
                /* Out of descriptors or memory: the loop would come back at once, so wait until a client has gone. */
                relay_refuse(relay, errno);
                sd_event_source_set_enabled(source, relay->connections ? SD_EVENT_OFF : SD_EVENT_ON);
                return 0;
        }

        r = xenbus_connection_new(&connection, sd_event_source_get_event(source), relay->mux, client_fd, on_connection);
        if (r < 0) {
                relay_refuse(relay, -r);
                return 0;
        }
        connection->next = relay->connections;
        relay->connections = connection;
        return 0;
}

/* Takes listen_fd over as the last thing that can fail. */
static int relay_add_sources(struct xenbus_relay *relay, sd_event *event, int listen_fd) {
        int r;

        r = sd_event_add_post(event, &relay->runner, on_anything, relay);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &relay->receiver, relay->port->receive_fd, EPOLLIN, on_event, relay);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &relay->listener, listen_fd, EPOLLIN, on_listener, relay);
        if (r < 0)
                return r;
        sd_event_source_set_io_fd_own(relay->listener, true);
        return 0;
}

int xenbus_relay_new(struct xenbus_relay **ret_relay, sd_event *event, struct xenstore_domain_interface *page, struct event_port *port,
                     int listen_fd, bool introduced) {
        struct xenbus_relay *relay = calloc(1, sizeof *relay);
        int r = -ENOMEM;

        if (!relay)
                return -ENOMEM;
        relay->port = port;
        store_ring_init(&relay->ring, page);
        if (!introduced)
                store_ring_await_introduction(&relay->ring);
        relay->mux = xenbus_mux_new();
        if (relay->mux)
                r = relay_add_sources(relay, event, listen_fd);
        if (r < 0) {
                xenbus_relay_free(relay);
                return r;
        }
        *ret_relay = relay;
        return 0;
}

struct xenbus_relay *xenbus_relay_free(struct xenbus_relay *relay) {
        if (!relay)
                return NULL;
        relay_close_connections(relay);
        sd_event_source_disable_unref(relay->listener);
        sd_event_source_disable_unref(relay->receiver);
        sd_event_source_disable_unref(relay->runner);
        xenbus_mux_free(relay->mux);
        free(relay);
        return NULL;
}
