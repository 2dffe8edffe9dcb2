/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Packed virtqueues as they lie in memory (VIRTIO 1.2 §2.8), for both sides.
 *
 * One ring of descriptors: the driver writes to it what is available, and the device, over that, what is used. Two flags of each descriptor say whose
 * it is, and mean the opposite each time round; so a place in the ring is an index and which time round it is, even or odd.
 */

#include <stdbool.h>
#include <stdint.h>

struct vhost_packed_descriptor {        /* §2.8.13 */
        uint64_t address;
        uint32_t length;
        uint16_t id;
        uint16_t flags;
};

enum {                                  /* flags of a descriptor */
        VHOST_PACKED_NEXT = 1,
        VHOST_PACKED_WRITE = 2,
        VHOST_PACKED_INDIRECT = 4,
        VHOST_PACKED_AVAILABLE = 1 << 7,
        VHOST_PACKED_USED = 1 << 15,
};

/* Whether to be notified: each side has such a word, which the other reads (§2.8.14). */
struct vhost_packed_event {
        uint16_t place;                 /* of the descriptor to be notified of: index, and in bit 15 the time round */
        uint16_t flags;
};

enum {                                  /* flags of these */
        VHOST_PACKED_EVENT_ENABLE = 0,
        VHOST_PACKED_EVENT_DISABLE = 1,
        VHOST_PACKED_EVENT_PLACE = 2,   /* with EVENT_IDX only */
};

struct vhost_packed_place {
        uint16_t idx;
        bool wrap;                      /* §2.8.1: the wrap counter, 1 the first time round */
};

/* Both places in what SET_VRING_BASE and its kin have: "Vring descriptor indices for packed virtqueues". At the beginning: */
#define VHOST_PACKED_BASE 0x80008000u

static inline uint32_t vhost_packed_word(struct vhost_packed_place place) {
        return place.idx | (place.wrap ? 0x8000u : 0);
}

static inline struct vhost_packed_place vhost_packed_place_of(uint32_t word) {
        return (struct vhost_packed_place) { .idx = (uint16_t) (word & 0x7fff), .wrap = word & 0x8000 };
}

/* n is at most the ring's size. */
static inline struct vhost_packed_place vhost_packed_after(struct vhost_packed_place place, uint16_t n, uint16_t size) {
        uint32_t idx = (uint32_t) place.idx + n;

        if (idx >= size)
                return (struct vhost_packed_place) { .idx = (uint16_t) (idx - size), .wrap = !place.wrap };
        return (struct vhost_packed_place) { .idx = (uint16_t) idx, .wrap = place.wrap };
}

/* The two flags, as the driver sets them, and as the device does. */
static inline uint16_t vhost_packed_available(bool wrap) {
        return wrap ? VHOST_PACKED_AVAILABLE : VHOST_PACKED_USED;
}

static inline uint16_t vhost_packed_used(bool wrap) {
        return wrap ? VHOST_PACKED_AVAILABLE | VHOST_PACKED_USED : 0;
}

#define VHOST_PACKED_OWNER ((uint16_t) (VHOST_PACKED_AVAILABLE | VHOST_PACKED_USED))

/* Whether an event is of interest to the other side, which waits for one, given that so many descriptors were passed up to a place. */
static inline bool vhost_packed_passed(uint16_t event, struct vhost_packed_place now, uint16_t n, uint16_t size) {
        struct vhost_packed_place awaited = vhost_packed_place_of(event);
        uint16_t at = (uint16_t) (awaited.idx - (awaited.wrap != now.wrap ? size : 0));

        return (uint16_t) (now.idx - at - 1) < n;
}

_Static_assert(sizeof(struct vhost_packed_descriptor) == 16 && sizeof(struct vhost_packed_event) == 4, "as in memory");
