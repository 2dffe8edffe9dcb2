/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Chains of descriptors (VIRTIO 1.2 §2.7.5), direct and indirect. */

#include <stdbool.h>

#include "ring.h"

/*
 * Follows the chain that begins at chain->head, and fills in the rest of it. Returns 0, or -EPROTO for whatever a chain may not be: a loop or
 * one longer than the ring; an index beyond its table; buffers outside of memory or of no bytes; one to read behind one to write; an indirect
 * table where none may be, of a wrong size, or within another; more pieces than there is room for.
 */
int vhost_chain_read(struct vhost_chain *chain, const struct vhost_memory *memory, const uint8_t *table, uint16_t size, bool has_indirect,
                     size_t n_iov);
