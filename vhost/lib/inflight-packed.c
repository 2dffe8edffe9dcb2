/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The inflight region of packed rings. Before a batch is seen, what it changes is beside what was before it (free_head and old_free_head, and so on);
 * the ring's own descriptor tells a successor which of the two holds.
 */

#include "inflight-packed.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#define load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

struct vhost_inflight_packed *vhost_inflight_packed_queue(const struct vhost_inflight *inflight, uint16_t index) {
        if (!inflight->is_packed || index >= inflight->n_queues)
                return NULL;
        return (struct vhost_inflight_packed *) ((uint8_t *) inflight->mapping.start +
                                                 vhost_inflight_bytes(index, inflight->queue_size, true));
}

/* The list of free entries ends with an index that none has. */
static void make_new(struct vhost_inflight_packed *queue, uint16_t size, struct vhost_packed_place used) {
        for (uint16_t i = 0; i < size; i++)
                store(&queue->entries[i].next, (uint16_t) (i + 1));
        store(&queue->free_head, 0);
        store(&queue->old_free_head, 0);
        /* Not zero, as for split rings: the ring may have run before. */
        vhost_inflight_packed_publishes(queue, used);
        vhost_inflight_packed_published(queue);
        store(&queue->n_entries, size);
        store(&queue->version, VHOST_INFLIGHT_VERSION);
}

/*
 * Descriptors of a batch that was not seen, behind its first: they say that they are used, and the driver would believe it once it has got there. What
 * they said before is in the region.
 */
static void take_flags_back(struct vhost_packed_descriptor *ring, uint16_t size, struct vhost_packed_place from, struct vhost_packed_place to) {
        struct vhost_packed_place at = vhost_packed_after(from, 1, size);

        for (uint16_t left = size; left > 1 && !(at.idx == to.idx && at.wrap == to.wrap); left--) {
                store(&ring[at.idx].flags, htole16(vhost_packed_available(at.wrap)));
                at = vhost_packed_after(at, 1, size);
        }
}

static int end_batch(struct vhost_inflight_packed *queue, uint16_t size, struct vhost_packed_descriptor *ring) {
        union vhost_inflight_packed_places places = { .word = load(&queue->places.word) };
        struct vhost_packed_place untrusted_old = { places.old_used_idx, places.old_used_wrap };
        struct vhost_packed_place untrusted_new = { places.used_idx, places.used_wrap };
        uint16_t flags;

        if (untrusted_old.idx >= size || untrusted_new.idx >= size)
                return -EINVAL;
        if (untrusted_old.idx != untrusted_new.idx || untrusted_old.wrap != untrusted_new.wrap) {
                flags = le16toh(load(&ring[untrusted_old.idx].flags)) & VHOST_PACKED_OWNER;
                if (flags != vhost_packed_available(untrusted_old.wrap)) {
                        vhost_inflight_packed_published(queue);
                        return 0;
                }
                take_flags_back(ring, size, untrusted_old, untrusted_new);
        }
        store(&queue->free_head, load(&queue->old_free_head));
        vhost_inflight_packed_publishes(queue, untrusted_old);
        return 0;
}

/* Whatever is in the free list was answered, or was being taken. */
static int clear_free(struct vhost_inflight_packed *queue, uint16_t size) {
        uint16_t untrusted_at = load(&queue->free_head);

        for (uint16_t left = size; untrusted_at < size; left--) {
                if (left == 0)
                        return -EINVAL; /* a loop */
                store(&queue->entries[untrusted_at].inflight, 0);
                untrusted_at = load(&queue->entries[untrusted_at].next);
        }
        return 0;
}

static int collect(const struct vhost_inflight_packed *queue, uint16_t size, struct vhost_inflight_state *state, uint16_t *ret_n) {
        struct vhost_inflight_found *found = calloc(size, sizeof *found);
        uint16_t n_found = 0;
        uint32_t n = 0;
        int r = -EINVAL;

        if (!found)
                return -ENOMEM;
        for (uint16_t i = 0; i < size; i++)
                if (load(&queue->entries[i].inflight)) {
                        found[n_found++] = (struct vhost_inflight_found) { load(&queue->entries[i].counter), i };
                        n += load(&queue->entries[i].n);
                }
        if (n >= n_found && n <= size)
                r = vhost_inflight_order(found, n_found, state);
        free(found);
        if (r >= 0)
                *ret_n = (uint16_t) n;
        return r;
}

int vhost_inflight_packed_take_over(struct vhost_inflight_packed *queue, uint16_t size, struct vhost_packed_descriptor *ring,
                                    struct vhost_packed_place *used, struct vhost_inflight_state *ret_state, uint16_t *ret_n) {
        uint16_t untrusted_version = load(&queue->version);
        struct vhost_inflight_state state = {};
        int r;

        if (untrusted_version == 0) {
                make_new(queue, size, *used);
                state.is_new = true;
        } else if (untrusted_version != VHOST_INFLIGHT_VERSION || load(&queue->n_entries) != size)
                return -EINVAL;
        r = end_batch(queue, size, ring);
        if (r >= 0)
                r = clear_free(queue, size);
        if (r >= 0)
                r = collect(queue, size, &state, ret_n);
        if (r < 0)
                return r;
        *used = (struct vhost_packed_place) { (uint16_t) (load(&queue->places.used_idx) % size), load(&queue->places.used_wrap) };
        *ret_state = state;
        return 0;
}

int vhost_inflight_packed_begin(struct vhost_inflight_packed *queue, uint16_t size, uint64_t counter, uint16_t *ret_entry) {
        uint16_t untrusted_entry = load(&queue->free_head);

        if (untrusted_entry >= size)
                return -EPROTO;
        store(&queue->entries[untrusted_entry].n, 0);
        store(&queue->entries[untrusted_entry].counter, counter);
        store(&queue->entries[untrusted_entry].inflight, 1);
        *ret_entry = untrusted_entry;
        return 0;
}

int vhost_inflight_packed_note(struct vhost_inflight_packed *queue, uint16_t size, uint16_t entry, const struct vhost_packed_descriptor *d) {
        uint16_t untrusted_at = load(&queue->free_head);
        struct vhost_inflight_packed_entry *at;

        if (untrusted_at >= size)
                return -EPROTO;
        at = &queue->entries[untrusted_at];
        store(&queue->entries[entry].last, untrusted_at);
        store(&queue->entries[entry].n, (uint16_t) (load(&queue->entries[entry].n) + 1));
        store(&at->address, d->address);
        store(&at->length, d->length);
        store(&at->flags, d->flags);
        store(&at->id, d->id);
        store(&queue->free_head, load(&at->next));
        return 0;
}

void vhost_inflight_packed_taken(struct vhost_inflight_packed *queue) {
        store(&queue->old_free_head, load(&queue->free_head));
}

int vhost_inflight_packed_read(const struct vhost_inflight_packed *queue, uint16_t size, uint16_t *at, struct vhost_packed_descriptor *ret) {
        const struct vhost_inflight_packed_entry *entry;

        if (*at >= size)
                return -EPROTO;
        entry = &queue->entries[*at];
        *ret = (struct vhost_packed_descriptor) { load(&entry->address), load(&entry->length), load(&entry->id), load(&entry->flags) };
        *at = load(&entry->next);
        return 0;
}

int vhost_inflight_packed_give_back(struct vhost_inflight_packed *queue, uint16_t size, uint16_t entry) {
        uint16_t untrusted_last = load(&queue->entries[entry].last);

        if (untrusted_last >= size)
                return -EPROTO;
        store(&queue->entries[untrusted_last].next, load(&queue->free_head));
        store(&queue->free_head, entry);
        return 0;
}

void vhost_inflight_packed_publishes(struct vhost_inflight_packed *queue, struct vhost_packed_place used) {
        union vhost_inflight_packed_places places = { .word = load(&queue->places.word) };

        places.used_idx = used.idx;
        places.used_wrap = used.wrap;
        store(&queue->places.word, places.word);
}

void vhost_inflight_packed_answered(struct vhost_inflight_packed *queue, uint16_t entry) {
        store(&queue->entries[entry].inflight, 0);
}

void vhost_inflight_packed_published(struct vhost_inflight_packed *queue) {
        union vhost_inflight_packed_places places = { .word = load(&queue->places.word) };

        store(&queue->old_free_head, load(&queue->free_head));
        places.old_used_idx = places.used_idx;
        places.old_used_wrap = places.used_wrap;
        store(&queue->places.word, places.word);
}
