/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tcp-peer: the other end of connections that PV Calls carries, on plain sockets of Linux, on 127.0.0.1.
 *
 *     tcp-peer echo PORT COUNT        serves COUNT connections, one after the other: sends back what comes until its end
 *     tcp-peer check PORT BYTES       connects, sends BYTES of a pattern in pieces, and checks that each comes back
 *
 * echo prints "ready" when it listens. Exit status 0 if all went as described, 1 otherwise, with a line that says what did not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pattern.h"

#define PIECE_SIZE 5000         /* no divisor of a ring, so that pieces meet the wrap at ever other places */

static int fail(const char *what) {
        fprintf(stderr, "tcp-peer: %s: %s\n", what, strerror(errno));
        return 1;
}

static int write_all(int fd, const uint8_t *data, size_t n) {
        for (ssize_t k; n > 0; data += k, n -= (size_t) k) {
                k = send(fd, data, n, MSG_NOSIGNAL);
                if (k < 0)
                        return -errno;
        }
        return 0;
}

static int echo(const struct sockaddr_in *address, long n_connections) {
        uint8_t buffer[65536];
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

        if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
            bind(listener, (const struct sockaddr *) address, sizeof(*address)) < 0 || listen(listener, 16) < 0)
                return fail("cannot listen");
        puts("ready");
        fflush(stdout);
        for (; n_connections > 0; n_connections--) {
                int fd = accept(listener, NULL, NULL);
                ssize_t n;

                if (fd < 0)
                        return fail("cannot accept");
                while ((n = read(fd, buffer, sizeof(buffer))) > 0)
                        if (write_all(fd, buffer, (size_t) n) < 0)
                                break;
                close(fd);
        }
        return 0;
}

static int check(const struct sockaddr_in *address, unsigned long n_bytes) {
        uint8_t sent[PIECE_SIZE], got[PIECE_SIZE];
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        size_t n;

        if (fd < 0 || connect(fd, (const struct sockaddr *) address, sizeof(*address)) < 0)
                return fail("cannot connect");
        for (unsigned long offset = 0; offset < n_bytes; offset += n) {
                n = n_bytes - offset < PIECE_SIZE ? n_bytes - offset : PIECE_SIZE;
                pattern_fill(offset, sent, n);
                if (write_all(fd, sent, n) < 0)
                        return fail("cannot send");
                if (recv(fd, got, n, MSG_WAITALL) != (ssize_t) n)
                        return fail("the echo ended");
                if (memcmp(sent, got, n) != 0) {
                        fprintf(stderr, "tcp-peer: the %zu bytes from %lu came back as others\n", n, offset);
                        return 1;
                }
        }
        close(fd);
        return 0;
}

int main(int argc, char *argv[]) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        if (argc != 4 || (strcmp(argv[1], "echo") != 0 && strcmp(argv[1], "check") != 0)) {
                fprintf(stderr, "Usage: tcp-peer echo PORT COUNT | check PORT BYTES\n");
                return 2;
        }
        address.sin_port = htons((uint16_t) strtoul(argv[2], NULL, 10));
        if (strcmp(argv[1], "echo") == 0)
                return echo(&address, strtol(argv[3], NULL, 10));
        return check(&address, strtoul(argv[3], NULL, 10));
}
