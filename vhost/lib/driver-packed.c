/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The driver's side of a packed virtqueue. A chain's id is the index in the driver's table that it begins at. */

#include "driver-packed.h"

#include <errno.h>
#include <stdlib.h>

#define load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

int vhost_driver_packed_new(struct vhost_driver_packed **ret_packed, struct vhost_driver_memory *memory, uint16_t size) {
        struct vhost_driver_packed *packed = calloc(1, sizeof *packed + size * sizeof *packed->n_slots);

        if (!packed)
                return -ENOMEM;
        packed->ring = vhost_driver_memory_take(memory, size * sizeof *packed->ring);
        packed->driver_event = vhost_driver_memory_take(memory, sizeof *packed->driver_event);
        packed->device_event = vhost_driver_memory_take(memory, sizeof *packed->device_event);
        packed->next_available = packed->next_used = vhost_packed_place_of(VHOST_PACKED_BASE);
        if (!packed->ring || !packed->driver_event || !packed->device_event) {
                free(packed);
                return -ENOMEM;
        }
        *ret_packed = packed;
        return 0;
}

/* All of a chain, but for the flags of the first one that was not published, by which the device would see it. */
void vhost_driver_packed_put(struct vhost_driver *driver, uint16_t head) {
        struct vhost_driver_packed *packed = driver->packed;
        uint16_t at = head;

        packed->n_slots[head] = 0;
        for (;;) {
                const struct vhost_descriptor *d = &driver->descriptors[at];
                struct vhost_packed_descriptor *to = &packed->ring[packed->next_available.idx];
                uint16_t flags = (uint16_t) (d->flags | vhost_packed_available(packed->next_available.wrap));

                to->address = d->address;
                to->length = d->length;
                to->id = head;
                if (packed->n_unseen++ == 0)
                        packed->first_flags = flags;
                else
                        store(&to->flags, flags);
                packed->n_slots[head]++;
                packed->next_available = vhost_packed_after(packed->next_available, 1, driver->size);
                if (!(d->flags & VHOST_DESCRIPTOR_NEXT) || packed->n_slots[head] == driver->size)
                        return;
                at = d->next % driver->size;
        }
}

bool vhost_driver_packed_publish(struct vhost_driver *driver) {
        struct vhost_driver_packed *packed = driver->packed;
        uint16_t n = packed->n_unseen, flags;

        if (n == 0)
                return false;
        store(&packed->ring[(packed->next_available.idx + driver->size - n) % driver->size].flags, packed->first_flags);
        packed->n_unseen = 0;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        flags = load(&packed->device_event->flags);
        if (flags == VHOST_PACKED_EVENT_DISABLE)
                return false;
        if (flags != VHOST_PACKED_EVENT_PLACE)
                return true;
        return vhost_packed_passed(load(&packed->device_event->place), packed->next_available, n, driver->size);
}

static bool is_used(const struct vhost_driver *driver) {
        const struct vhost_driver_packed *packed = driver->packed;

        return (load(&packed->ring[packed->next_used.idx].flags) & VHOST_PACKED_OWNER) == vhost_packed_used(packed->next_used.wrap);
}

bool vhost_driver_packed_take(struct vhost_driver *driver, uint32_t *ret_head, uint32_t *ret_length) {
        struct vhost_driver_packed *packed = driver->packed;
        const struct vhost_packed_descriptor *d = &packed->ring[packed->next_used.idx];
        uint16_t id;

        if (!is_used(driver))
                return false;
        id = load(&d->id);
        *ret_head = id;
        *ret_length = load(&d->length);
        /* An id that nobody gave is for the caller to find out; it takes one descriptor then. */
        packed->next_used = vhost_packed_after(packed->next_used, id < driver->size && packed->n_slots[id] > 0 ? packed->n_slots[id] : 1, driver->size);
        driver->used_idx++;
        return true;
}

bool vhost_driver_packed_ask(struct vhost_driver *driver) {
        struct vhost_driver_packed *packed = driver->packed;

        if (driver->has_event_idx)
                store(&packed->driver_event->place, (uint16_t) vhost_packed_word(packed->next_used));
        store(&packed->driver_event->flags, driver->has_event_idx ? VHOST_PACKED_EVENT_PLACE : VHOST_PACKED_EVENT_ENABLE);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return is_used(driver);
}
