/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Packed virtqueues (VIRTIO 1.2 §2.8). Of struct vhost_ring, descriptors is the ring, available the word in which the driver says what it wants to be
 * notified of, used the one in which we do.
 *
 * Answers are kept until they are published, and then written over what was available: all but the first in any order, and then the flags of the first,
 * at which the driver looks. So it sees a batch at once, or nothing of it.
 */

#include "ring-packed.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring-chain.h"

#define EVENT_FLAGS 2u                  /* in struct vhost_packed_event */

static uint16_t load(const uint8_t *p) {
        return le16toh(__atomic_load_n((const uint16_t *) (const void *) p, __ATOMIC_ACQUIRE));
}

static void store(uint8_t *p, uint16_t value) {
        __atomic_store_n((uint16_t *) (void *) p, htole16(value), __ATOMIC_RELEASE);
}

static struct vhost_packed_descriptor *slot(const struct vhost_ring *ring, struct vhost_packed_place place) {
        return (struct vhost_packed_descriptor *) (void *) ring->descriptors + place.idx;
}

static int map(struct vhost_ring *ring) {
        const struct vhost_vring_address *address = &ring->setup.address;

        if (address->descriptor % 16 != 0 || address->available % 4 != 0 || address->used % 4 != 0)
                return -EINVAL;
        ring->descriptors = vhost_memory_user(ring->setup.memory, address->descriptor, CHAIN_DESCRIPTOR_SIZE * ring->setup.size);
        ring->available = vhost_memory_user(ring->setup.memory, address->available, sizeof(struct vhost_packed_event));
        ring->used = vhost_memory_user(ring->setup.memory, address->used, sizeof(struct vhost_packed_event));
        if (!ring->descriptors || !ring->available || !ring->used)
                return -EFAULT;
        /* As for split rings: an odd mmap offset must not become a misaligned load. */
        if ((uintptr_t) ring->descriptors % 16 != 0 || (uintptr_t) ring->available % 4 != 0 || (uintptr_t) ring->used % 4 != 0)
                return -EINVAL;
        return 0;
}

static int take_over(struct vhost_ring *ring) {
        int r;

        r = vhost_inflight_packed_take_over(ring->setup.inflight_packed, ring->setup.size, slot(ring, (struct vhost_packed_place) {}),
                                            &ring->next_used, &ring->resumed, &ring->n_slots_taken);
        if (r < 0)
                return r;
        /* As for split rings, the region says where the ring goes on. */
        if (!ring->resumed.is_new) {
                ring->n_slots_resumed = ring->n_slots_taken;
                ring->next_available = vhost_packed_after(ring->next_used, ring->n_slots_taken, ring->setup.size);
                ring->has_run = true;
        }
        return 0;
}

int vhost_packed_init(struct vhost_ring *ring) {
        uint16_t size = ring->setup.size;
        int r;

        ring->next_available = vhost_packed_place_of(ring->setup.base);
        ring->next_used = vhost_packed_place_of(ring->setup.base >> 16);
        ring->has_run = ring->setup.base != VHOST_PACKED_BASE;
        if (ring->next_available.idx >= size || ring->next_used.idx >= size)
                return -EINVAL;
        r = map(ring);
        if (r < 0)
                return r;
        ring->answers = calloc(size, sizeof *ring->answers);
        if (!ring->answers)
                return -ENOMEM;
        return ring->setup.inflight_packed ? take_over(ring) : 0;
}

static struct vhost_packed_descriptor copy(const void *untrusted) {
        struct vhost_packed_descriptor d;

        memcpy(&d, untrusted, sizeof d);
        __asm__ volatile("" : "+m"(d));         /* a copy, and not another look at memory that has changed meanwhile */
        return (struct vhost_packed_descriptor) { le64toh(d.address), le32toh(d.length), le16toh(d.id), le16toh(d.flags) };
}

/* §2.8.7: of its descriptors only WRITE has a meaning. */
static int add_table(const struct vhost_ring *ring, struct vhost_chain *chain, const struct vhost_packed_descriptor *indirect, size_t n_iov) {
        const uint8_t *table = vhost_chain_table(chain, ring->setup.memory, indirect->address, indirect->length);

        if (!table)
                return -EPROTO;
        for (uint32_t i = 0; i < indirect->length / CHAIN_DESCRIPTOR_SIZE; i++) {
                struct vhost_packed_descriptor d = copy(table + i * CHAIN_DESCRIPTOR_SIZE);

                if (vhost_chain_add(chain, ring->setup.memory, d.address, d.length, d.flags & CHAIN_WRITE, n_iov) < 0)
                        return -EPROTO;
        }
        return 0;
}

/* Adds one descriptor of the ring. */
static int add(const struct vhost_ring *ring, struct vhost_chain *chain, const struct vhost_packed_descriptor *d, size_t n_iov) {
        chain->n_slots++;
        chain->head = d->id;            /* that of the last is the one which counts (§2.8.6) */
        if (!(d->flags & CHAIN_INDIRECT))
                return vhost_chain_add(chain, ring->setup.memory, d->address, d->length, d->flags, n_iov);
        if (!ring->has_indirect || d->flags & CHAIN_NEXT)
                return -EPROTO;
        return add_table(ring, chain, d, n_iov);
}

/* A request that a back-end before us has left, out of the inflight region. */
static int take_resumed(struct vhost_ring *ring, struct vhost_chain *chain, size_t n_iov) {
        const struct vhost_inflight_packed *queue = ring->setup.inflight_packed;
        struct vhost_packed_descriptor d;

        chain->entry = ring->resumed.heads[ring->n_resumed++];
        for (uint16_t at = chain->entry;;) {
                /* Of a front-end that changes the region: no more than all of them had at the beginning. */
                if (ring->n_slots_resumed == 0 || vhost_inflight_packed_read(queue, ring->setup.size, &at, &d) < 0)
                        return -EPROTO;
                ring->n_slots_resumed--;
                if (add(ring, chain, &d, n_iov) < 0)
                        return -EPROTO;
                if (!(d.flags & CHAIN_NEXT))
                        return 1;
        }
}

static bool is_available(const struct vhost_ring *ring) {
        uint16_t flags = load((const uint8_t *) &slot(ring, ring->next_available)->flags);

        return (flags & VHOST_PACKED_OWNER) == vhost_packed_available(ring->next_available.wrap);
}

/* A chain of the ring's. The driver has no more descriptors than the ring, less those that we have already. */
static int walk(struct vhost_ring *ring, struct vhost_chain *chain, size_t n_iov) {
        struct vhost_inflight_packed *queue = ring->setup.inflight_packed;
        uint16_t size = ring->setup.size;

        for (struct vhost_packed_place at = ring->next_available;; at = vhost_packed_after(at, 1, size)) {
                struct vhost_packed_descriptor d;

                if (chain->n_slots >= size - ring->n_slots_taken)
                        return -EPROTO;
                d = copy(slot(ring, at));
                if (queue && vhost_inflight_packed_note(queue, size, chain->entry, &d) < 0)
                        return -EPROTO;
                if (add(ring, chain, &d, n_iov) < 0)
                        return -EPROTO;
                if (!(d.flags & CHAIN_NEXT))
                        return 0;
        }
}

int vhost_packed_take(struct vhost_ring *ring, struct vhost_chain *chain, size_t n_iov) {
        struct vhost_inflight_packed *queue = ring->setup.inflight_packed;

        if (ring->n_resumed < ring->resumed.n_heads)
                return take_resumed(ring, chain, n_iov);
        if (!is_available(ring))
                return 0;
        if (queue && vhost_inflight_packed_begin(queue, ring->setup.size, ring->resumed.counter++, &chain->entry) < 0)
                return -EPROTO;
        if (walk(ring, chain, n_iov) < 0)
                return -EPROTO;
        if (queue)
                vhost_inflight_packed_taken(queue);
        ring->n_slots_taken = (uint16_t) (ring->n_slots_taken + chain->n_slots);
        ring->next_available = vhost_packed_after(ring->next_available, chain->n_slots, ring->setup.size);
        return 1;
}

void vhost_packed_put(struct vhost_ring *ring, const struct vhost_chain *chain, uint32_t n_written) {
        assert(ring->n_answers < ring->setup.size);     /* each takes a descriptor at least */
        ring->answers[ring->n_answers++] = (struct vhost_ring_answer) {
                .id = chain->head,
                .n_slots = chain->n_slots,
                .entry = chain->entry,
                .has_written = n_written > 0,
                .n_written = n_written,
        };
}

static uint16_t used_flags(const struct vhost_ring_answer *answer, bool wrap) {
        return (uint16_t) (vhost_packed_used(wrap) | (answer->has_written ? VHOST_PACKED_WRITE : 0));
}

static void log_memory(const struct vhost_ring *ring, const void *p, uint64_t n) {
        if (ring->log_used)
                vhost_log_write(ring->setup.log, vhost_memory_guest_address(ring->setup.memory, p), n);
}

/* Gives what they took back to the inflight region, which is then as if the driver had seen them: what it says holds once the ring says so too. */
static int note_answers(struct vhost_ring *ring, struct vhost_packed_place after) {
        struct vhost_inflight_packed *queue = ring->setup.inflight_packed;

        for (uint16_t i = 0; i < ring->n_answers; i++)
                if (vhost_inflight_packed_give_back(queue, ring->setup.size, ring->answers[i].entry) < 0)
                        return -EPROTO;
        vhost_inflight_packed_publishes(queue, after);
        return 0;
}

/* Whatever is logged is logged once it has been written: before, somebody might copy its page, and take it for done. */
static void write_answers(struct vhost_ring *ring) {
        struct vhost_packed_descriptor *first = slot(ring, ring->next_used);
        struct vhost_packed_place at = ring->next_used;

        for (uint16_t i = 0; i < ring->n_answers; i++) {
                const struct vhost_ring_answer *answer = &ring->answers[i];
                struct vhost_packed_descriptor *d = slot(ring, at);

                __atomic_store_n(&d->id, htole16(answer->id), __ATOMIC_RELAXED);
                __atomic_store_n(&d->length, htole32(answer->n_written), __ATOMIC_RELAXED);
                if (i > 0) {
                        store((uint8_t *) &d->flags, used_flags(answer, at.wrap));
                        log_memory(ring, d, sizeof *d);
                }
                at = vhost_packed_after(at, answer->n_slots, ring->setup.size);
        }
        store((uint8_t *) &first->flags, used_flags(&ring->answers[0], ring->next_used.wrap));
        log_memory(ring, first, sizeof *first);
}

/* Whether the driver wants to be notified, of n descriptors up to next_used. */
static bool is_awaited(const struct vhost_ring *ring, uint16_t n) {
        uint16_t flags;

        __atomic_thread_fence(__ATOMIC_SEQ_CST);        /* the ring before the look at whether the driver waits for it */
        flags = load(ring->available + EVENT_FLAGS);
        if (flags == VHOST_PACKED_EVENT_DISABLE)
                return false;
        if (flags != VHOST_PACKED_EVENT_PLACE || !ring->has_event_idx)
                return true;
        return vhost_packed_passed(load(ring->available), ring->next_used, n, ring->setup.size);
}

bool vhost_packed_publish(struct vhost_ring *ring) {
        struct vhost_packed_place after;
        uint16_t n = 0;

        if (ring->n_answers == 0)
                return false;
        for (uint16_t i = 0; i < ring->n_answers; i++)
                n = (uint16_t) (n + ring->answers[i].n_slots);
        after = vhost_packed_after(ring->next_used, n, ring->setup.size);
        if (ring->setup.inflight_packed && note_answers(ring, after) < 0) {
                ring->is_broken = true;
                ring->n_answers = 0;
                return false;
        }
        write_answers(ring);
        for (uint16_t i = 0; ring->setup.inflight_packed && i < ring->n_answers; i++)
                vhost_inflight_packed_answered(ring->setup.inflight_packed, ring->answers[i].entry);
        if (ring->setup.inflight_packed)
                vhost_inflight_packed_published(ring->setup.inflight_packed);
        ring->next_used = after;
        ring->n_slots_taken = (uint16_t) (ring->n_slots_taken - n);
        ring->n_answers = 0;
        return is_awaited(ring, n);
}

bool vhost_packed_sleep(struct vhost_ring *ring) {
        if (ring->has_event_idx)
                store(ring->used, (uint16_t) vhost_packed_word(ring->next_available));
        store(ring->used + EVENT_FLAGS, ring->has_event_idx ? VHOST_PACKED_EVENT_PLACE : VHOST_PACKED_EVENT_ENABLE);
        log_memory(ring, ring->used, sizeof(struct vhost_packed_event));
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return is_available(ring);
}

void vhost_packed_wake(struct vhost_ring *ring) {
        store(ring->used + EVENT_FLAGS, VHOST_PACKED_EVENT_DISABLE);
        log_memory(ring, ring->used, sizeof(struct vhost_packed_event));
}
