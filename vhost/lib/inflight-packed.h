/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The inflight region of packed rings ("Inflight I/O tracking", QueueRegionPacked).
 *
 * A packed ring forgets: what is used is written over what was available. So the region has a copy of each descriptor that was taken, in entries that
 * are free or belong to a request. As that of split rings, it is the front-end's, and each index from it is checked.
 */

#include <stddef.h>
#include <stdint.h>

#include "inflight.h"
#include "packed.h"

struct vhost_inflight_packed_entry {    /* DescStatePacked */
        uint8_t inflight;
        uint8_t padding;
        uint16_t next;
        uint16_t last, n;               /* of a request's first entry: which is its last, and how many it has */
        uint64_t counter;
        uint16_t id, flags;             /* of the descriptor */
        uint32_t length;
        uint64_t address;
};

union vhost_inflight_packed_places {    /* in one word, so that no successor sees a half of them */
        struct {
                uint16_t used_idx, old_used_idx;
                uint8_t used_wrap, old_used_wrap;
                uint8_t padding[2];
        };
        uint64_t word;
};

struct vhost_inflight_packed {          /* QueueRegionPacked */
        uint64_t features;
        uint16_t version;
        uint16_t n_entries;
        uint16_t free_head, old_free_head;
        union vhost_inflight_packed_places places;
        uint8_t padding[8];
        struct vhost_inflight_packed_entry entries[];
};

_Static_assert(sizeof(struct vhost_inflight_packed_entry) == 32 && offsetof(struct vhost_inflight_packed_entry, next) == 2 &&
                       offsetof(struct vhost_inflight_packed_entry, counter) == 8 && offsetof(struct vhost_inflight_packed_entry, id) == 16 &&
                       offsetof(struct vhost_inflight_packed_entry, length) == 20 && offsetof(struct vhost_inflight_packed_entry, address) == 24,
               "as in the protocol");
_Static_assert(offsetof(struct vhost_inflight_packed, free_head) == 12 && offsetof(struct vhost_inflight_packed, places.used_idx) == 16 &&
                       offsetof(struct vhost_inflight_packed, places.used_wrap) == 20 && offsetof(struct vhost_inflight_packed, entries) == 32,
               "as in the protocol");

/* The part of a queue, or NULL: there is none, or the region is one of split rings. */
struct vhost_inflight_packed *vhost_inflight_packed_queue(const struct vhost_inflight *inflight, uint16_t index);

/*
 * Takes a queue's part over: what was in the middle of being answered has been, or not. *used is where the front-end believes the ring to go on,
 * which stands if the region is new. state->heads are first entries. *ret_n is how many descriptors they have. -EINVAL: what is written there is not
 * possible.
 */
int vhost_inflight_packed_take_over(struct vhost_inflight_packed *queue, uint16_t size, struct vhost_packed_descriptor *ring,
                                    struct vhost_packed_place *used, struct vhost_inflight_state *ret_state, uint16_t *ret_n);

/* A request is being taken: its first entry, then its descriptors one by one, then it was taken. -EPROTO: the region is full, or nonsense. */
int vhost_inflight_packed_begin(struct vhost_inflight_packed *queue, uint16_t size, uint64_t counter, uint16_t *ret_entry);
int vhost_inflight_packed_note(struct vhost_inflight_packed *queue, uint16_t size, uint16_t entry, const struct vhost_packed_descriptor *d);
void vhost_inflight_packed_taken(struct vhost_inflight_packed *queue);

/* Descriptor number i of a request, in the machine's byte order; *at is its entry, and then that of the next. */
int vhost_inflight_packed_read(const struct vhost_inflight_packed *queue, uint16_t size, uint16_t *at, struct vhost_packed_descriptor *ret);

/*
 * A batch: each of its requests is given back; then the place behind it is noted, the ring itself written, and each is marked as answered.
 */
int vhost_inflight_packed_give_back(struct vhost_inflight_packed *queue, uint16_t size, uint16_t entry);
void vhost_inflight_packed_publishes(struct vhost_inflight_packed *queue, struct vhost_packed_place used);
void vhost_inflight_packed_answered(struct vhost_inflight_packed *queue, uint16_t entry);
void vhost_inflight_packed_published(struct vhost_inflight_packed *queue);
