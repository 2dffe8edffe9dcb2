/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pvcalls-library: has our PV Calls frontend, the library, make every call that Linux's backend knows, and checks what comes of it.
 *
 *     pvcalls-library ECHO CLOSED TAKEN LISTEN -- COMMAND
 *
 * ECHO, CLOSED, TAKEN and LISTEN are ports of the backend's 127.0.0.1: one where a server echoes, one where nobody listens, one that
 * cannot be bound as somebody has it, and one to listen on. COMMAND is run when it listens; then three connect, the second and third at
 * once, send, and read the same back. Exit status 0 if all was right; otherwise 1, and a line says what was not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pattern.h"
#include "xcp-pvcalls.h"

#define ECHO_BYTES (200 * 1024)         /* the rings are 32 KiB each way: several times around */
#define N_CONNECTS 3                    /* one after the other, so that pages and ports are used again */
#define N_ACCEPTS 3
#define PIECE_SIZE 5000
#define PATIENCE_MS 60000               /* only has to end a hang */
#define CLOSE_MS 1000                   /* Linux's backend never answers an ACCEPT whose listener is released */

static struct xcp_pvcalls *pvcalls;

__attribute__((noreturn)) static void fail(const char *what, int found, int expected) {
        fprintf(stderr, "pvcalls-library: %s: %s (%d), expected %s\n", what, strerror(-found), -found, strerror(-expected));
        exit(1);
}

static void expect(const char *what, int found, int expected) {
        if (found != expected)
                fail(what, found, expected);
}

static struct sockaddr_in address_of(const char *port) {
        return (struct sockaddr_in) {
                .sin_family = AF_INET,
                .sin_port = htons((uint16_t) strtoul(port, NULL, 10)),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
}

static struct xcp_pvcalls_socket *socket_new(void) {
        struct xcp_pvcalls_socket *socket;

        expect("a new socket", xcp_pvcalls_socket_new(pvcalls, NULL, &socket), 0);
        return socket;
}

/* Waits until something of events is so of the socket, or an error. */
static void await(const char *what, struct xcp_pvcalls_socket *socket, int events) {
        struct pollfd device = { .fd = xcp_pvcalls_fd(pvcalls), .events = POLLIN };

        while (xcp_pvcalls_poll(socket, events) == 0) {
                if (poll(&device, 1, PATIENCE_MS) == 0)
                        fail(what, -ETIMEDOUT, 0);
                expect("dispatch", xcp_pvcalls_dispatch(pvcalls), 0);
        }
}

static void send_all(struct xcp_pvcalls_socket *socket, const uint8_t *data, size_t n) {
        while (n > 0) {
                ssize_t k = xcp_pvcalls_send(socket, data, n);

                if (k == -EAGAIN) {
                        await("space to send", socket, POLLOUT);
                } else if (k < 0) {
                        fail("send", (int) k, 0);
                } else {
                        data += k;
                        n -= (size_t) k;
                }
        }
}

/* As recv(2) that waits: 0 at the end. */
static size_t receive_some(struct xcp_pvcalls_socket *socket, uint8_t *data, size_t size) {
        ssize_t k;

        while ((k = xcp_pvcalls_receive(socket, data, size)) == -EAGAIN)
                await("bytes to receive", socket, POLLIN);
        if (k < 0)
                fail("receive", (int) k, 0);
        return (size_t) k;
}

static void connect_fails(const char *what, const struct sockaddr_in *address, int expected) {
        struct xcp_pvcalls_socket *socket = socket_new();

        expect(what, xcp_pvcalls_connect(socket, (const struct sockaddr *) address, sizeof *address), -EINPROGRESS);
        expect(what, xcp_pvcalls_finish(socket, PATIENCE_MS), expected);
        xcp_pvcalls_socket_release(socket);
}

static void connect_and_echo(const char *port) {
        struct sockaddr_in address = address_of(port);
        struct xcp_pvcalls_socket *socket = socket_new();
        uint8_t sent[PIECE_SIZE], got[PIECE_SIZE];

        expect("connect", xcp_pvcalls_connect(socket, (struct sockaddr *) &address, sizeof address), -EINPROGRESS);
        expect("connect", xcp_pvcalls_finish(socket, PATIENCE_MS), 0);
        for (size_t offset = 0; offset < ECHO_BYTES; offset += PIECE_SIZE) {
                pattern_fill(offset, sent, PIECE_SIZE);
                send_all(socket, sent, PIECE_SIZE);
                for (size_t n_got = 0, n; n_got < PIECE_SIZE; n_got += n)
                        if ((n = receive_some(socket, got + n_got, PIECE_SIZE - n_got)) == 0)
                                fail("the echo server's bytes", -ECONNRESET, 0);
                if (memcmp(sent, got, PIECE_SIZE) != 0)
                        fail("the echo server's bytes are others than those sent", -EBADMSG, 0);
        }
        expect("half close, which that backend lacks", xcp_pvcalls_shutdown(socket, SHUT_WR), -EOPNOTSUPP);
        xcp_pvcalls_socket_release(socket);
}

static void bind_fails(const char *port, int expected) {
        struct sockaddr_in address = address_of(port);
        struct xcp_pvcalls_socket *socket = socket_new();

        expect("bind", xcp_pvcalls_bind(socket, (struct sockaddr *) &address, sizeof address), -EINPROGRESS);
        expect("bind to a port that is taken", xcp_pvcalls_finish(socket, PATIENCE_MS), expected);
        xcp_pvcalls_socket_release(socket);
}

static struct xcp_pvcalls_socket *listen_on(const char *port, const char *command) {
        struct sockaddr_in address = address_of(port);
        struct xcp_pvcalls_socket *socket = socket_new();

        expect("bind", xcp_pvcalls_bind(socket, (struct sockaddr *) &address, sizeof address), -EINPROGRESS);
        expect("bind", xcp_pvcalls_finish(socket, PATIENCE_MS), 0);
        expect("listen", xcp_pvcalls_listen(socket, 5), -EINPROGRESS);
        expect("listen", xcp_pvcalls_finish(socket, PATIENCE_MS), 0);
        if (system(command) != 0)
                fail("the command to run when it listens", -ECHILD, 0);
        return socket;
}

static void accept_and_echo(struct xcp_pvcalls_socket *listener) {
        struct xcp_pvcalls_socket *socket;
        struct sockaddr_in peer;
        socklen_t n_peer = sizeof peer;
        uint8_t buffer[PIECE_SIZE];
        size_t n;
        int r;

        while ((r = xcp_pvcalls_accept(listener, NULL, &socket)) == -EAGAIN)
                await("a connection to accept", listener, POLLIN);
        expect("accept", r, 0);
        expect("who has connected, which that backend does not tell", xcp_pvcalls_peer_address(socket, (struct sockaddr *) &peer, &n_peer),
               -EOPNOTSUPP);
        while ((n = receive_some(socket, buffer, sizeof buffer)) > 0)
                send_all(socket, buffer, n);
        xcp_pvcalls_socket_release(socket);
}

int main(int argc, char *argv[]) {
        struct sockaddr_in unreachable = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xC0000201) }, closed;
        struct xcp_pvcalls_socket *listener;

        if (argc != 7 || strcmp(argv[5], "--") != 0) {
                fprintf(stderr, "Usage: pvcalls-library ECHO CLOSED TAKEN LISTEN -- COMMAND\n");
                return 2;
        }
        closed = address_of(argv[2]);
        expect("open", xcp_pvcalls_open(0, &pvcalls), 0);
        expect("a backend", xcp_pvcalls_wait(pvcalls, PATIENCE_MS), 0);
        connect_fails("connect to a port where nobody listens", &closed, -ECONNREFUSED);
        connect_fails("connect to where no route leads", &unreachable, -ENETUNREACH);
        bind_fails(argv[3], -EADDRINUSE);
        for (int i = 0; i < N_CONNECTS; i++)
                connect_and_echo(argv[1]);
        listener = listen_on(argv[4], argv[6]);
        for (int i = 0; i < N_ACCEPTS; i++)
                accept_and_echo(listener);
        xcp_pvcalls_socket_release(listener);
        xcp_pvcalls_close(pvcalls, CLOSE_MS);
        return 0;
}
