/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "xenbus-connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int xenbus_connection_new(struct xenbus_connection **ret_connection, sd_event *event, struct xenbus_mux *mux, int fd,
                          sd_event_io_handler_t handler) {
        struct xenbus_connection *connection = calloc(1, sizeof *connection);
        int r = connection ? 0 : -ENOMEM;

        if (r >= 0)
                r = sd_event_add_io(event, &connection->source, fd, EPOLLIN, handler, connection);
        if (r >= 0)
                r = xenbus_mux_add(mux, &connection->client);
        if (r < 0) {
                if (connection)
                        sd_event_source_unref(connection->source);
                free(connection);
                close(fd);
                return r;
        }
        sd_event_source_set_io_fd_own(connection->source, true);
        connection->mux = mux;
        *ret_connection = connection;
        return 0;
}

struct xenbus_connection *xenbus_connection_free(struct xenbus_connection *connection) {
        if (!connection)
                return NULL;
        xenbus_mux_remove(connection->mux, connection->client);
        sd_event_source_disable_unref(connection->source);
        free(connection);
        return NULL;
}

void xenbus_connection_receive(struct xenbus_connection *connection) {
        void *data;
        size_t size;
        ssize_t n;

        xenbus_client_input(connection->client, &data, &size);
        if (size == 0)
                return;
        n = recv(sd_event_source_get_io_fd(connection->source), data, size, MSG_DONTWAIT);
        if (n > 0)
                xenbus_client_input_done(connection->client, n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
                connection->closed = true;
}

bool xenbus_connection_send(struct xenbus_connection *connection) {
        const void *data;
        size_t size;
        ssize_t n = -1;

        xenbus_client_output(connection->client, &data, &size);
        if (size == 0)
                return false;
        if (!connection->deaf) {
                n = send(sd_event_source_get_io_fd(connection->source), data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return false;
                connection->deaf = n < 0;
        }
        xenbus_client_output_done(connection->client, n < 0 ? size : (size_t) n);
        return true;
}

void xenbus_connection_wait(struct xenbus_connection *connection) {
        const void *output;
        void *input;
        size_t n_output, n_input;
        uint32_t events;

        xenbus_client_output(connection->client, &output, &n_output);
        xenbus_client_input(connection->client, &input, &n_input);
        events = (n_output > 0 ? EPOLLOUT : 0) | (n_input > 0 ? EPOLLIN : 0);

        /* Off and not merely without events: a hang-up would be reported all the same, again and again. */
        sd_event_source_set_io_events(connection->source, events);
        sd_event_source_set_enabled(connection->source, events ? SD_EVENT_ON : SD_EVENT_OFF);
}
