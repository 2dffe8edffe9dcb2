/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The other end of the connections, the same for both transports: one thread, one epoll. Prints its port. */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rounds.h"
#include "transport.h"

#define EVENTS 64

struct connection {
        int fd;
        uint8_t purpose;                /* 0: not known yet */
        uint64_t left;                  /* of a sink's round */
};

static uint8_t data[1 << 18];

/* Whether the connection goes on. */
static bool serve_sink(struct connection *connection) {
        uint64_t n_bytes;
        ssize_t n;

        if (connection->left == 0) {
                if (recv(connection->fd, &n_bytes, sizeof n_bytes, MSG_WAITALL) != sizeof n_bytes)
                        return false;
                connection->left = n_bytes;
                return true;
        }
        n = recv(connection->fd, data, connection->left < sizeof data ? (size_t) connection->left : sizeof data, 0);
        if (n <= 0)
                return false;
        connection->left -= (uint64_t) n;
        return connection->left > 0 || send(connection->fd, data, 1, MSG_NOSIGNAL) == 1;
}

static bool serve(struct connection *connection) {
        ssize_t n;

        if (connection->purpose == PURPOSE_SINK)
                return serve_sink(connection);
        if (connection->purpose == 0)
                return recv(connection->fd, &connection->purpose, 1, 0) == 1;
        n = recv(connection->fd, data, sizeof data, 0);
        return n > 0 && send(connection->fd, data, (size_t) n, MSG_NOSIGNAL) == n;
}

static void take(int listener, int epoll) {
        const int on = 1;
        struct connection *connection = calloc(1, sizeof *connection);
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };

        if (!connection)
                exit(rounds_fail("bench-pvcalls-server", "allocate"));
        connection->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection->fd < 0) {       /* it was reset meanwhile */
                free(connection);
                return;
        }
        (void) setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event);
}

static int listen_anywhere(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = transport_address() };
        socklen_t size = sizeof address;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (struct sockaddr *) &address, size) < 0 || listen(fd, 4096) < 0 ||
            getsockname(fd, (struct sockaddr *) &address, &size) < 0)
                exit(rounds_fail("bench-pvcalls-server", "listen"));
        printf("port %u\n", ntohs(address.sin_port));
        fflush(stdout);
        return fd;
}

int main(int argc, char **argv) {
        int listener = listen_anywhere(), epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN }, events[EVENTS];
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
        for (;;) {
                int n = epoll_wait(epoll, events, EVENTS, -1);

                for (int i = 0; i < n; i++) {
                        struct connection *connection = events[i].data.ptr;

                        if (!connection) {
                                take(listener, epoll);
                        } else if (!serve(connection)) {
                                close(connection->fd);
                                free(connection);
                        }
                }
        }
}
