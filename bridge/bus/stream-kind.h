/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a descriptor is, whether it can be carried to another domain, and what stands for it there.
 *
 * Descriptors that programs have passed are shared with them: their flags are not changed, so they are read and written in ways that do not
 * wait whatever the flags are. A terminal that cannot be opened anew is the exception: it becomes non-blocking.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout.h"

/* How bytes get in and out of one. */
enum stream_way {
        STREAM_WAY_SOCKET,              /* send(), recv() */
        STREAM_WAY_OWN,                 /* nobody shares its flags: read(), write() */
        STREAM_WAY_PIPE,                /* somebody does: splice() */
        STREAM_WAY_FILE,                /* pread(), pwrite(), at the stream's own place */
};

struct stream_kind {
        enum wire_descriptor_kind kind;
        enum stream_way way;
        uint64_t size, offset;          /* of a copy */
};

static inline bool stream_kind_is_copy(unsigned kind) {
        return kind == WIRE_COPY_MEMORY || kind == WIRE_COPY_FILE;
}

/* Bytes go from who passed the descriptor to who is given one. */
static inline bool stream_kind_goes_there(unsigned kind) {
        return kind != WIRE_PIPE_WRITER;
}

/* The other way. */
static inline bool stream_kind_comes_back(unsigned kind) {
        return kind != WIRE_PIPE_READER && !stream_kind_is_copy(kind);
}

/* Returns NULL and what it is, or the name of the error for which it cannot be carried, and what it is in text. */
const char *stream_kind_find(int fd, struct stream_kind *ret_kind, char *text, size_t n_text);

/* A descriptor that was passed, ready for its way; may be another one, then the first has been closed. */
int stream_kind_prepare(int fd, const struct stream_kind *kind);

/*
 * Makes what stands for a descriptor of another domain: our end, for ret_way, and the one that is given away (-1 for a copy, until
 * stream_kind_seal()). Negative errno.
 */
int stream_kind_make(enum wire_descriptor_kind kind, int *ret_own, int *ret_given, enum stream_way *ret_way);

/* A copy is whole: what is given away. Takes own. */
int stream_kind_seal(int own, const struct stream_kind *kind, int *ret_given);
