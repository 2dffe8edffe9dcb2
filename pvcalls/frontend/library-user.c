/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A program on libxcp-pvcalls, as its users write them, for tests/integration/test-pvcalls-library.py.
 *
 * ADDRESS is one of IPv4 or IPv6, or a path or @NAME of a UNIX socket, which has no port.
 *
 *      exchange ADDRESS PORT CONNECTIONS BYTES [ORDER]     connections at once, in a poll loop over socket descriptors, with the library's thread;
 *                                                      each sends so many bytes and receives them back
 *      churn ADDRESS PORT CONNECTIONS                  one after the other, waiting for each
 *      serve ADDRESS PORT                              sends back what it gets, in a loop over the device's descriptor
 *      ask ADDRESS PORT DATAGRAMS BYTES HOW            sends datagrams of up to so many bytes, and compares what comes back; HOW: attached or
 *                                                      connected
 *      answer ADDRESS PORT                             sends datagrams back to whom they are from
 *      hold ADDRESS PORT                               tells what becomes of a connection when its backend goes, and connects again
 *      stop ADDRESS PORT STEP                          goes as far as socket, bind, listen, accept, connect or data, and no further, to be killed there
 */

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "xcp-pvcalls.h"

#define PATIENCE_MS 60000
#define CONNECTIONS_MAX 2000
#define CHUNK 65536

struct connection {
        struct xcp_pvcalls_socket *socket;
        uint64_t n_sent, n_received;
        bool shut, done;
        size_t n_held;                  /* of an echo: bytes that did not fit yet */
        uint8_t held[4096];
};

static struct xcp_pvcalls *pvcalls;
static struct connection connections[CONNECTIONS_MAX];

__attribute__((noreturn)) static void fail(const char *what, int r) {
        printf("error %s: %s\n", what, strerrorname_np(-r) ?: "?");
        exit(EXIT_FAILURE);
}

static int check(const char *what, int r) {
        if (r < 0)
                fail(what, r);
        return r;
}

struct address {
        socklen_t size;
        union {
                struct sockaddr any;
                struct sockaddr_in inet;
                struct sockaddr_in6 inet6;
                struct sockaddr_un local;
        };
};

static struct address address_of(char **words) {
        uint16_t port = htons((uint16_t) atoi(words[1]));
        struct address address = {};

        if (words[0][0] == '/' || words[0][0] == '@') {
                address.local.sun_family = AF_UNIX;
                strncpy(address.local.sun_path, words[0], sizeof address.local.sun_path - 1);
                address.size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(words[0]) + (words[0][0] == '/'));
                if (words[0][0] == '@')
                        address.local.sun_path[0] = '\0';
        } else if (strchr(words[0], ':')) {
                address.inet6 = (struct sockaddr_in6) { .sin6_family = AF_INET6, .sin6_port = port };
                inet_pton(AF_INET6, words[0], &address.inet6.sin6_addr);
                address.size = sizeof address.inet6;
        } else {
                address.inet = (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = port };
                inet_pton(AF_INET, words[0], &address.inet.sin_addr);
                address.size = sizeof address.inet;
        }
        return address;
}

/* Writes an address, and what it is of. */
static void tell(const char *what, const struct address *address) {
        char text[INET6_ADDRSTRLEN];

        if (address->any.sa_family == AF_UNIX)
                printf("%s %c%.*s\n", what, address->local.sun_path[0] ?: '@',
                       (int) address->size - (int) offsetof(struct sockaddr_un, sun_path) - 1, address->local.sun_path + 1);
        else if (address->any.sa_family == AF_INET6)
                printf("%s %s %u\n", what, inet_ntop(AF_INET6, &address->inet6.sin6_addr, text, sizeof text), ntohs(address->inet6.sin6_port));
        else
                printf("%s %s %u\n", what, inet_ntop(AF_INET, &address->inet.sin_addr, text, sizeof text), ntohs(address->inet.sin_port));
}

/* One that the backend is asked for, or has told. */
static void wait_address(struct xcp_pvcalls_socket *socket, int (*get)(struct xcp_pvcalls_socket *, struct sockaddr *, socklen_t *), struct address *ret) {
        struct pollfd device = { .fd = xcp_pvcalls_fd(pvcalls), .events = POLLIN };
        int r;

        while (ret->size = sizeof ret->local, (r = get(socket, &ret->any, &ret->size)) == -EINPROGRESS) {
                poll(&device, 1, PATIENCE_MS);
                check("dispatch", xcp_pvcalls_dispatch(pvcalls));
        }
        check("address", r);
}

static void dial(struct connection *connection, const struct address *address) {
        int r;

        check("socket", xcp_pvcalls_socket_new(pvcalls, connection, &connection->socket));
        r = xcp_pvcalls_connect(connection->socket, &address->any, address->size);
        if (r != -EINPROGRESS)
                fail("connect", r);
}

static uint8_t pattern(uint64_t at) {
        return (uint8_t) (at * 2654435761u >> 13);
}

static void send_pattern(struct connection *connection, uint64_t n_bytes) {
        uint8_t chunk[CHUNK];
        ssize_t n;

        do {
                size_t some = n_bytes - connection->n_sent < CHUNK ? (size_t) (n_bytes - connection->n_sent) : CHUNK;

                if (some == 0)
                        return;
                for (size_t i = 0; i < some; i++)
                        chunk[i] = pattern(connection->n_sent + i);
                n = xcp_pvcalls_send(connection->socket, chunk, some);
                connection->n_sent += n > 0 ? (uint64_t) n : 0;
        } while (n > 0);
        if (n != -EAGAIN)
                fail("send", (int) n);
}

static void receive_pattern(struct connection *connection) {
        uint8_t chunk[CHUNK];
        ssize_t n;

        while ((n = xcp_pvcalls_receive(connection->socket, chunk, sizeof chunk)) > 0)
                for (ssize_t i = 0; i < n; i++)
                        if (chunk[i] != pattern(connection->n_received++))
                                fail("data", -EBADMSG);
        if (n == 0)
                connection->done = true;
        else if (n != -EAGAIN)
                fail("receive", (int) n);
}

static void exchange_step(struct connection *connection, uint64_t n_bytes) {
        int r = xcp_pvcalls_result(connection->socket);

        xcp_pvcalls_poll(connection->socket, POLLIN | POLLOUT);
        if (r == -EINPROGRESS)
                return;
        check("connect", r);
        send_pattern(connection, n_bytes);
        if (connection->n_sent == n_bytes && !connection->shut) {
                connection->shut = true;
                check("shutdown", xcp_pvcalls_shutdown(connection->socket, SHUT_WR));
        }
        receive_pattern(connection);
        if (connection->done && connection->n_received != n_bytes)
                fail("end", -ENODATA);
}

static void exchange(char **words) {
        static struct pollfd fds[CONNECTIONS_MAX];
        struct address address = address_of(words);
        unsigned n = (unsigned) atoi(words[2]), n_done = 0;
        uint64_t n_bytes = strtoull(words[3], NULL, 10);

        if (words[4])
                check("order", xcp_pvcalls_set_page_order(pvcalls, (unsigned) atoi(words[4])));
        check("thread", xcp_pvcalls_start_thread(pvcalls));
        for (unsigned i = 0; i < n; i++) {
                dial(&connections[i], &address);
                fds[i] = (struct pollfd) { .fd = check("fd", xcp_pvcalls_socket_fd(connections[i].socket)), .events = POLLIN };
        }
        while (n_done < n) {
                if (poll(fds, n, PATIENCE_MS) == 0)
                        fail("poll", -ETIMEDOUT);
                for (unsigned i = 0; i < n; i++) {
                        if (!fds[i].revents)
                                continue;
                        exchange_step(&connections[i], n_bytes);
                        if (connections[i].done) {
                                connections[i].socket = xcp_pvcalls_socket_release(connections[i].socket);
                                fds[i].fd = -1;
                                n_done++;
                        }
                }
        }
        printf("ok %u\n", n_done);
}

static void churn(char **words) {
        struct address address = address_of(words);
        unsigned n = (unsigned) atoi(words[2]);

        for (unsigned i = 0; i < n; i++) {
                dial(&connections[0], &address);
                check("connect", xcp_pvcalls_finish(connections[0].socket, PATIENCE_MS));
                if (xcp_pvcalls_send(connections[0].socket, "x", 1) != 1)
                        fail("send", -EIO);
                connections[0].socket = xcp_pvcalls_socket_release(connections[0].socket);
        }
        printf("ok %u\n", n);
}

/* Sends what is held, then what comes. */
static void echo_step(struct connection *connection) {
        for (;;) {
                ssize_t n;

                if (connection->n_held == 0) {
                        n = xcp_pvcalls_receive(connection->socket, connection->held, sizeof connection->held);
                        if (n == -EAGAIN)
                                return;
                        if (n <= 0) {
                                connection->socket = xcp_pvcalls_socket_release(connection->socket);
                                free(connection);
                                return;
                        }
                        connection->n_held = (size_t) n;
                }
                n = xcp_pvcalls_send(connection->socket, connection->held, connection->n_held);
                if (n < 0)
                        return;
                connection->n_held -= (size_t) n;
                memmove(connection->held, connection->held + n, connection->n_held);
        }
}

static void accept_all(struct xcp_pvcalls_socket *listener) {
        for (;;) {
                struct connection *connection = calloc(1, sizeof *connection);
                struct address peer;
                int r = xcp_pvcalls_accept(listener, connection, &connection->socket);

                if (r < 0) {
                        free(connection);
                        if (r != -EAGAIN)
                                fail("accept", r);
                        return;
                }
                wait_address(connection->socket, xcp_pvcalls_peer_address, &peer);
                tell("accepted", &peer);
                echo_step(connection);
        }
}

static void serve(char **words) {
        struct address address = address_of(words), local;
        struct xcp_pvcalls_socket *listener, *socket;
        struct pollfd device = { .fd = xcp_pvcalls_fd(pvcalls), .events = POLLIN };

        check("socket", xcp_pvcalls_socket_new(pvcalls, NULL, &listener));
        (void) xcp_pvcalls_bind(listener, &address.any, address.size);
        check("bind", xcp_pvcalls_finish(listener, PATIENCE_MS));
        (void) xcp_pvcalls_listen(listener, 16);
        check("listen", xcp_pvcalls_finish(listener, PATIENCE_MS));
        wait_address(listener, xcp_pvcalls_local_address, &local);
        tell("listening", &local);
        for (;;) {
                while ((socket = xcp_pvcalls_next(pvcalls)))
                        if (socket == listener)
                                accept_all(listener);
                        else
                                echo_step(xcp_pvcalls_socket_userdata(socket));
                xcp_pvcalls_wait_fds(pvcalls, &device, 1, -1);
                check("dispatch", xcp_pvcalls_dispatch(pvcalls));
        }
}

/* A UDP socket that has its buffers; bound, if it is to be. */
static struct xcp_pvcalls_socket *datagrams_new(int family, const struct address *local, const struct address *peer) {
        const char *what = peer ? "connect" : "attach";
        struct xcp_pvcalls_socket *socket;
        int r;

        check("socket", xcp_pvcalls_datagrams_new(pvcalls, NULL, &socket));
        if (local) {
                (void) xcp_pvcalls_bind(socket, &local->any, local->size);
                check("bind", xcp_pvcalls_finish(socket, PATIENCE_MS));
        }
        r = peer ? xcp_pvcalls_connect(socket, &peer->any, peer->size) : xcp_pvcalls_attach(socket, family);
        if (r != -EINPROGRESS)
                fail(what, r);
        check(what, xcp_pvcalls_finish(socket, PATIENCE_MS));
        return socket;
}

/* Waits until the socket is ready for what poll(2) calls this. */
static void wait_ready(struct xcp_pvcalls_socket *socket, int events) {
        struct pollfd device = { .fd = xcp_pvcalls_fd(pvcalls), .events = POLLIN };

        while (!(xcp_pvcalls_poll(socket, events) & events)) {
                if (xcp_pvcalls_wait_fds(pvcalls, &device, 1, PATIENCE_MS) == 0)
                        fail("poll", -ETIMEDOUT);
                check("dispatch", xcp_pvcalls_dispatch(pvcalls));
        }
}

static ssize_t receive_one(struct xcp_pvcalls_socket *socket, void *data, size_t size, struct address *ret_address) {
        ssize_t n;

        while (ret_address->size = sizeof ret_address->local,
               (n = xcp_pvcalls_receive_from(socket, data, size, &ret_address->any, &ret_address->size)) == -EAGAIN)
                wait_ready(socket, POLLIN);
        return n;
}

static void send_one(struct xcp_pvcalls_socket *socket, const void *data, size_t size, const struct address *address) {
        int r;

        while ((r = xcp_pvcalls_send_to(socket, data, size, address ? &address->any : NULL, address ? address->size : 0)) == -EAGAIN)
                wait_ready(socket, POLLOUT);
        check("send", r);
}

static void ask(char **words) {
        struct address address = address_of(words), from;
        unsigned n = (unsigned) atoi(words[2]), n_bytes = (unsigned) atoi(words[3]);
        bool connects = strcmp(words[4], "connected") == 0;
        static uint8_t sent[CHUNK], received[CHUNK];
        struct xcp_pvcalls_socket *socket;

        check("order", xcp_pvcalls_set_page_order(pvcalls, 6));
        socket = datagrams_new(address.any.sa_family, NULL, connects ? &address : NULL);
        if (xcp_pvcalls_datagram_max(socket) < n_bytes)
                fail("size", -EMSGSIZE);
        for (unsigned i = 0; i < n; i++) {
                size_t size = n > 1 ? (size_t) n_bytes * i / (n - 1) : n_bytes;
                ssize_t there;

                for (size_t j = 0; j < size; j++)
                        sent[j] = pattern(i + j);
                send_one(socket, sent, size, connects ? NULL : &address);
                there = receive_one(socket, received, sizeof received, &from);
                if (there < 0)
                        fail("receive", (int) there);
                if ((size_t) there != size || memcmp(sent, received, size) != 0)
                        fail("data", -EBADMSG);
                if (from.size != address.size || memcmp(&from.any, &address.any, from.size) != 0)
                        fail("from", -EADDRNOTAVAIL);
        }
        xcp_pvcalls_socket_release(socket);
        printf("ok %u\n", n);
}

static void answer(char **words) {
        struct address address = address_of(words), local, from;
        struct xcp_pvcalls_socket *socket = datagrams_new(address.any.sa_family, &address, NULL);
        static uint8_t data[CHUNK];
        ssize_t n;

        wait_address(socket, xcp_pvcalls_local_address, &local);
        tell("bound", &local);
        for (;;) {
                n = receive_one(socket, data, sizeof data, &from);
                if (n == -ECONNRESET || n == -ENETDOWN)
                        fail("receive", (int) n);
                if (n >= 0 && !xcp_pvcalls_datagram_was_cut(socket))
                        send_one(socket, data, (size_t) n, &from);
        }
}

static void hold(char **words) {
        struct address address = address_of(words);
        char byte;
        ssize_t n;

        for (;;) {
                unsigned epoch = xcp_pvcalls_get_epoch(pvcalls);
                struct pollfd device = { .fd = xcp_pvcalls_fd(pvcalls), .events = POLLIN };

                dial(&connections[0], &address);
                check("connect", xcp_pvcalls_finish(connections[0].socket, PATIENCE_MS));
                printf("connected %u\n", epoch);
                while ((n = xcp_pvcalls_receive(connections[0].socket, &byte, 1)) == -EAGAIN) {
                        xcp_pvcalls_wait_fds(pvcalls, &device, 1, -1);
                        check("dispatch", xcp_pvcalls_dispatch(pvcalls));
                }
                printf("ended %s\n", n < 0 ? strerrorname_np(-(int) n) : "0");
                connections[0].socket = xcp_pvcalls_socket_release(connections[0].socket);
                /* The server may have gone before the backend that it shares a domain with: that one is not to be asked again. */
                while (xcp_pvcalls_get_epoch(pvcalls) == epoch && xcp_pvcalls_get_state(pvcalls) == XCP_PVCALLS_CONNECTED) {
                        xcp_pvcalls_wait_fds(pvcalls, &device, 1, -1);
                        check("dispatch", xcp_pvcalls_dispatch(pvcalls));
                }
                check("wait", xcp_pvcalls_wait(pvcalls, PATIENCE_MS));
        }
}

/* Says that it is there, and does nothing more, if this is the step that is wanted. */
static void stop_at(const char *wanted, const char *step) {
        if (strcmp(wanted, step) != 0)
                return;
        printf("at %s\n", step);
        for (;;)
                pause();
}

static void stop(char **words) {
        struct address address = address_of(words), any = address_of((char *[]) { words[0], "0" });
        const char *wanted = words[2];
        struct xcp_pvcalls_socket *listener;

        check("socket", xcp_pvcalls_socket_new(pvcalls, NULL, &listener));
        stop_at(wanted, "socket");
        (void) xcp_pvcalls_bind(listener, &any.any, any.size);
        stop_at(wanted, "bind");
        check("bind", xcp_pvcalls_finish(listener, PATIENCE_MS));
        (void) xcp_pvcalls_listen(listener, 16);
        stop_at(wanted, "listen");
        check("listen", xcp_pvcalls_finish(listener, PATIENCE_MS));
        stop_at(wanted, "accept");
        dial(&connections[0], &address);
        stop_at(wanted, "connect");
        check("connect", xcp_pvcalls_finish(connections[0].socket, PATIENCE_MS));
        check("send", (int) xcp_pvcalls_send(connections[0].socket, (uint8_t[CHUNK]) {}, CHUNK));
        stop_at(wanted, "data");
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                int n_words;
                void (*run)(char **words);
        } commands[] = { { "exchange", 4, exchange }, { "churn", 3, churn }, { "serve", 2, serve }, { "ask", 5, ask },
                       { "answer", 2, answer }, { "hold", 2, hold }, { "stop", 3, stop } };

        setvbuf(stdout, NULL, _IOLBF, 0);
        for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++) {
                if (strcmp(argv[1], commands[i].name) != 0 || argc < 2 + commands[i].n_words)
                        continue;
                check("open", xcp_pvcalls_open(0, &pvcalls));
                check("wait", xcp_pvcalls_wait(pvcalls, PATIENCE_MS));
                commands[i].run(argv + 2);
                xcp_pvcalls_close(pvcalls, PATIENCE_MS);
                return EXIT_SUCCESS;
        }
        fprintf(stderr, "usage: pvcalls-library-user COMMAND ARGUMENT...; the source has the commands\n");
        return EXIT_FAILURE;
}
