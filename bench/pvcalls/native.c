/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The peer: TCP sockets of the host's on loopback, used in the plainest way. */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rounds.h"
#include "transport.h"

static int fds[TRANSPORT_CONNECTIONS_MAX];

int transport_open(int argc, char **argv) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
        return 0;
}

static void connect_one(unsigned number, uint16_t port) {
        const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = transport_address() };
        const int on = 1;

        fds[number] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fds[number] < 0 || connect(fds[number], (const struct sockaddr *) &address, sizeof address) < 0)
                exit(rounds_fail("bench-pvcalls-native", "connect"));
        (void) setsockopt(fds[number], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void transport_connect(unsigned first, unsigned n, uint16_t port) {
        for (unsigned i = 0; i < n; i++)
                connect_one(first + i, port);
}

void transport_close(unsigned first, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                close(fds[first + i]);
}

void transport_write(unsigned number, const void *data, size_t n) {
        for (size_t done = 0; done < n;) {
                ssize_t written = send(fds[number], (const uint8_t *) data + done, n - done, MSG_NOSIGNAL);

                if (written <= 0)
                        exit(rounds_fail("bench-pvcalls-native", "write"));
                done += (size_t) written;
        }
}

void transport_read(unsigned number, void *data, size_t n) {
        for (size_t done = 0; done < n;) {
                ssize_t got = recv(fds[number], (uint8_t *) data + done, n - done, 0);

                if (got <= 0)
                        exit(rounds_fail("bench-pvcalls-native", "read"));
                done += (size_t) got;
        }
}

void transport_serve(uint16_t port) {
        exit(rounds_fail("bench-pvcalls-native", "serve: bench-pvcalls-server does"));
}
