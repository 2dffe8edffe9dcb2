/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The driver's side of a virtqueue: its memory, how it begins, and what a split one is; driver-packed.c has packed ones. */

#include "driver-packed.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u

#define load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

int vhost_driver_memory_new(struct vhost_driver_memory *memory, size_t size) {
        *memory = (struct vhost_driver_memory) { .fd = memfd_create("vhost-driver", MFD_CLOEXEC), .size = size };
        if (memory->fd < 0)
                return -errno;
        if (ftruncate(memory->fd, (off_t) size) < 0)
                return -errno;
        memory->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
        return memory->base == MAP_FAILED ? -errno : 0;
}

void vhost_driver_memory_done(struct vhost_driver_memory *memory) {
        if (memory->base && memory->base != MAP_FAILED)
                munmap(memory->base, memory->size);
        if (memory->fd >= 0)
                close(memory->fd);
        *memory = (struct vhost_driver_memory) { .fd = -1 };
}

void *vhost_driver_memory_take(struct vhost_driver_memory *memory, size_t size) {
        uint8_t *p = memory->base + memory->used;

        size = (size + PAGE - 1) / PAGE * PAGE;
        if (size > memory->size - memory->used)
                return NULL;
        memory->used += size;
        return p;
}

uint64_t vhost_driver_memory_guest(const struct vhost_driver_memory *memory, const void *p) {
        uint64_t offset = (uint64_t) ((const uint8_t *) p - memory->base);

        if (memory->refs)
                return VHOST_XEN_GRANT_ADDRESS | ((uint64_t) memory->refs[offset / PAGE] * PAGE + offset % PAGE);
        return VHOST_DRIVER_GUEST + offset;
}

struct vhost_region vhost_driver_memory_region(const struct vhost_driver_memory *memory) {
        return (struct vhost_region) {
                .guest_address = VHOST_DRIVER_GUEST,
                .size = memory->size,
                .user_address = (uintptr_t) memory->base,
        };
}

int vhost_driver_memory_lend(const struct vhost_driver_memory *memory, struct vhost_frontend *frontend) {
        union vhost_payload payload = {};

        if (frontend->protocol_features & VHOST_BIT(VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
                payload.slot.region = vhost_driver_memory_region(memory);
                return vhost_frontend_tell(frontend, VHOST_USER_ADD_MEM_REG, &payload, sizeof payload.slot, &memory->fd, 1);
        }
        payload.memory.n_regions = 1;
        payload.memory.regions[0] = vhost_driver_memory_region(memory);
        return vhost_frontend_tell(frontend, VHOST_USER_SET_MEM_TABLE, &payload, 8 + sizeof(struct vhost_region), &memory->fd, 1);
}

static int make_events(struct vhost_driver *driver) {
        driver->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        driver->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        driver->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return driver->kick_fd < 0 || driver->call_fd < 0 || driver->err_fd < 0 ? -EMFILE : 0;
}

int vhost_driver_new(struct vhost_driver *driver, struct vhost_driver_memory *memory, uint16_t index, uint16_t size, bool has_event_idx) {
        *driver = (struct vhost_driver) {
                .memory = memory,
                .index = index,
                .size = size,
                .descriptors = vhost_driver_memory_take(memory, size * sizeof(struct vhost_descriptor)),
                .available = vhost_driver_memory_take(memory, 4u + 2u * size + 2u),
                .used = vhost_driver_memory_take(memory, 4u + 8u * size + 2u),
                .has_event_idx = has_event_idx,
        };
        if (!driver->descriptors || !driver->available || !driver->used)
                return -ENOMEM;
        return make_events(driver);
}

int vhost_driver_new_packed(struct vhost_driver *driver, struct vhost_driver_memory *memory, uint16_t index, uint16_t size, bool has_event_idx) {
        int r;

        *driver = (struct vhost_driver) {
                .memory = memory,
                .index = index,
                .size = size,
                .descriptors = calloc(size, sizeof(struct vhost_descriptor)),
                .has_event_idx = has_event_idx,
        };
        r = vhost_driver_packed_new(&driver->packed, memory, size);
        if (r < 0 || !driver->descriptors) {
                free(driver->packed);
                free(driver->descriptors);
                return r < 0 ? r : -ENOMEM;
        }
        return make_events(driver);
}

void vhost_driver_done(struct vhost_driver *driver) {
        close(driver->kick_fd);
        close(driver->call_fd);
        close(driver->err_fd);
        if (driver->packed)
                free(driver->descriptors);
        free(driver->packed);
}

uint32_t vhost_driver_base(const struct vhost_driver *driver) {
        if (driver->packed)
                return vhost_packed_word(driver->packed->next_used) | vhost_packed_word(driver->packed->next_used) << 16;
        return driver->used_idx;
}

struct vhost_vring_address vhost_driver_address(const struct vhost_driver *driver) {
        const struct vhost_driver_packed *packed = driver->packed;

        return (struct vhost_vring_address) {
                .index = driver->index,
                .descriptor = packed ? (uintptr_t) packed->ring : (uintptr_t) driver->descriptors,
                .used = packed ? (uintptr_t) packed->device_event : (uintptr_t) driver->used,
                .available = packed ? (uintptr_t) packed->driver_event : (uintptr_t) driver->available,
        };
}

int vhost_driver_start(struct vhost_driver *driver, struct vhost_frontend *frontend, uint32_t base, bool enable) {
        const struct vhost_vring_state size = { driver->index, driver->size }, from = { driver->index, base }, on = { driver->index, 1 };
        const struct vhost_vring_address address = vhost_driver_address(driver);
        const uint64_t index = driver->index;
        int r;

        r = vhost_frontend_tell(frontend, VHOST_USER_SET_VRING_NUM, &size, sizeof size, NULL, 0);
        if (r >= 0)
                r = vhost_frontend_tell(frontend, VHOST_USER_SET_VRING_BASE, &from, sizeof from, NULL, 0);
        if (r >= 0)
                r = vhost_frontend_tell(frontend, VHOST_USER_SET_VRING_ADDR, &address, sizeof address, NULL, 0);
        if (r >= 0)
                r = vhost_frontend_tell(frontend, VHOST_USER_SET_VRING_CALL, &index, sizeof index, &driver->call_fd, 1);
        if (r >= 0)
                r = vhost_frontend_tell(frontend, VHOST_USER_SET_VRING_ERR, &index, sizeof index, &driver->err_fd, 1);
        if (r >= 0)
                r = vhost_frontend_tell(frontend, VHOST_USER_SET_VRING_KICK, &index, sizeof index, &driver->kick_fd, 1);
        if (r >= 0 && enable)
                r = vhost_frontend_tell(frontend, VHOST_USER_SET_VRING_ENABLE, &on, sizeof on, NULL, 0);
        return r;
}

void vhost_driver_describe(struct vhost_driver *driver, uint16_t i, const void *buffer, uint32_t length, bool to_write, bool is_last) {
        driver->descriptors[i] = (struct vhost_descriptor) {
                .address = vhost_driver_memory_guest(driver->memory, buffer),
                .length = length,
                .flags = (uint16_t) ((to_write ? VHOST_DESCRIPTOR_WRITE : 0) | (is_last ? 0 : VHOST_DESCRIPTOR_NEXT)),
                .next = (uint16_t) (i + 1),
        };
}

void vhost_driver_put(struct vhost_driver *driver, uint16_t head) {
        if (driver->packed)
                vhost_driver_packed_put(driver, head);
        else
                driver->available[2 + (driver->available_idx++ & (driver->size - 1u))] = head;
}

bool vhost_driver_publish(struct vhost_driver *driver) {
        uint16_t old = driver->kicked_idx, event;

        if (driver->packed)
                return vhost_driver_packed_publish(driver);
        store(&driver->available[1], driver->available_idx);
        driver->kicked_idx = driver->available_idx;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (!driver->has_event_idx)
                return !(load(&driver->used[0]) & 1);
        event = load(&driver->used[2 + 4u * driver->size]);
        return (uint16_t) (driver->available_idx - event - 1) < (uint16_t) (driver->available_idx - old);
}

int vhost_driver_kick(struct vhost_driver *driver) {
        const uint64_t one = 1;

        return write(driver->kick_fd, &one, sizeof one) < 0 ? -errno : 0;
}

bool vhost_driver_take(struct vhost_driver *driver, uint32_t *ret_head, uint32_t *ret_length) {
        const uint32_t *element;

        if (driver->packed)
                return vhost_driver_packed_take(driver, ret_head, ret_length);
        element = (const uint32_t *) (const void *) (driver->used + 2) + 2u * (driver->used_idx & (driver->size - 1u));
        if (load(&driver->used[1]) == driver->used_idx)
                return false;
        *ret_head = load(element);
        *ret_length = load(element + 1);
        driver->used_idx++;
        return true;
}

bool vhost_driver_ask(struct vhost_driver *driver) {
        if (driver->packed)
                return vhost_driver_packed_ask(driver);
        if (driver->has_event_idx)
                store(&driver->available[2 + driver->size], driver->used_idx);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return load(&driver->used[1]) != driver->used_idx;
}

int vhost_driver_wait(struct vhost_driver *driver, int timeout_ms, uint32_t *ret_head, uint32_t *ret_length) {
        struct pollfd p = { .fd = driver->call_fd, .events = POLLIN };
        struct timespec t;
        int64_t deadline, now;
        uint64_t n;

        clock_gettime(CLOCK_MONOTONIC, &t);
        deadline = (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000 + timeout_ms;
        while (!vhost_driver_take(driver, ret_head, ret_length)) {
                if (vhost_driver_ask(driver))
                        continue;
                clock_gettime(CLOCK_MONOTONIC, &t);
                now = (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
                if (now >= deadline)
                        return -ETIMEDOUT;
                if (poll(&p, 1, (int) (deadline - now)) > 0 && read(driver->call_fd, &n, sizeof n) < 0 && errno != EAGAIN)
                        return -errno;
        }
        return 0;
}
