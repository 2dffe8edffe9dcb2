/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Chains of descriptors, each of which is copied once. */

#include "ring-chain.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

struct descriptor {
        uint64_t address;
        uint32_t length;
        uint16_t flags;
        uint16_t next;
};

_Static_assert(sizeof(struct descriptor) == CHAIN_DESCRIPTOR_SIZE, "as in memory");

static struct descriptor copy_descriptor(const uint8_t *untrusted) {
        struct descriptor d;

        memcpy(&d, untrusted, sizeof d);
        __asm__ volatile("" : "+m"(d));         /* a copy, and not another look at memory that has changed meanwhile */
        return (struct descriptor) { le64toh(d.address), le32toh(d.length), le16toh(d.flags), le16toh(d.next) };
}

int vhost_chain_add(struct vhost_chain *chain, const struct vhost_memory *memory, uint64_t address, uint32_t length, uint16_t flags, size_t n_iov) {
        size_t n = chain->n_out + chain->n_in, before = n;

        if (length == 0 || (!(flags & CHAIN_WRITE) && chain->n_in > 0))
                return -EPROTO;
        if (vhost_memory_pieces(memory, &chain->loans, address, length, flags & CHAIN_WRITE, chain->iov, &n, n_iov) < 0)
                return -EPROTO;
        if (flags & CHAIN_WRITE) {
                chain->n_in += n - before;
                chain->n_in_bytes += length;
        } else {
                chain->n_out += n - before;
                chain->n_out_bytes += length;
        }
        return 0;
}

const uint8_t *vhost_chain_table(struct vhost_chain *chain, const struct vhost_memory *memory, uint64_t address, uint32_t length) {
        if (length == 0 || length % CHAIN_DESCRIPTOR_SIZE != 0 || length / CHAIN_DESCRIPTOR_SIZE > VHOST_RING_SIZE_MAX)
                return NULL;
        return vhost_memory_borrow(memory, &chain->loans, address, length, false);
}

/* A table, from one of its descriptors on. left: how many there may still be; an indirect one takes the table's place. */
static int walk(struct vhost_chain *chain, const struct vhost_memory *memory, const uint8_t *table, uint32_t size, uint32_t at,
                bool may_indirect, size_t n_iov, struct descriptor *ret_indirect) {
        for (uint32_t left = size; left > 0; left--) {
                struct descriptor d = copy_descriptor(table + at * CHAIN_DESCRIPTOR_SIZE);

                if (d.flags & CHAIN_INDIRECT) {
                        /* §2.7.5.3.1: none inside of another, and none with a next one. */
                        if (!may_indirect || d.flags & CHAIN_NEXT)
                                return -EPROTO;
                        *ret_indirect = d;
                        return 1;
                }
                if (vhost_chain_add(chain, memory, d.address, d.length, d.flags, n_iov) < 0)
                        return -EPROTO;
                if (!(d.flags & CHAIN_NEXT))
                        return 0;
                if (d.next >= size)
                        return -EPROTO;
                at = d.next;
        }
        return -EPROTO;         /* a loop */
}

int vhost_chain_read(struct vhost_chain *chain, const struct vhost_memory *memory, const uint8_t *table, uint16_t size, bool has_indirect,
                     size_t n_iov) {
        struct descriptor indirect;
        const uint8_t *indirect_table;
        int r;

        r = walk(chain, memory, table, size, chain->head, has_indirect, n_iov, &indirect);
        if (r <= 0)
                return r;
        indirect_table = vhost_chain_table(chain, memory, indirect.address, indirect.length);
        if (!indirect_table)
                return -EPROTO;
        return walk(chain, memory, indirect_table, indirect.length / CHAIN_DESCRIPTOR_SIZE, 0, false, n_iov, &indirect);
}
