/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The driver's side of a virtqueue, split or packed, in memory of its own that it lends to a back-end: what a guest does, without a guest.
 *
 * A chain is described in a table, by index, for both kinds: of a split ring that table is the ring's, of a packed one it is the driver's own, and a
 * chain is copied into the ring when it is put.
 *
 * The ring and its buffers lie in one memfd, at guest address VHOST_DRIVER_GUEST, or in pages that whoever has made them grants (XEN_MMAP). Descriptors, buffers and indexes are open to whoever wants to
 * see what a device makes of wrong ones.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontend.h"
#include "packed.h"

#define VHOST_DRIVER_GUEST UINT64_C(0x100000)   /* not 0: so that an address that was forgotten is not one */

struct vhost_driver_memory {
        int fd;
        uint8_t *base;
        size_t size, used;
        const uint32_t *refs;           /* of its pages, if they are granted: then it has no descriptor, and is lent by whoever has made it */
};

/* In memory: VIRTIO 1.2 §2.7.5. */
struct vhost_descriptor {
        uint64_t address;
        uint32_t length;
        uint16_t flags;
        uint16_t next;
};

_Static_assert(sizeof(struct vhost_descriptor) == 16, "as in memory");

enum {                                  /* flags of a descriptor */
        VHOST_DESCRIPTOR_NEXT = 1,
        VHOST_DESCRIPTOR_WRITE = 2,     /* for the device to write */
        VHOST_DESCRIPTOR_INDIRECT = 4,
};

struct vhost_driver {
        struct vhost_driver_memory *memory;
        uint16_t index, size;
        struct vhost_descriptor *descriptors;
        uint16_t *available, *used;     /* flags, idx, ring, event; NULL if it is packed */
        struct vhost_driver_packed *packed;     /* NULL: it is split */
        int kick_fd, call_fd, err_fd;
        uint16_t available_idx, used_idx, kicked_idx;
        bool has_event_idx;
};

struct vhost_driver_packed {
        struct vhost_packed_descriptor *ring;
        struct vhost_packed_event *driver_event, *device_event;
        struct vhost_packed_place next_available, next_used;
        uint16_t n_unseen;              /* descriptors that were put and not published, before next_available */
        uint16_t first_flags;           /* of the first of these, which is written last */
        uint16_t n_slots[];             /* of each chain that was put, by its id: the index that it begins at */
};

/* A file of so many bytes of zeros, mapped. On failure (memfd_create(2), ftruncate(2), mmap(2)), too, vhost_driver_memory_done() gives back what there is. */
int vhost_driver_memory_new(struct vhost_driver_memory *memory, size_t size);
void vhost_driver_memory_done(struct vhost_driver_memory *memory);

/* Bytes of it, of zeros, aligned to a page. NULL: there are no more. */
void *vhost_driver_memory_take(struct vhost_driver_memory *memory, size_t size);
uint64_t vhost_driver_memory_guest(const struct vhost_driver_memory *memory, const void *p);

/* Lends it, by ADD_MEM_REG if the back-end has slots, else by SET_MEM_TABLE. */
int vhost_driver_memory_lend(const struct vhost_driver_memory *memory, struct vhost_frontend *frontend);
struct vhost_region vhost_driver_memory_region(const struct vhost_driver_memory *memory);

/* A ring of size entries in that memory, of queue index, with descriptors of its own to kick and be notified by. -ENOMEM: it has no room; -EMFILE: no more descriptors. */
int vhost_driver_new(struct vhost_driver *driver, struct vhost_driver_memory *memory, uint16_t index, uint16_t size, bool has_event_idx);
int vhost_driver_new_packed(struct vhost_driver *driver, struct vhost_driver_memory *memory, uint16_t index, uint16_t size, bool has_event_idx);
void vhost_driver_done(struct vhost_driver *driver);

/* Where a new ring begins, as SET_VRING_BASE has it; and where one goes on of which everything was answered. */
uint32_t vhost_driver_base(const struct vhost_driver *driver);

/* Where it is, as SET_VRING_ADDR has it. */
struct vhost_vring_address vhost_driver_address(const struct vhost_driver *driver);

/* Has the back-end run the ring: its size, addresses, base, descriptors, and, with protocol features, that it is enabled. */
int vhost_driver_start(struct vhost_driver *driver, struct vhost_frontend *frontend, uint32_t base, bool enable);

/* Describes a buffer: descriptor i, followed by the next unless it is the last. */
void vhost_driver_describe(struct vhost_driver *driver, uint16_t i, const void *buffer, uint32_t length, bool to_write, bool is_last);

/* Makes a chain available, unseen; then lets the device see it. Returns from the latter whether the device wants a kick. */
void vhost_driver_put(struct vhost_driver *driver, uint16_t head);
bool vhost_driver_publish(struct vhost_driver *driver);
int vhost_driver_kick(struct vhost_driver *driver);

/* Takes an answer. false: there is none. */
bool vhost_driver_take(struct vhost_driver *driver, uint32_t *ret_head, uint32_t *ret_length);

/* Asks to be notified of the next answer. Returns whether there is one already. */
bool vhost_driver_ask(struct vhost_driver *driver);

/* Waits for one. -ETIMEDOUT. */
int vhost_driver_wait(struct vhost_driver *driver, int timeout_ms, uint32_t *ret_head, uint32_t *ret_length);
