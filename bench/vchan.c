/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vchan: a stream between two domains, through libxenvchan.
 *
 *     vchan receive DOMID PATH RING        serves DOMID at PATH with rings of RING bytes, and prints "serving"
 *     vchan send DOMID PATH                rounds: 64 KiB to the server in DOMID
 */

#include <libxenvchan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rounds.h"
#include "stream.h"

#define PROGRAM "vchan"

static ssize_t vchan_write(void *vchan, const void *data, size_t n) {
        return libxenvchan_write(vchan, data, n);
}

static ssize_t vchan_read(void *vchan, void *data, size_t n) {
        return libxenvchan_read(vchan, data, n);
}

static struct stream stream_of(struct libxenvchan *vchan) {
        vchan->blocking = 1; /* libxenvchan leaves both uninitialised */
        vchan->server_persist = 0;
        return (struct stream) { .stream = vchan, .write = vchan_write, .read = vchan_read };
}

static int receive(int domid, const char *path, size_t ring_size) {
        struct libxenvchan *vchan = libxenvchan_server_init(NULL, domid, path, ring_size, ring_size);
        struct stream stream;

        if (!vchan)
                return rounds_fail(PROGRAM, "cannot serve");
        stream = stream_of(vchan);
        puts("serving");
        fflush(stdout);
        stream_receive_rounds(&stream);
        libxenvchan_close(vchan);
        return 0;
}

static int send_rounds(int domid, const char *path) {
        struct libxenvchan *vchan = libxenvchan_client_init(NULL, domid, path);
        struct stream stream;
        int status;

        if (!vchan)
                return rounds_fail(PROGRAM, "cannot connect");
        stream = stream_of(vchan);
        status = rounds_serve(PROGRAM, stream_send_round, &stream);
        libxenvchan_close(vchan);
        return status;
}

int main(int argc, char **argv) {
        if (argc == 5 && strcmp(argv[1], "receive") == 0)
                return receive(atoi(argv[2]), argv[3], atoi(argv[4]));
        if (argc == 4 && strcmp(argv[1], "send") == 0)
                return send_rounds(atoi(argv[2]), argv[3]);
        fprintf(stderr, "usage: vchan receive DOMID PATH RING | send DOMID PATH\n");
        return 2;
}
