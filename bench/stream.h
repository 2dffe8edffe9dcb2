/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What goes over a stream whose speed is measured: for each round the number of chunks, the chunks, and then one byte back, so that a
 * round ends when all of it has been received.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STREAM_CHUNK ((size_t) 64 * 1024)       /* what is given to one write, and asked for in one read */

/* How a stream is used. Both return as write(2) and read(2): at least one byte unless the stream has ended or failed. */
struct stream {
        void *stream;
        ssize_t (*write)(void *stream, const void *data, size_t n);
        ssize_t (*read)(void *stream, void *data, size_t n);
};

/* For rounds_serve(): sends n chunks; userdata is a struct stream. Returns 0 or a negative errno. */
int stream_send_round(void *userdata, uint64_t n);

/* Receives rounds until the stream ends. */
void stream_receive_rounds(const struct stream *stream);
