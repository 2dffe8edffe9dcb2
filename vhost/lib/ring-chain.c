/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Chains of descriptors, each of which is copied once. */

#include "ring-chain.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define DESCRIPTOR_SIZE 16u

enum {
        NEXT = 1,
        WRITE = 2,
        INDIRECT = 4,
};

struct descriptor {
        uint64_t address;
        uint32_t length;
        uint16_t flags;
        uint16_t next;
};

_Static_assert(sizeof(struct descriptor) == DESCRIPTOR_SIZE, "as in memory");

static struct descriptor copy_descriptor(const uint8_t *untrusted) {
        struct descriptor d;

        memcpy(&d, untrusted, sizeof d);
        __asm__ volatile("" : "+m"(d));         /* a copy, and not another look at memory that has changed meanwhile */
        return (struct descriptor) { le64toh(d.address), le32toh(d.length), le16toh(d.flags), le16toh(d.next) };
}

static int add(struct vhost_chain *chain, const struct vhost_memory *memory, const struct descriptor *d, size_t n_iov) {
        size_t n = chain->n_out + chain->n_in, before = n;

        if (d->length == 0 || (!(d->flags & WRITE) && chain->n_in > 0))
                return -EPROTO;
        if (vhost_memory_pieces(memory, d->address, d->length, chain->iov, &n, n_iov) < 0)
                return -EPROTO;
        if (d->flags & WRITE) {
                chain->n_in += n - before;
                chain->n_in_bytes += d->length;
        } else {
                chain->n_out += n - before;
                chain->n_out_bytes += d->length;
        }
        return 0;
}

/* A table, from one of its descriptors on. left: how many there may still be; an indirect one takes the table's place. */
static int walk(struct vhost_chain *chain, const struct vhost_memory *memory, const uint8_t *table, uint32_t size, uint32_t at,
                bool may_indirect, size_t n_iov, struct descriptor *ret_indirect) {
        for (uint32_t left = size; left > 0; left--) {
                struct descriptor d = copy_descriptor(table + at * DESCRIPTOR_SIZE);

                if (d.flags & INDIRECT) {
                        /* §2.7.5.3.1: none inside of another, and none with a next one. */
                        if (!may_indirect || d.flags & NEXT)
                                return -EPROTO;
                        *ret_indirect = d;
                        return 1;
                }
                if (add(chain, memory, &d, n_iov) < 0)
                        return -EPROTO;
                if (!(d.flags & NEXT))
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
        if (indirect.length == 0 || indirect.length % DESCRIPTOR_SIZE != 0 || indirect.length / DESCRIPTOR_SIZE > VHOST_RING_SIZE_MAX)
                return -EPROTO;
        indirect_table = vhost_memory_guest(memory, indirect.address, indirect.length);
        if (!indirect_table)
                return -EPROTO;
        return walk(chain, memory, indirect_table, indirect.length / DESCRIPTOR_SIZE, 0, false, n_iov, &indirect);
}
