/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A virtqueue: its beginning, and what a split one is. Chains of descriptors are in ring-chain.c, packed rings in ring-packed.c. */

#include "ring.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "ring-chain.h"
#include "ring-packed.h"

/* VIRTIO 1.2 §2.7.6 and §2.7.8: flags and idx are followed by the ring, and that by the word of event suppression. */
#define IDX 2u
#define RING 4u
#define AVAILABLE_NO_INTERRUPT 1u
#define USED_NO_NOTIFY 1u

static uint16_t load(const uint8_t *p) {
        return le16toh(__atomic_load_n((const uint16_t *) (const void *) p, __ATOMIC_ACQUIRE));
}

static void store(uint8_t *p, uint16_t value) {
        __atomic_store_n((uint16_t *) (void *) p, htole16(value), __ATOMIC_RELEASE);
}

static size_t available_bytes(uint16_t size) {
        return RING + 2u * size + 2;
}

static size_t used_bytes(uint16_t size) {
        return RING + 8u * size + 2;
}

static int map_split(struct vhost_ring *ring) {
        const struct vhost_vring_address *address = &ring->setup.address;
        uint16_t size = ring->setup.size;

        if (address->descriptor % 16 != 0 || address->available % 2 != 0 || address->used % 4 != 0)
                return -EINVAL;
        ring->descriptors = vhost_memory_user(ring->setup.memory, address->descriptor, 16u * size);
        ring->available = vhost_memory_user(ring->setup.memory, address->available, available_bytes(size));
        ring->used = vhost_memory_user(ring->setup.memory, address->used, used_bytes(size));
        if (!ring->descriptors || !ring->available || !ring->used)
                return -EFAULT;
        /* User addresses say nothing of how the region was mapped here: an odd mmap offset must not become a misaligned load. */
        if ((uintptr_t) ring->descriptors % 16 != 0 || (uintptr_t) ring->available % 2 != 0 || (uintptr_t) ring->used % 4 != 0)
                return -EINVAL;
        return 0;
}

static int init_split(struct vhost_ring *ring) {
        const struct vhost_ring_setup *setup = &ring->setup;
        int r;

        if (setup->base > UINT16_MAX)
                return -EINVAL;
        ring->available_idx = (uint16_t) setup->base;
        ring->has_run = setup->base != 0;
        r = map_split(ring);
        if (r < 0)
                return r;
        ring->used_idx = ring->published_idx = load(ring->used + IDX);
        if (!setup->inflight)
                return 0;
        r = vhost_inflight_take_over(setup->inflight, setup->size, ring->used_idx, &ring->resumed);
        if (r < 0)
                return r;
        /*
         * Every request before the used index was answered, and those in flight are all that was taken beyond. So this is where the ring goes
         * on, whatever the front-end thinks: it cannot know what a back-end had taken when it died.
         */
        if (!ring->resumed.is_new) {
                ring->available_idx = (uint16_t) (ring->used_idx + ring->resumed.n_heads);
                ring->has_run = true;
        }
        return 0;
}

int vhost_ring_init(struct vhost_ring *ring, const struct vhost_ring_setup *setup) {
        int r;

        if (setup->size == 0 || setup->size > VHOST_RING_SIZE_MAX || (setup->size & (setup->size - 1)) != 0)
                return -EINVAL;
        *ring = (struct vhost_ring) {
                .setup = *setup,
                .is_packed = setup->features & VHOST_BIT(VHOST_F_PACKED),
                .has_event_idx = setup->features & VHOST_BIT(VHOST_F_EVENT_IDX),
                .has_indirect = setup->features & VHOST_BIT(VHOST_F_INDIRECT),
                .log_used = setup->log && setup->address.flags & VHOST_VRING_F_LOG,
        };
        r = ring->is_packed ? vhost_packed_init(ring) : init_split(ring);
        if (r < 0)
                vhost_ring_done(ring);
        return r;
}

void vhost_ring_done(struct vhost_ring *ring) {
        while (ring->loans) {
                struct vhost_loans *loans = ring->loans;

                vhost_loans_unlink(&ring->loans, loans);
                vhost_loans_return(loans, ring->setup.memory->xen);
        }
        free(ring->resumed.heads);
        free(ring->answers);
        *ring = (struct vhost_ring) {};
}

static int broken(struct vhost_ring *ring) {
        ring->is_broken = true;
        return -EPROTO;
}

/* The next request's first descriptor. 1, 0 or -EPROTO. */
static int take_head(struct vhost_ring *ring, uint16_t *ret_head) {
        uint16_t size = ring->setup.size, untrusted_idx, untrusted_head;

        if (ring->n_resumed < ring->resumed.n_heads) {
                *ret_head = ring->resumed.heads[ring->n_resumed++];     /* of the inflight region, where they are below size */
                return 1;
        }
        untrusted_idx = load(ring->available + IDX);
        if (untrusted_idx == ring->available_idx)
                return 0;
        if ((uint16_t) (untrusted_idx - ring->available_idx) > size)
                return broken(ring);
        untrusted_head = load(ring->available + RING + 2u * (ring->available_idx & (size - 1u)));
        if (untrusted_head >= size)
                return broken(ring);
        /* Taken in this order, so that whoever finds the region after kill -9 counts it exactly if it is in flight. */
        if (ring->setup.inflight)
                vhost_inflight_taken(ring->setup.inflight, untrusted_head, ring->resumed.counter++);
        ring->available_idx++;
        *ret_head = untrusted_head;
        return 1;
}

static int take_split(struct vhost_ring *ring, struct vhost_chain *chain, size_t n_iov) {
        int r = take_head(ring, &chain->head);

        if (r <= 0)
                return r;
        r = vhost_chain_read(chain, ring->setup.memory, ring->descriptors, ring->setup.size, ring->has_indirect, n_iov);
        return r < 0 ? r : 1;
}

int vhost_ring_take(struct vhost_ring *ring, struct iovec *iov, size_t n_iov, struct vhost_chain *ret_chain) {
        struct vhost_chain chain = { .iov = iov };
        int r;

        if (ring->is_broken)
                return -EPROTO;
        r = ring->is_packed ? vhost_packed_take(ring, &chain, n_iov) : take_split(ring, &chain, n_iov);
        if (r < 0) {
                vhost_loans_return(chain.loans, ring->setup.memory->xen);
                return broken(ring);
        }
        if (chain.loans)
                vhost_loans_link(&ring->loans, chain.loans);
        if (r > 0)
                *ret_chain = chain;
        return r;
}

/* All that the device may have written: what it tells of in n_written may be less, as when a read has failed in the middle, and its status is at the end. */
static void log_written(const struct vhost_ring *ring, const struct vhost_chain *chain) {
        for (size_t i = chain->n_out; i < chain->n_out + chain->n_in; i++)
                vhost_log_write(ring->setup.log, vhost_memory_guest_address(ring->setup.memory, chain->iov[i].iov_base), chain->iov[i].iov_len);
}

static void put_split(struct vhost_ring *ring, const struct vhost_chain *chain, uint32_t n_written) {
        size_t offset = RING + 8u * (ring->used_idx & (ring->setup.size - 1u));
        uint32_t element[2] = { htole32(chain->head), htole32(n_written) };

        __atomic_store_n((uint32_t *) (void *) (ring->used + offset), element[0], __ATOMIC_RELAXED);
        __atomic_store_n((uint32_t *) (void *) (ring->used + offset + 4), element[1], __ATOMIC_RELAXED);
        if (ring->log_used)
                vhost_log_write(ring->setup.log, ring->setup.address.log + offset, sizeof element);
        if (ring->setup.inflight)
                vhost_inflight_used(ring->setup.inflight, chain->head);
        ring->used_idx++;
}

void vhost_ring_put(struct vhost_ring *ring, const struct vhost_chain *chain, uint32_t n_written) {
        if (ring->setup.log)
                log_written(ring, chain);
        if (ring->is_packed)
                vhost_packed_put(ring, chain, n_written);
        else
                put_split(ring, chain, n_written);
        if (chain->loans) {
                vhost_loans_unlink(&ring->loans, chain->loans);
                vhost_loans_return(chain->loans, ring->setup.memory->xen);
        }
}

static bool publish_split(struct vhost_ring *ring) {
        uint16_t old = ring->published_idx, new = ring->used_idx, event;

        if (old == new)
                return false;
        store(ring->used + IDX, new);
        ring->published_idx = new;
        if (ring->log_used)
                vhost_log_write(ring->setup.log, ring->setup.address.log + IDX, 2);
        if (ring->setup.inflight)
                vhost_inflight_published(ring->setup.inflight, ring->setup.size, new);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);        /* the index before the look at whether the driver waits for it */
        if (!ring->has_event_idx)
                return !(load(ring->available) & AVAILABLE_NO_INTERRUPT);
        event = load(ring->available + RING + 2u * ring->setup.size);
        return (uint16_t) (new - event - 1) < (uint16_t) (new - old);   /* §2.7.7.2: it was passed in this step */
}

bool vhost_ring_publish(struct vhost_ring *ring) {
        return ring->is_packed ? vhost_packed_publish(ring) : publish_split(ring);
}

static bool sleep_split(struct vhost_ring *ring) {
        uint16_t size = ring->setup.size;

        if (ring->has_event_idx)
                store(ring->used + RING + 8u * size, ring->available_idx);
        else
                store(ring->used, 0);
        if (ring->log_used)
                vhost_log_write(ring->setup.log, ring->setup.address.log, used_bytes(size));
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return load(ring->available + IDX) != ring->available_idx;
}

bool vhost_ring_sleep(struct vhost_ring *ring) {
        if (ring->is_broken)
                return false;
        if (ring->n_resumed < ring->resumed.n_heads)
                return true;
        return ring->is_packed ? vhost_packed_sleep(ring) : sleep_split(ring);
}

void vhost_ring_wake(struct vhost_ring *ring) {
        if (ring->is_broken)
                return;
        if (ring->is_packed)
                vhost_packed_wake(ring);
        else if (!ring->has_event_idx) {
                store(ring->used, USED_NO_NOTIFY);
                if (ring->log_used)
                        vhost_log_write(ring->setup.log, ring->setup.address.log, 2);
        }
}
