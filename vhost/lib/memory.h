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
#include "xen.h"

#define VHOST_SLOTS_MAX 64u             /* regions: GET_MAX_MEM_SLOTS. A machine with 32 DIMMs has some more */

struct vhost_memory_region {
        struct vhost_region at;
        struct vhost_mapping mapping;   /* start: NULL if it is mapped on use only */
        struct vhost_loan grant;        /* n_pages: 0 if they are no pages of another domain's */
};

struct vhost_memory {
        const struct vhost_xen *xen;    /* NULL: there are no pages of another domain's */
        struct vhost_memory_region regions[VHOST_SLOTS_MAX];    /* in the order of their guest addresses */
        size_t n;
};

void vhost_memory_clear(struct vhost_memory *memory);

/*
 * Maps a region. The descriptor stays the caller's, and is not needed any more. -EINVAL: empty, past the end of the address space or of the
 * file; -EEXIST: overlaps another, in guest or in user addresses; -ENOSPC: no slot is free; -ENODEV and others: it cannot be mapped.
 */
int vhost_memory_add(struct vhost_memory *memory, const struct vhost_region *region, int fd);

/*
 * A region of XEN_MMAP: the other domain's pages, or, without flags, as above. One that is mapped on use has no user addresses, so that no ring can be in it.
 * -EOPNOTSUPP: flags that are not known, or foreign frames, which nobody has had a use for who also had a test for them; -EPERM: of another domain.
 */
int vhost_memory_add_xen(struct vhost_memory *memory, const struct vhost_xen_region *region, int fd);

/* Unmaps the region of this guest address, user address and size. -ENOENT: there is none. */
int vhost_memory_remove(struct vhost_memory *memory, const struct vhost_region *region);

/* Where these size bytes are, or NULL. Of what is mapped on use, that is nowhere. */
void *vhost_memory_guest(const struct vhost_memory *memory, uint64_t guest_address, uint64_t size);
void *vhost_memory_user(const struct vhost_memory *memory, uint64_t user_address, uint64_t size);

/* The same for guest addresses of any region: what is mapped for it is added to loans, to be given back when it has been used. */
void *vhost_memory_borrow(const struct vhost_memory *memory, struct vhost_loans **loans, uint64_t guest_address, uint64_t size, bool to_write);

/* Adds a buffer's pieces to iov, which has *n of n_max, and to loans. -EFAULT: not all of it is memory. -E2BIG: iov is full. */
int vhost_memory_pieces(const struct vhost_memory *memory, struct vhost_loans **loans, uint64_t guest_address, uint64_t size, bool to_write,
                        struct iovec *iov, size_t *n, size_t n_max);

/* The other way, for what was translated: its guest address. */
uint64_t vhost_memory_guest_address(const struct vhost_memory *memory, const void *p);

/* Whether the front-end has taken memory away that it had lent. */
bool vhost_memory_is_lost(const struct vhost_memory *memory);
