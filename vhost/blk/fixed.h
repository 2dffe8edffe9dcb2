/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fixed buffers: the guest's memory, pinned, so that io_uring need not look up and pin the pages of each request.
 *
 * The table is made when a queue begins and given back when it ends, and as no queue runs while memory changes, no buffer outlives its region. A request
 * can use it if its data is one piece that lies in one buffer. No I/O here.
 */

#include <stddef.h>
#include <sys/uio.h>

#include "memory.h"

#define FIXED_BUFFER_MAX ((size_t) 1 << 30)     /* bytes of one: io_uring_register(2) */
#define FIXED_BUFFERS_MAX 1024u                 /* that kernels before 5.13 take; a guest of a terabyte */

struct fixed {
        struct iovec *buffers;          /* in the order of their addresses here */
        unsigned n;
};

/* Cuts memory into buffers. -E2BIG: there is too much of it. */
int fixed_init(struct fixed *fixed, const struct vhost_memory *memory);
void fixed_done(struct fixed *fixed);

/* Bytes of all buffers. */
size_t fixed_bytes(const struct fixed *fixed);

/* The index of the buffer that all of a piece is in, or -ENOENT. */
int fixed_find(const struct fixed *fixed, const struct iovec *piece);
