/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Chains of descriptors, direct and indirect: those of split rings (VIRTIO 1.2 §2.7.5), and what those of packed rings have in common with them. */

#include <stdbool.h>

#include "ring.h"

enum {                                  /* flags of a descriptor, in both kinds of rings */
        CHAIN_NEXT = 1,
        CHAIN_WRITE = 2,
        CHAIN_INDIRECT = 4,
};

#define CHAIN_DESCRIPTOR_SIZE 16u

/*
 * Follows the chain that begins at chain->head, and fills in the rest of it. Returns 0, or -EPROTO for whatever a chain may not be: a loop or
 * one longer than the ring; an index beyond its table; buffers outside of memory or of no bytes; one to read behind one to write; an indirect
 * table where none may be, of a wrong size, or within another; more pieces than there is room for.
 */
int vhost_chain_read(struct vhost_chain *chain, const struct vhost_memory *memory, const uint8_t *table, uint16_t size, bool has_indirect,
                     size_t n_iov);

/* Adds one descriptor's buffer. -EPROTO: of what a chain may not be, that which concerns a buffer. */
int vhost_chain_add(struct vhost_chain *chain, const struct vhost_memory *memory, uint64_t address, uint32_t length, uint16_t flags, size_t n_iov);

/* An indirect table, of so many bytes, or NULL: it is none. */
const uint8_t *vhost_chain_table(struct vhost_chain *chain, const struct vhost_memory *memory, uint64_t address, uint32_t length);
