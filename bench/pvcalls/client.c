/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The side that measures, of either transport:
 *
 *      bench-pvcalls-KIND stream PORT SIZE     an operation is a write of so many bytes
 *      bench-pvcalls-KIND echo PORT SIZE       one there and back
 *      bench-pvcalls-KIND connect PORT [fresh|reuse]
 *                                              CONNECTIONS_AT_ONCE new connections, and their ends
 *      bench-pvcalls-KIND many PORT SIZE N     so many bytes there and back on each of N connections
 *      bench-pvcalls-KIND serve PORT           the other side of a stream
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rounds.h"
#include "transport.h"

#define CONNECTIONS_AT_ONCE 8u          /* as a busy program has them; a guest's requests go into its ring together */

static uint16_t port;
static size_t size;
static unsigned n_connections;
static uint8_t data[1 << 20];

static void begin(unsigned number, enum transport_purpose purpose) {
        const uint8_t byte = purpose;

        transport_connect(number, 1, port);
        transport_write(number, &byte, 1);
}

static int operate_stream(void *userdata, uint64_t n) {
        uint64_t n_bytes = n * size;
        uint8_t answer;

        transport_write(0, &n_bytes, sizeof n_bytes);
        for (uint64_t i = 0; i < n; i++)
                transport_write(0, data, size);
        transport_read(0, &answer, 1);
        return 0;
}

static int operate_echo(void *userdata, uint64_t n) {
        for (uint64_t i = 0; i < n; i++) {
                transport_write(0, data, size);
                transport_read(0, data, size);
        }
        return 0;
}

static int operate_connect(void *userdata, uint64_t n) {
        for (uint64_t i = 0; i < n; i++) {
                transport_connect(0, CONNECTIONS_AT_ONCE, port);
                transport_close(0, CONNECTIONS_AT_ONCE);
        }
        return 0;
}

static int operate_many(void *userdata, uint64_t n) {
        for (uint64_t i = 0; i < n; i++) {
                for (unsigned number = 0; number < n_connections; number++)
                        transport_write(number, data, size);
                for (unsigned number = 0; number < n_connections; number++)
                        transport_read(number, data, size);
        }
        return 0;
}

int main(int argc, char **argv) {
        const char *mode = argc > 2 ? argv[1] : "";

        port = (uint16_t) (argc > 2 ? atoi(argv[2]) : 0);
        size = argc > 3 ? (size_t) atoi(argv[3]) : 0;
        n_connections = argc > 4 ? (unsigned) atoi(argv[4]) : 1;
        if (size > sizeof data || n_connections > TRANSPORT_CONNECTIONS_MAX || transport_open(argc, argv) < 0)
                return rounds_fail(argv[0], "open the transport");
        if (strcmp(mode, "serve") == 0) {
                transport_serve(port);
                return EXIT_SUCCESS;
        }
        if (strcmp(mode, "connect") == 0)
                return rounds_serve(argv[0], operate_connect, NULL);
        for (unsigned number = 0; number < n_connections; number++)
                begin(number, strcmp(mode, "stream") == 0 ? PURPOSE_SINK : PURPOSE_ECHO);
        return rounds_serve(argv[0], strcmp(mode, "stream") == 0 ? operate_stream : strcmp(mode, "echo") == 0 ? operate_echo : operate_many, NULL);
}
