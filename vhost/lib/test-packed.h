/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A packed ring and its driver, for the tests of rings and of their inflight region. */

#include <glib.h>
#include <unistd.h>

#include "driver.h"
#include "ring.h"

#define SIZE 8u

struct world {
        struct vhost_driver_memory lent;
        struct vhost_driver driver;
        struct vhost_memory memory;
        struct vhost_ring_setup setup;
        struct vhost_ring ring;
        struct iovec iov[16];
        uint8_t *buffer;
        int inflight_fd;
        struct vhost_inflight inflight;
};

static inline void world_begin(struct world *world, uint64_t features) {
        struct vhost_region region;

        *world = (struct world) { .inflight_fd = -1, .inflight = VHOST_INFLIGHT_NONE };
        g_assert_cmpint(vhost_driver_memory_new(&world->lent, 64 * 1024), ==, 0);
        g_assert_cmpint(vhost_driver_new_packed(&world->driver, &world->lent, 0, SIZE, features & VHOST_BIT(VHOST_F_EVENT_IDX)), ==, 0);
        world->buffer = vhost_driver_memory_take(&world->lent, 4096);
        region = vhost_driver_memory_region(&world->lent);
        g_assert_cmpint(vhost_memory_add(&world->memory, &region, world->lent.fd), ==, 0);
        world->setup = (struct vhost_ring_setup) {
                .memory = &world->memory,
                .address = {
                        .descriptor = (uintptr_t) world->driver.packed->ring,
                        .available = (uintptr_t) world->driver.packed->driver_event,
                        .used = (uintptr_t) world->driver.packed->device_event,
                },
                .features = features | VHOST_BIT(VHOST_F_PACKED),
                .size = SIZE,
                .base = VHOST_PACKED_BASE,
        };
        g_assert_cmpint(vhost_ring_init(&world->ring, &world->setup), ==, 0);
}

static inline void world_end(struct world *world) {
        vhost_ring_done(&world->ring);
        vhost_memory_clear(&world->memory);
        vhost_driver_done(&world->driver);
        vhost_driver_memory_done(&world->lent);
        vhost_inflight_close(&world->inflight);
        if (world->inflight_fd >= 0)
                close(world->inflight_fd);
}

/* The same ring, by another back-end, which knows nothing but what is in the region, and what the front-end believes. */
static inline void next_backend(struct world *world) {
        vhost_ring_done(&world->ring);
        g_assert_cmpint(vhost_ring_init(&world->ring, &world->setup), ==, 0);
}

static inline void track(struct world *world) {
        world->inflight_fd = vhost_inflight_make(1, SIZE, true);
        g_assert_cmpint(world->inflight_fd, >=, 0);
        g_assert_cmpint(
                vhost_inflight_open(&world->inflight, world->inflight_fd, 0, vhost_inflight_bytes(1, SIZE, true), 1, SIZE, true), ==, 0);
        g_assert_null(vhost_inflight_queue(&world->inflight, 0));
        world->setup.inflight_packed = vhost_inflight_packed_queue(&world->inflight, 0);
        next_backend(world);
        g_assert_false(world->ring.has_run);
}

static inline int take(struct world *world, struct vhost_chain *chain) {
        return vhost_ring_take(&world->ring, world->iov, G_N_ELEMENTS(world->iov), chain);
}

/* Chains of one, two and three descriptors, by the index that they begin at, for good. */
static const uint16_t begins[] = { 0, 1, 3 };

static inline void describe(struct world *world) {
        vhost_driver_describe(&world->driver, 0, world->buffer, 10, true, true);
        for (uint16_t i = 1; i < 6; i++)
                vhost_driver_describe(&world->driver, i, world->buffer + 64 * i, 100, i == 2 || i == 5, i == 2 || i == 5);
}

static inline void put(struct world *world, uint16_t head) {
        vhost_driver_put(&world->driver, head);
        vhost_driver_publish(&world->driver);
}

static inline void take_is(struct world *world, struct vhost_chain *chain, uint16_t head) {
        g_assert_cmpint(take(world, chain), ==, 1);
        g_assert_cmpuint(chain->head, ==, head);
        g_assert_cmpuint(chain->n_slots, ==, head == 0 ? 1 : head == 1 ? 2 : 3);
        g_assert_cmpuint(chain->n_out, ==, chain->n_slots - 1u);
        g_assert_cmpuint(chain->n_in, ==, 1);
}

static inline void answer_is(struct world *world, uint32_t head, uint32_t n) {
        uint32_t got, length;

        g_assert_true(vhost_driver_take(&world->driver, &got, &length));
        g_assert_cmpuint(got, ==, head);
        g_assert_cmpuint(length, ==, n);
}

/* Has the ring somewhere in its life: rounds of one request. */
static inline void run_for(struct world *w, unsigned rounds) {
        struct vhost_chain chain;

        for (unsigned i = 0; i < rounds; i++) {
                put(w, 0);
                take_is(w, &chain, 0);
                vhost_ring_put(&w->ring, &chain, 1);
                vhost_ring_publish(&w->ring);
                answer_is(w, 0, 1);
        }
}
