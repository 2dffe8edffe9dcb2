/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Connections as the benchmark of PV Calls uses them, by two transports: sockets (native.c), and rings of a guest (guest.c). client.c measures
 * with either.
 */

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#define TRANSPORT_CONNECTIONS_MAX 2048u

/* What a connection is for: the first byte that its client sends. server.c, and guest.c for the other guest, know what to do. */
enum transport_purpose {
        PURPOSE_SINK = 1,               /* rounds: 8 bytes that say how many bytes follow, these, and one byte back */
        PURPOSE_ECHO,                   /* all comes back */
};

/* Of the server, for sockets: what XCP_BENCH_ADDRESS says, or this host's loopback. */
static inline in_addr_t transport_address(void) {
        const char *address = getenv("XCP_BENCH_ADDRESS");

        return address ? inet_addr(address) : htonl(INADDR_LOOPBACK);
}

/* All are in terms of a connection's number. They wait as long as it takes, and end the program if it cannot be done. */
int transport_open(int argc, char **argv);
void transport_connect(unsigned first, unsigned n, uint16_t port);      /* n connections, with numbers from first on */
void transport_close(unsigned first, unsigned n);
void transport_write(unsigned number, const void *data, size_t n);
void transport_read(unsigned number, void *data, size_t n);

/* Takes a connection, and serves it to its end as a sink. */
void transport_serve(uint16_t port);
