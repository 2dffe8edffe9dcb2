/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The inflight region. The order of the stores is what makes it hold at any moment of a kill -9, so each that matters is an atomic one. */

#include "inflight-packed.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGNMENT 64u                   /* of each queue's part, so that queues do not share a cache line */

#define load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

static uint64_t queue_bytes(uint16_t queue_size, bool is_packed) {
        uint64_t n = is_packed ? sizeof(struct vhost_inflight_packed) + (uint64_t) queue_size * sizeof(struct vhost_inflight_packed_entry) :
                                 sizeof(struct vhost_inflight_queue) + (uint64_t) queue_size * sizeof(struct vhost_inflight_entry);

        return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

uint64_t vhost_inflight_bytes(uint16_t n_queues, uint16_t queue_size, bool is_packed) {
        return n_queues * queue_bytes(queue_size, is_packed);
}

int vhost_inflight_make(uint16_t n_queues, uint16_t queue_size, bool is_packed) {
        int fd, r;

        fd = memfd_create("vhost-inflight", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (ftruncate(fd, (off_t) vhost_inflight_bytes(n_queues, queue_size, is_packed)) < 0) {
                r = -errno;
                close(fd);
                return r;
        }
        return fd;
}

int vhost_inflight_open(struct vhost_inflight *inflight, int fd, uint64_t offset, uint64_t size, uint16_t n_queues, uint16_t queue_size,
                        bool is_packed) {
        int r;

        if (n_queues == 0 || queue_size == 0 || size < vhost_inflight_bytes(n_queues, queue_size, is_packed) || offset % 8 != 0)
                return -EINVAL;
        r = vhost_mapping_open(&inflight->mapping, fd, offset, size);
        if (r < 0)
                return r;
        inflight->n_queues = n_queues;
        inflight->queue_size = queue_size;
        inflight->is_packed = is_packed;
        return 0;
}

void vhost_inflight_close(struct vhost_inflight *inflight) {
        vhost_mapping_close(&inflight->mapping);
        inflight->n_queues = inflight->queue_size = 0;
}

struct vhost_inflight_queue *vhost_inflight_queue(const struct vhost_inflight *inflight, uint16_t index) {
        if (inflight->is_packed || index >= inflight->n_queues)
                return NULL;
        return (struct vhost_inflight_queue *) ((uint8_t *) inflight->mapping.start + index * queue_bytes(inflight->queue_size, false));
}

/*
 * The used ring's index has moved on, and the entries of that batch may still say that they are in flight. The list of a batch is no longer
 * than the batch. What was put into the list, but whose index was not stored, is in flight: it will be done again.
 */
static int end_batch(struct vhost_inflight_queue *queue, uint16_t size, uint16_t used_idx) {
        uint16_t n = (uint16_t) (used_idx - load(&queue->used_idx));
        uint16_t untrusted_head = load(&queue->last_batch_head);

        if (n > size)
                return -EINVAL;
        for (; n > 0; n--) {
                if (untrusted_head >= size)
                        return -EINVAL;
                store(&queue->entries[untrusted_head].inflight, 0);
                untrusted_head = load(&queue->entries[untrusted_head].next);
        }
        store(&queue->used_idx, used_idx);
        return 0;
}

static int compare(const void *a, const void *b) {
        const struct vhost_inflight_found *x = a, *y = b;

        return x->counter < y->counter ? -1 : x->counter > y->counter;
}

int vhost_inflight_order(struct vhost_inflight_found *found, uint16_t n, struct vhost_inflight_state *state) {
        if (n == 0)
                return 0;
        state->heads = calloc(n, sizeof *state->heads);
        if (!state->heads)
                return -ENOMEM;
        qsort(found, n, sizeof *found, compare);
        for (uint16_t i = 0; i < n; i++)
                state->heads[i] = found[i].head;
        state->n_heads = n;
        state->counter = found[n - 1].counter + 1;
        return 0;
}

static int collect(struct vhost_inflight_queue *queue, uint16_t size, struct vhost_inflight_state *state) {
        struct vhost_inflight_found *found = calloc(size, sizeof *found);
        uint16_t n = 0;
        int r;

        if (!found)
                return -ENOMEM;
        for (uint16_t i = 0; i < size; i++)
                if (load(&queue->entries[i].inflight))
                        found[n++] = (struct vhost_inflight_found) { load(&queue->entries[i].counter), i };
        r = vhost_inflight_order(found, n, state);
        free(found);
        return r;
}

int vhost_inflight_take_over(struct vhost_inflight_queue *queue, uint16_t size, uint16_t used_idx, struct vhost_inflight_state *ret_state) {
        uint16_t untrusted_version = load(&queue->version);
        struct vhost_inflight_state state = {};
        int r;

        if (untrusted_version == 0) {
                /* Not zero: a ring that has run before, and only gets a new region, would seem to have a batch that was not ended. */
                store(&queue->used_idx, used_idx);
                store(&queue->n_entries, size);
                store(&queue->version, VHOST_INFLIGHT_VERSION);
                state.is_new = true;
        } else {
                if (untrusted_version != VHOST_INFLIGHT_VERSION || load(&queue->n_entries) != size)
                        return -EINVAL;
                r = end_batch(queue, size, used_idx);
                if (r < 0)
                        return r;
        }
        r = collect(queue, size, &state);
        if (r < 0)
                return r;
        *ret_state = state;
        return 0;
}

void vhost_inflight_taken(struct vhost_inflight_queue *queue, uint16_t head, uint64_t counter) {
        store(&queue->entries[head].counter, counter);
        store(&queue->entries[head].inflight, 1);
}

void vhost_inflight_used(struct vhost_inflight_queue *queue, uint16_t head) {
        store(&queue->entries[head].next, load(&queue->last_batch_head));
        store(&queue->last_batch_head, head);
}

void vhost_inflight_published(struct vhost_inflight_queue *queue, uint16_t size, uint16_t used_idx) {
        uint16_t n = (uint16_t) (used_idx - load(&queue->used_idx));
        uint16_t untrusted_head = load(&queue->last_batch_head);

        for (; n > 0 && untrusted_head < size; n--) {
                store(&queue->entries[untrusted_head].inflight, 0);
                untrusted_head = load(&queue->entries[untrusted_head].next);
        }
        store(&queue->used_idx, used_idx);
}
