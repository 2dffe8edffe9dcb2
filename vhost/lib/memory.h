/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The guest's memory, as its front-end lends it: regions of guest addresses and of the front-end's own addresses, mapped here.
 *
 * Every address of a guest or front-end is translated anew on each use, with the length that is going to be touched: a range is inside of one
 * region (or, for buffers, of several that follow each other) or it is refused. Who changes the table sees to it that nobody uses it meanwhile.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "mapping.h"
#include "protocol.h"

#define VHOST_SLOTS_MAX 64u             /* regions: GET_MAX_MEM_SLOTS. A machine with 32 DIMMs has some more */

struct vhost_memory_region {
        struct vhost_region at;
        struct vhost_mapping mapping;
};

struct vhost_memory {
        struct vhost_memory_region regions[VHOST_SLOTS_MAX];    /* in the order of their guest addresses */
        size_t n;
};

void vhost_memory_clear(struct vhost_memory *memory);

/*
 * Maps a region. The descriptor stays the caller's, and is not needed any more. -EINVAL: empty, past the end of the address space or of the
 * file; -EEXIST: overlaps another, in guest or in user addresses; -ENOSPC: no slot is free; -ENODEV and others: it cannot be mapped.
 */
int vhost_memory_add(struct vhost_memory *memory, const struct vhost_region *region, int fd);

/* Unmaps the region of this guest address, user address and size. -ENOENT: there is none. */
int vhost_memory_remove(struct vhost_memory *memory, const struct vhost_region *region);

/* Where these size bytes are, or NULL. */
void *vhost_memory_guest(const struct vhost_memory *memory, uint64_t guest_address, uint64_t size);
void *vhost_memory_user(const struct vhost_memory *memory, uint64_t user_address, uint64_t size);

/* Adds a buffer's pieces to iov, which has *n of n_max. -EFAULT: not all of it is memory. -E2BIG: iov is full. */
int vhost_memory_pieces(const struct vhost_memory *memory, uint64_t guest_address, uint64_t size, struct iovec *iov, size_t *n, size_t n_max);

/* The other way, for what was translated: its guest address. */
uint64_t vhost_memory_guest_address(const struct vhost_memory *memory, const void *p);

/* Whether the front-end has taken memory away that it had lent. */
bool vhost_memory_is_lost(const struct vhost_memory *memory);
