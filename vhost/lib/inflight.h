/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The inflight region: which requests a back-end has taken and not answered, in memory that outlives it ("Inflight I/O tracking").
 *
 * The front-end keeps it and hands it to the next back-end. So its contents are as untrusted as any guest's memory: each index that is read
 * from it is checked.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mapping.h"

#define VHOST_INFLIGHT_VERSION 1u

struct vhost_inflight_entry {           /* DescStateSplit */
        uint8_t inflight;
        uint8_t padding[5];
        uint16_t next;
        uint64_t counter;
};

struct vhost_inflight_queue {           /* QueueRegionSplit */
        uint64_t features;
        uint16_t version;
        uint16_t n_entries;
        uint16_t last_batch_head;
        uint16_t used_idx;
        struct vhost_inflight_entry entries[];
};

_Static_assert(sizeof(struct vhost_inflight_entry) == 16 && offsetof(struct vhost_inflight_entry, next) == 6 &&
                       offsetof(struct vhost_inflight_entry, counter) == 8 && offsetof(struct vhost_inflight_queue, version) == 8 &&
                       offsetof(struct vhost_inflight_queue, used_idx) == 14 && offsetof(struct vhost_inflight_queue, entries) == 16,
               "as in the protocol");

struct vhost_inflight {
        struct vhost_mapping mapping;
        uint16_t n_queues, queue_size;
        bool is_packed;                 /* for packed rings: inflight-packed.h */
};

#define VHOST_INFLIGHT_NONE { .mapping = VHOST_MAPPING_NONE }

/* Bytes that a region for so many queues of such a size takes. */
uint64_t vhost_inflight_bytes(uint16_t n_queues, uint16_t queue_size, bool is_packed);

/* Makes a region of zeros, for a front-end that asks for one. Returns its descriptor, the caller's, or a negative errno. */
int vhost_inflight_make(uint16_t n_queues, uint16_t queue_size, bool is_packed);

/* Maps one; its descriptor stays the caller's. -EINVAL: it is too small for what it is to hold, or begins where no number of 64 bits may; and as vhost_mapping_open(). */
int vhost_inflight_open(struct vhost_inflight *inflight, int fd, uint64_t offset, uint64_t size, uint16_t n_queues, uint16_t queue_size,
                        bool is_packed);
void vhost_inflight_close(struct vhost_inflight *inflight);

/* The part of a queue, or NULL: there is none, or the region is one of packed rings. */
struct vhost_inflight_queue *vhost_inflight_queue(const struct vhost_inflight *inflight, uint16_t index);

/* What a back-end finds when a ring begins. */
struct vhost_inflight_state {
        uint64_t counter;               /* the next */
        uint16_t *heads;                /* requests to be done again, in their order; the caller frees it */
        uint16_t n_heads;
        bool is_new;                    /* nobody has used it yet */
};

struct vhost_inflight_found {
        uint64_t counter;
        uint16_t head;
};

/* Fills in heads and counter, from what was found in any order, which is put in order. */
int vhost_inflight_order(struct vhost_inflight_found *found, uint16_t n, struct vhost_inflight_state *state);

/*
 * Takes a queue's part over: brings what was in the middle of being answered to an end, given the used ring's index. -EINVAL: what is written
 * there is not possible.
 */
int vhost_inflight_take_over(struct vhost_inflight_queue *queue, uint16_t size, uint16_t used_idx, struct vhost_inflight_state *ret_state);

/* A request was taken; some were put into the used ring, one by one, and then the ring's index was stored. */
void vhost_inflight_taken(struct vhost_inflight_queue *queue, uint16_t head, uint64_t counter);
void vhost_inflight_used(struct vhost_inflight_queue *queue, uint16_t head);
void vhost_inflight_published(struct vhost_inflight_queue *queue, uint16_t size, uint16_t used_idx);
