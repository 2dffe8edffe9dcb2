/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A virtqueue, seen from the device: split (VIRTIO 1.2 §2.7) or, if that was negotiated, packed (§2.8).
 *
 * The ring and its descriptors are the guest's, who may write to them at any moment: an index or a descriptor is copied once, checked, and the
 * copy used. What a guest gets wrong breaks its ring, for good until it begins again, and nothing else. One thread at a time uses a ring. No I/O:
 * who must be notified is returned.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "inflight-packed.h"
#include "log.h"
#include "memory.h"
#include "packed.h"

#define VHOST_RING_SIZE_MAX 1024u       /* entries: as many as QEMU has at most */

/* A request of the driver's: buffers that the device reads, and behind them those that it writes. */
struct vhost_chain {
        uint16_t head;                  /* which it is, for vhost_ring_put(); of a packed ring, the driver's buffer id */
        uint16_t n_slots, entry;        /* of a packed ring: descriptors of the ring that it takes, and where the inflight region has it */
        struct iovec *iov;              /* as given to vhost_ring_take() */
        size_t n_out;                   /* pieces to read */
        size_t n_in;                    /* pieces to write, from iov + n_out on */
        uint64_t n_out_bytes, n_in_bytes;
        struct vhost_loans *loans;      /* the ring's: what is mapped for this request only */
};

struct vhost_ring_setup {
        const struct vhost_memory *memory;
        const struct vhost_log *log;    /* NULL: nothing is logged */
        struct vhost_inflight_queue *inflight;          /* NULL: nothing is tracked */
        struct vhost_inflight_packed *inflight_packed;  /* instead, if the ring is packed */
        struct vhost_vring_address address;
        uint64_t features;              /* that were negotiated */
        uint16_t size;
        uint32_t base;                  /* where it goes on, as SET_VRING_BASE has it: packed.h, or the available ring's index */
};

struct vhost_ring_answer {              /* put into a packed ring, and not published */
        uint16_t id, n_slots, entry;
        bool has_written;
        uint32_t n_written;
};

struct vhost_ring {
        struct vhost_ring_setup setup;
        uint8_t *descriptors, *available, *used;
        uint16_t available_idx;         /* taken up to here */
        uint16_t used_idx;              /* put up to here */
        uint16_t published_idx;         /* what the driver sees */
        struct vhost_packed_place next_available, next_used;    /* instead of these, if it is packed */
        uint16_t n_slots_taken;         /* descriptors between the two */
        uint16_t n_slots_resumed;       /* of those, of requests that are still to be taken again */
        struct vhost_ring_answer *answers;
        uint16_t n_answers;
        struct vhost_loans *loans;      /* of all requests that are not answered */
        bool is_packed;
        bool has_event_idx, has_indirect, log_used;
        bool is_broken;
        struct vhost_inflight_state resumed;
        uint16_t n_resumed;             /* of its requests that were taken again */
        bool has_run;                   /* there are signs of a device before us: requests may be waiting that no kick will tell of */
};

/*
 * Begins. -EINVAL: a size that cannot be, or addresses that are not aligned; -EFAULT: they are not all in memory; or what
 * taking the inflight region over says. vhost_ring_done() ends it.
 */
int vhost_ring_init(struct vhost_ring *ring, const struct vhost_ring_setup *setup);
void vhost_ring_done(struct vhost_ring *ring);

/*
 * Takes the next request, whose pieces go to iov. Returns 1 and the request, 0 if there is none, or -EPROTO: the ring is broken. First come
 * requests that a back-end before us has left unanswered.
 */
int vhost_ring_take(struct vhost_ring *ring, struct iovec *iov, size_t n_iov, struct vhost_chain *ret_chain);

/* Answers one: n_written bytes of its pieces to write, from the first, were written. The driver does not see it yet. */
void vhost_ring_put(struct vhost_ring *ring, const struct vhost_chain *chain, uint32_t n_written);

/* Lets the driver see what was put. Returns whether it wants to be notified. */
bool vhost_ring_publish(struct vhost_ring *ring);

/* Asks for a kick when there is more. Returns whether there is already: then none may come. */
bool vhost_ring_sleep(struct vhost_ring *ring);

/* Asks for no kicks, as the ring is being looked at anyway. */
void vhost_ring_wake(struct vhost_ring *ring);

/*
 * Whether there are requests that a back-end before us has left, and that were not taken yet. Whoever stops takes these first: where the ring goes on is behind them,
 * and a successor that is not given the inflight region knows nothing of them.
 */
static inline bool vhost_ring_has_left(const struct vhost_ring *ring) {
        return !ring->is_broken && ring->n_resumed < ring->resumed.n_heads;
}

/* What GET_VRING_BASE answers. */
static inline uint32_t vhost_ring_base(const struct vhost_ring *ring) {
        if (ring->is_packed)
                return vhost_packed_word(ring->next_available) | vhost_packed_word(ring->next_used) << 16;
        return ring->available_idx;
}
