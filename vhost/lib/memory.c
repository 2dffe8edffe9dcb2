/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The guest's memory: a sorted table of regions, and checked translations. */

#include "memory.h"

#include <errno.h>
#include <string.h>

static void unmap(const struct vhost_memory *memory, struct vhost_memory_region *region) {
        if (region->grant.n_pages > 0)
                memory->xen->unmap(memory->xen->userdata, region->grant.pages, region->grant.n_pages);
        else
                vhost_mapping_close(&region->mapping);
}

void vhost_memory_clear(struct vhost_memory *memory) {
        for (size_t i = 0; i < memory->n; i++)
                unmap(memory, &memory->regions[i]);
        memory->n = 0;
}

static bool overlap(uint64_t a, uint64_t b, uint64_t n_a, uint64_t n_b) {
        return a < b ? b - a < n_a : a - b < n_b;
}

/* Where a region can be among the others, or a negative errno. One that is mapped on use is at no user address. */
static int find_place(const struct vhost_memory *memory, const struct vhost_region *region, bool is_on_use) {
        uint64_t end;
        int at = 0;

        if (region->size == 0 || __builtin_add_overflow(region->guest_address, region->size, &end) ||
            __builtin_add_overflow(region->user_address, region->size, &end))
                return -EINVAL;
        if (memory->n == VHOST_SLOTS_MAX)
                return -ENOSPC;
        for (size_t i = 0; i < memory->n; i++) {
                const struct vhost_region *other = &memory->regions[i].at;

                if (overlap(region->guest_address, other->guest_address, region->size, other->size))
                        return -EEXIST;
                if (!is_on_use && memory->regions[i].mapping.start && overlap(region->user_address, other->user_address, region->size, other->size))
                        return -EEXIST;
                at += other->guest_address < region->guest_address;
        }
        return at;
}

static void insert(struct vhost_memory *memory, int place, const struct vhost_memory_region *region) {
        memmove(memory->regions + place + 1, memory->regions + place, (memory->n - (size_t) place) * sizeof *memory->regions);
        memory->regions[place] = *region;
        memory->n++;
}

int vhost_memory_add(struct vhost_memory *memory, const struct vhost_region *region, int fd) {
        struct vhost_memory_region added = { .at = *region };
        int place, r;

        place = find_place(memory, region, false);
        if (place < 0)
                return place;
        r = vhost_mapping_open(&added.mapping, fd, region->mmap_offset, region->size);
        if (r < 0)
                return r;
        insert(memory, place, &added);
        return 0;
}

int vhost_memory_add_xen(struct vhost_memory *memory, const struct vhost_xen_region *region, int fd) {
        struct vhost_memory_region added = { .at = region->at, .mapping = VHOST_MAPPING_NONE };
        const uint32_t on_use = VHOST_XEN_ON_USE | VHOST_XEN_ON_USE_OLD;
        int place, r = 0;

        if (region->flags == 0)
                return vhost_memory_add(memory, &region->at, fd);
        if ((region->flags & ~on_use) != VHOST_XEN_GRANT)
                return -EOPNOTSUPP;
        if (!memory->xen || region->domid != memory->xen->domid)
                return -EPERM;
        if (region->at.mmap_offset != 0)                        /* "in the mapped memory", which begins where the guest address says */
                return -EINVAL;
        place = find_place(memory, &region->at, region->flags & on_use);
        if (place < 0)
                return place;
        if (!(region->flags & on_use))
                r = vhost_xen_map(memory->xen, region->at.guest_address, region->at.size, true, &added.grant, &added.mapping.start);
        if (r < 0)
                return r;
        insert(memory, place, &added);
        return 0;
}

int vhost_memory_remove(struct vhost_memory *memory, const struct vhost_region *region) {
        for (size_t i = 0; i < memory->n; i++) {
                const struct vhost_region *at = &memory->regions[i].at;

                if (at->guest_address != region->guest_address || at->user_address != region->user_address || at->size != region->size)
                        continue;
                unmap(memory, &memory->regions[i]);
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

        if (!region || !region->mapping.start || size > region->at.size - (guest_address - region->at.guest_address))
                return NULL;
        return (uint8_t *) region->mapping.start + (guest_address - region->at.guest_address);
}

void *vhost_memory_user(const struct vhost_memory *memory, uint64_t user_address, uint64_t size) {
        for (size_t i = 0; i < memory->n; i++) {
                const struct vhost_memory_region *region = &memory->regions[i];
                uint64_t offset = user_address - region->at.user_address;

                if (region->mapping.start && user_address >= region->at.user_address && offset < region->at.size)
                        return size <= region->at.size - offset ? (uint8_t *) region->mapping.start + offset : NULL;
        }
        return NULL;
}

/* Of one region, from where it has size bytes: mapped already, or lent. */
static void *reach(const struct vhost_memory *memory, const struct vhost_memory_region *region, struct vhost_loans **loans, uint64_t guest_address,
                   uint64_t size, bool to_write) {
        void *start;

        if (region->mapping.start)
                return (uint8_t *) region->mapping.start + (guest_address - region->at.guest_address);
        return vhost_loans_add(loans, memory->xen, guest_address, size, to_write, &start) < 0 ? NULL : start;
}

void *vhost_memory_borrow(const struct vhost_memory *memory, struct vhost_loans **loans, uint64_t guest_address, uint64_t size, bool to_write) {
        const struct vhost_memory_region *region = find(memory, guest_address);

        if (!region || size > region->at.size - (guest_address - region->at.guest_address))
                return NULL;
        return reach(memory, region, loans, guest_address, size, to_write);
}

int vhost_memory_pieces(const struct vhost_memory *memory, struct vhost_loans **loans, uint64_t guest_address, uint64_t size, bool to_write,
                        struct iovec *iov, size_t *n, size_t n_max) {
        while (size > 0) {
                const struct vhost_memory_region *region = find(memory, guest_address);
                uint64_t offset, length;
                void *start;

                if (!region)
                        return -EFAULT;
                if (*n == n_max)
                        return -E2BIG;
                offset = guest_address - region->at.guest_address;
                length = region->at.size - offset < size ? region->at.size - offset : size;
                start = reach(memory, region, loans, guest_address, length, to_write);
                if (!start)
                        return -EFAULT;
                iov[(*n)++] = (struct iovec) { start, length };
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

                if (region->mapping.start && offset < region->at.size)
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
