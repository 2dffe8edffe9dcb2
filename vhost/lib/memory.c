/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The guest's memory: a sorted table of regions, and checked translations. */

#include "memory.h"

#include <errno.h>
#include <string.h>

void vhost_memory_clear(struct vhost_memory *memory) {
        for (size_t i = 0; i < memory->n; i++)
                vhost_mapping_close(&memory->regions[i].mapping);
        memory->n = 0;
}

static bool overlap(uint64_t a, uint64_t b, uint64_t n_a, uint64_t n_b) {
        return a < b ? b - a < n_a : a - b < n_b;
}

int vhost_memory_add(struct vhost_memory *memory, const struct vhost_region *region, int fd) {
        struct vhost_mapping mapping;
        uint64_t end;
        size_t at = 0;
        int r;

        if (region->size == 0 || __builtin_add_overflow(region->guest_address, region->size, &end) ||
            __builtin_add_overflow(region->user_address, region->size, &end))
                return -EINVAL;
        if (memory->n == VHOST_SLOTS_MAX)
                return -ENOSPC;
        for (size_t i = 0; i < memory->n; i++) {
                const struct vhost_region *other = &memory->regions[i].at;

                if (overlap(region->guest_address, other->guest_address, region->size, other->size) ||
                    overlap(region->user_address, other->user_address, region->size, other->size))
                        return -EEXIST;
                at += other->guest_address < region->guest_address;
        }
        r = vhost_mapping_open(&mapping, fd, region->mmap_offset, region->size);
        if (r < 0)
                return r;
        memmove(memory->regions + at + 1, memory->regions + at, (memory->n - at) * sizeof *memory->regions);
        memory->regions[at] = (struct vhost_memory_region) { *region, mapping };
        memory->n++;
        return 0;
}

int vhost_memory_remove(struct vhost_memory *memory, const struct vhost_region *region) {
        for (size_t i = 0; i < memory->n; i++) {
                const struct vhost_region *at = &memory->regions[i].at;

                if (at->guest_address != region->guest_address || at->user_address != region->user_address || at->size != region->size)
                        continue;
                vhost_mapping_close(&memory->regions[i].mapping);
                memory->n--;
                memmove(memory->regions + i, memory->regions + i + 1, (memory->n - i) * sizeof *memory->regions);
                return 0;
        }
        return -ENOENT;
}

/* The region of a guest address, or NULL. */
static const struct vhost_memory_region *find(const struct vhost_memory *memory, uint64_t guest_address) {
        size_t low = 0, high = memory->n;

        while (low < high) {
                size_t middle = (low + high) / 2;
                const struct vhost_region *at = &memory->regions[middle].at;

                if (guest_address < at->guest_address)
                        high = middle;
                else if (guest_address - at->guest_address >= at->size)
                        low = middle + 1;
                else
                        return &memory->regions[middle];
        }
        return NULL;
}

void *vhost_memory_guest(const struct vhost_memory *memory, uint64_t guest_address, uint64_t size) {
        const struct vhost_memory_region *region = find(memory, guest_address);

        if (!region || size > region->at.size - (guest_address - region->at.guest_address))
                return NULL;
        return (uint8_t *) region->mapping.start + (guest_address - region->at.guest_address);
}

void *vhost_memory_user(const struct vhost_memory *memory, uint64_t user_address, uint64_t size) {
        for (size_t i = 0; i < memory->n; i++) {
                const struct vhost_memory_region *region = &memory->regions[i];
                uint64_t offset = user_address - region->at.user_address;

                if (user_address >= region->at.user_address && offset < region->at.size)
                        return size <= region->at.size - offset ? (uint8_t *) region->mapping.start + offset : NULL;
        }
        return NULL;
}

int vhost_memory_pieces(const struct vhost_memory *memory, uint64_t guest_address, uint64_t size, struct iovec *iov, size_t *n, size_t n_max) {
        while (size > 0) {
                const struct vhost_memory_region *region = find(memory, guest_address);
                uint64_t offset, length;

                if (!region)
                        return -EFAULT;
                if (*n == n_max)
                        return -E2BIG;
                offset = guest_address - region->at.guest_address;
                length = region->at.size - offset < size ? region->at.size - offset : size;
                iov[(*n)++] = (struct iovec) { (uint8_t *) region->mapping.start + offset, length };
                size -= length;
                /* Wraps only where a region ends at the end of the address space, which add() refuses. */
                guest_address += length;
        }
        return 0;
}

uint64_t vhost_memory_guest_address(const struct vhost_memory *memory, const void *p) {
        for (size_t i = 0; i < memory->n; i++) {
                const struct vhost_memory_region *region = &memory->regions[i];
                uintptr_t offset = (uintptr_t) p - (uintptr_t) region->mapping.start;

                if (offset < region->at.size)
                        return region->at.guest_address + offset;
        }
        return UINT64_MAX;
}

bool vhost_memory_is_lost(const struct vhost_memory *memory) {
        for (size_t i = 0; i < memory->n; i++)
                if (vhost_mapping_is_lost(&memory->regions[i].mapping))
                        return true;
        return false;
}
