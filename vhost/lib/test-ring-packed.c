/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Packed rings, with a driver on the other side that does it right, and one that does not; and their inflight region, at each moment of a kill. */

#include <errno.h>
#include <glib.h>
#include <string.h>
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

static void world_begin(struct world *world, uint64_t features) {
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

static void world_end(struct world *world) {
        vhost_ring_done(&world->ring);
        vhost_memory_clear(&world->memory);
        vhost_driver_done(&world->driver);
        vhost_driver_memory_done(&world->lent);
        vhost_inflight_close(&world->inflight);
        if (world->inflight_fd >= 0)
                close(world->inflight_fd);
}

/* The same ring, by another back-end, which knows nothing but what is in the region, and what the front-end believes. */
static void next_backend(struct world *world) {
        vhost_ring_done(&world->ring);
        g_assert_cmpint(vhost_ring_init(&world->ring, &world->setup), ==, 0);
}

static void track(struct world *world) {
        world->inflight_fd = vhost_inflight_make(1, SIZE, true);
        g_assert_cmpint(world->inflight_fd, >=, 0);
        g_assert_cmpint(
                vhost_inflight_open(&world->inflight, world->inflight_fd, 0, vhost_inflight_bytes(1, SIZE, true), 1, SIZE, true), ==, 0);
        g_assert_null(vhost_inflight_queue(&world->inflight, 0));
        world->setup.inflight_packed = vhost_inflight_packed_queue(&world->inflight, 0);
        next_backend(world);
        g_assert_false(world->ring.has_run);
}

static int take(struct world *world, struct vhost_chain *chain) {
        return vhost_ring_take(&world->ring, world->iov, G_N_ELEMENTS(world->iov), chain);
}

/* Chains of one, two and three descriptors, by the index that they begin at, for good. */
static const uint16_t begins[] = { 0, 1, 3 };

static void describe(struct world *world) {
        vhost_driver_describe(&world->driver, 0, world->buffer, 10, true, true);
        for (uint16_t i = 1; i < 6; i++)
                vhost_driver_describe(&world->driver, i, world->buffer + 64 * i, 100, i == 2 || i == 5, i == 2 || i == 5);
}

static void put(struct world *world, uint16_t head) {
        vhost_driver_put(&world->driver, head);
        vhost_driver_publish(&world->driver);
}

static void take_is(struct world *world, struct vhost_chain *chain, uint16_t head) {
        g_assert_cmpint(take(world, chain), ==, 1);
        g_assert_cmpuint(chain->head, ==, head);
        g_assert_cmpuint(chain->n_slots, ==, head == 0 ? 1 : head == 1 ? 2 : 3);
        g_assert_cmpuint(chain->n_out, ==, chain->n_slots - 1u);
        g_assert_cmpuint(chain->n_in, ==, 1);
}

static void answer_is(struct world *world, uint32_t head, uint32_t n) {
        uint32_t got, length;

        g_assert_true(vhost_driver_take(&world->driver, &got, &length));
        g_assert_cmpuint(got, ==, head);
        g_assert_cmpuint(length, ==, n);
}

static void test_request(void) {
        struct vhost_chain chain, none;
        uint32_t head, length;
        struct world w;

        world_begin(&w, 0);
        describe(&w);
        g_assert_cmpint(take(&w, &chain), ==, 0);
        for (unsigned round = 0; round < 1000; round++) {       /* every place, and over the ring's end */
                uint16_t at = begins[round % 3];

                put(&w, at);
                take_is(&w, &chain, at);
                g_assert_cmpint(take(&w, &none), ==, 0);
                vhost_ring_put(&w.ring, &chain, round);
                g_assert_false(vhost_driver_take(&w.driver, &head, &length));
                g_assert_true(vhost_ring_publish(&w.ring));
                answer_is(&w, at, round);
        }
        g_assert_cmpuint(vhost_ring_base(&w.ring), ==, vhost_driver_base(&w.driver));
        world_end(&w);
}

/* Answered in another order than taken, in batches; and a batch is seen at once. */
static void test_out_of_order(void) {
        struct vhost_chain chains[3];
        uint32_t head, length;
        struct world w;

        world_begin(&w, 0);
        describe(&w);
        for (unsigned round = 0; round < 100; round++) {
                for (int i = 0; i < 3; i++)
                        vhost_driver_put(&w.driver, begins[i]);
                vhost_driver_publish(&w.driver);
                for (int i = 0; i < 3; i++)
                        take_is(&w, &chains[i], begins[i]);
                vhost_ring_put(&w.ring, &chains[2], 3);
                vhost_ring_put(&w.ring, &chains[0], 1);
                g_assert_false(vhost_driver_take(&w.driver, &head, &length));
                vhost_ring_publish(&w.ring);
                answer_is(&w, 3, 3);
                answer_is(&w, 0, 1);
                g_assert_false(vhost_driver_take(&w.driver, &head, &length));
                vhost_ring_put(&w.ring, &chains[1], 0);
                vhost_ring_publish(&w.ring);
                answer_is(&w, 1, 0);
        }
        world_end(&w);
}

static void test_flags(void) {
        struct vhost_chain chain;
        struct world w;

        world_begin(&w, 0);
        describe(&w);
        vhost_ring_wake(&w.ring);
        vhost_driver_put(&w.driver, 0);
        g_assert_false(vhost_driver_publish(&w.driver));        /* no kick is wanted */
        g_assert_true(vhost_ring_sleep(&w.ring));               /* there is one already */
        take_is(&w, &chain, 0);
        g_assert_false(vhost_ring_sleep(&w.ring));
        w.driver.packed->driver_event->flags = VHOST_PACKED_EVENT_DISABLE;
        vhost_ring_put(&w.ring, &chain, 1);
        g_assert_false(vhost_ring_publish(&w.ring));
        vhost_driver_put(&w.driver, 0);
        g_assert_true(vhost_driver_publish(&w.driver));
        world_end(&w);
}

/* From each place of the ring, and so over its end: of interest is the third descriptor on. */
static void test_event_idx(void) {
        struct vhost_chain chain;
        struct world w;

        world_begin(&w, VHOST_BIT(VHOST_F_EVENT_IDX));
        describe(&w);
        for (unsigned round = 0; round < 3 * SIZE + 1; round++) {
                struct vhost_packed_place third = vhost_packed_after(w.driver.packed->next_used, 2, SIZE);

                g_assert_false(vhost_ring_sleep(&w.ring));
                for (uint16_t i = 0; i < 3; i++) {
                        vhost_driver_put(&w.driver, 0);
                        g_assert_true(vhost_driver_publish(&w.driver) == (i == 0));     /* asleep for the first only */
                }
                w.driver.packed->driver_event->flags = VHOST_PACKED_EVENT_PLACE;
                w.driver.packed->driver_event->place = (uint16_t) vhost_packed_word(third);
                for (uint16_t i = 0; i < 3; i++) {
                        take_is(&w, &chain, 0);
                        vhost_ring_put(&w.ring, &chain, 1);
                        g_assert_true(vhost_ring_publish(&w.ring) == (i == 2));
                        answer_is(&w, 0, 1);
                }
        }
        world_end(&w);
}

static void test_indirect(void) {
        struct vhost_packed_descriptor *table;
        struct vhost_chain chain;
        struct world w;

        world_begin(&w, VHOST_BIT(VHOST_F_INDIRECT));
        table = (struct vhost_packed_descriptor *) (void *) w.buffer;
        vhost_driver_describe(&w.driver, 5, w.buffer, 10 * sizeof *table, false, true);
        w.driver.descriptors[5].flags = VHOST_DESCRIPTOR_INDIRECT;
        for (uint16_t i = 0; i < 10; i++)                       /* more than the ring has; what is reserved is not looked at */
                table[i] = (struct vhost_packed_descriptor) { VHOST_DRIVER_GUEST, 16, 77, (uint16_t) (i < 9 ? 0 : VHOST_PACKED_WRITE | VHOST_PACKED_NEXT) };
        put(&w, 5);
        g_assert_cmpint(take(&w, &chain), ==, 1);
        g_assert_true(chain.head == 5 && chain.n_slots == 1 && chain.n_out == 9 && chain.n_in == 1 && chain.n_out_bytes == 144);
        world_end(&w);
}

/* Each of these breaks the ring, and no byte outside of the guest's memory is touched. The chain of three lies at 0 to 2. */
#define SPOIL(name, statement)                          \
        static void spoil_##name(struct world *w) {     \
                statement;                              \
        }
#define RING w->driver.packed->ring
#define ENDLESS ((struct vhost_packed_descriptor) { VHOST_DRIVER_GUEST, 1, 0, VHOST_PACKED_NEXT | VHOST_PACKED_WRITE | vhost_packed_available(true) })
#define INDIRECT (VHOST_PACKED_INDIRECT | vhost_packed_available(true))

SPOIL(endless, for (unsigned i = 0; i < SIZE; i++) RING[i] = ENDLESS)
SPOIL(address, RING[0].address = UINT64_MAX - 1)
SPOIL(length, RING[1].length = UINT32_MAX)
SPOIL(empty, RING[1].length = 0)
SPOIL(order, RING[0].flags |= VHOST_PACKED_WRITE)
SPOIL(indirect_and_next, RING[0].flags |= VHOST_PACKED_INDIRECT)
SPOIL(indirect_odd, RING[0].flags = INDIRECT; RING[0].length = 17)
SPOIL(indirect_nowhere, RING[0].flags = INDIRECT; RING[0].length = 16; RING[0].address = 16)

static void test_spoilt(void) {
        static void (*const spoils[])(struct world *) = { spoil_endless, spoil_address,           spoil_length,       spoil_empty,
                                                          spoil_order,   spoil_indirect_and_next, spoil_indirect_odd, spoil_indirect_nowhere };

        for (size_t i = 0; i < 2 * G_N_ELEMENTS(spoils); i++) {
                struct vhost_chain chain;
                struct world w;

                world_begin(&w, VHOST_BIT(VHOST_F_INDIRECT));
                if (i % 2 > 0)
                        track(&w);
                describe(&w);
                put(&w, 3);
                spoils[i / 2](&w);
                g_assert_cmpint(take(&w, &chain), ==, -EPROTO);
                g_assert_cmpint(take(&w, &chain), ==, -EPROTO);
                g_assert_false(vhost_ring_sleep(&w.ring));
                world_end(&w);
        }
}

static void test_setup(void) {
        struct vhost_ring ring;
        struct world w;

        world_begin(&w, 0);
        w.setup.base = VHOST_PACKED_BASE | SIZE;
        g_assert_cmpint(vhost_ring_init(&ring, &w.setup), ==, -EINVAL);
        w.setup.base = VHOST_PACKED_BASE | SIZE << 16;
        g_assert_cmpint(vhost_ring_init(&ring, &w.setup), ==, -EINVAL);
        w.setup.base = VHOST_PACKED_BASE;
        w.setup.address.available += 2;
        g_assert_cmpint(vhost_ring_init(&ring, &w.setup), ==, -EINVAL);
        w.setup.address.available = (uintptr_t) w.lent.base + w.lent.size;
        g_assert_cmpint(vhost_ring_init(&ring, &w.setup), ==, -EFAULT);
        world_end(&w);
}

/* Has the ring somewhere in its life: rounds of one request. */
static void run_for(struct world *w, unsigned rounds) {
        struct vhost_chain chain;

        for (unsigned i = 0; i < rounds; i++) {
                put(w, 0);
                take_is(w, &chain, 0);
                vhost_ring_put(&w->ring, &chain, 1);
                vhost_ring_publish(&w->ring);
                answer_is(w, 0, 1);
        }
}

/* Three are taken, the second is answered; the next back-end does the others again, out of copies, and goes on behind them. */
static void test_inflight(void) {
        struct vhost_chain chains[3], chain;
        struct world w;

        for (unsigned where = 0; where < 2 * SIZE; where++) {
                world_begin(&w, 0);
                track(&w);
                describe(&w);
                run_for(&w, where);
                for (int i = 0; i < 3; i++) {
                        put(&w, begins[i]);
                        take_is(&w, &chains[i], begins[i]);
                }
                vhost_ring_put(&w.ring, &chains[1], 7);
                vhost_ring_publish(&w.ring);                    /* over the first's descriptor */
                answer_is(&w, 1, 7);
                vhost_ring_put(&w.ring, &chains[2], 9);         /* and killed before it is published */
                put(&w, 1);

                next_backend(&w);
                g_assert_true(w.ring.has_run && vhost_ring_sleep(&w.ring));
                take_is(&w, &chains[0], 0);
                take_is(&w, &chains[2], 3);
                take_is(&w, &chains[1], 1);
                g_assert_cmpint(take(&w, &chain), ==, 0);
                for (int i = 2; i >= 0; i--)
                        vhost_ring_put(&w.ring, &chains[i], 20);
                vhost_ring_publish(&w.ring);
                for (int i = 2; i >= 0; i--)
                        answer_is(&w, begins[i], 20);
                g_assert_cmpuint(vhost_ring_base(&w.ring), ==, vhost_driver_base(&w.driver));

                next_backend(&w);                               /* nothing was in flight */
                g_assert_cmpint(take(&w, &chain), ==, 0);
                run_for(&w, 3 * SIZE);
                world_end(&w);
        }
}

/* The flags of the batch's first descriptor as they were before it was published, or as they are. */
static void killed_in_a_batch(unsigned where, bool was_seen) {
        struct vhost_inflight_packed *queue;
        struct vhost_chain chains[3], chain;
        uint16_t flags, at, free_head;
        uint32_t head, length;
        struct world w;

        world_begin(&w, 0);
        track(&w);
        describe(&w);
        run_for(&w, where);
        queue = w.setup.inflight_packed;
        for (int i = 0; i < 3; i++) {
                put(&w, begins[i]);
                take_is(&w, &chains[i], begins[i]);
        }
        at = w.ring.next_used.idx;
        flags = w.driver.packed->ring[at].flags;
        free_head = queue->free_head;
        vhost_ring_put(&w.ring, &chains[2], 4);
        vhost_ring_put(&w.ring, &chains[1], 5);
        vhost_ring_publish(&w.ring);
        /* Back to where the ring was about to be, or just had been, written. */
        queue->old_free_head = free_head;
        queue->places.old_used_idx = at;
        queue->places.old_used_wrap = flags & VHOST_PACKED_AVAILABLE ? 1 : 0;
        queue->entries[chains[1].entry].inflight = queue->entries[chains[2].entry].inflight = 1;
        if (!was_seen)
                w.driver.packed->ring[at].flags = flags;

        next_backend(&w);
        take_is(&w, &chains[0], 0);
        if (was_seen) {
                answer_is(&w, 3, 4);
                answer_is(&w, 1, 5);
        } else {
                take_is(&w, &chains[1], 1);
                take_is(&w, &chains[2], 3);
        }
        g_assert_cmpint(take(&w, &chain), ==, 0);
        vhost_ring_put(&w.ring, &chains[0], 6);
        vhost_ring_publish(&w.ring);
        answer_is(&w, 0, 6);
        g_assert_false(vhost_driver_take(&w.driver, &head, &length));   /* least of all what the dead one had written */
        for (int i = 1; i < 3 && !was_seen; i++) {
                vhost_ring_put(&w.ring, &chains[i], 8);
                vhost_ring_publish(&w.ring);
                answer_is(&w, begins[i], 8);
        }
        run_for(&w, 3 * SIZE);
        world_end(&w);
}

static void test_inflight_batch(void) {
        for (unsigned where = 0; where < 2 * SIZE; where++) {
                killed_in_a_batch(where, false);
                killed_in_a_batch(where, true);
        }
}

/* Killed while it noted the descriptors of a request: the next one takes it out of the ring, as if for the first time. */
static void test_inflight_half_taken(void) {
        struct vhost_chain chain;
        struct world w;
        uint16_t entry;

        world_begin(&w, 0);
        track(&w);
        describe(&w);
        run_for(&w, 5);
        put(&w, 3);
        g_assert_cmpint(vhost_inflight_packed_begin(w.setup.inflight_packed, SIZE, 1000, &entry), ==, 0);
        g_assert_cmpint(vhost_inflight_packed_note(w.setup.inflight_packed, SIZE, entry, &w.driver.packed->ring[5]), ==, 0);
        next_backend(&w);
        g_assert_cmpuint(w.ring.resumed.n_heads, ==, 0);
        take_is(&w, &chain, 3);
        g_assert_cmpint(take(&w, &chain), ==, 0);
        world_end(&w);
}

/* A region that somebody has written nonsense into: refused, or at worst a broken ring. */
static void test_inflight_nonsense(void) {
        struct vhost_inflight_packed *queue;
        struct vhost_chain chain;
        struct vhost_ring ring;
        struct world w;

        for (int i = 0; i < 6; i++) {
                world_begin(&w, 0);
                track(&w);
                describe(&w);
                put(&w, 3);
                take_is(&w, &chain, 3);
                queue = w.setup.inflight_packed;
                if (i == 0)
                        queue->version = 2;
                else if (i == 1)
                        queue->n_entries = SIZE / 2;
                else if (i == 2)
                        queue->places.old_used_idx = SIZE;
                else if (i == 3)
                        queue->entries[SIZE - 1].next = queue->free_head;       /* a loop */
                else
                        queue->entries[chain.entry].n = i == 4 ? SIZE + 1 : 0;
                g_assert_cmpint(vhost_ring_init(&ring, &w.setup), ==, -EINVAL);
                world_end(&w);
        }
        world_begin(&w, 0);
        track(&w);
        describe(&w);
        put(&w, 3);
        take_is(&w, &chain, 3);
        w.setup.inflight_packed->entries[chain.entry].next = SIZE;
        next_backend(&w);
        g_assert_cmpint(take(&w, &chain), ==, -EPROTO);
        world_end(&w);
}

static void test_log(void) {
        struct vhost_log log = VHOST_LOG_NONE;
        struct vhost_chain chain;
        uint8_t bits[128] = {};
        uint64_t page;
        struct world w;
        int fd = vhost_inflight_make(1, 1000, false);

        world_begin(&w, 0);
        describe(&w);
        g_assert_cmpint(vhost_log_open(&log, fd, 0, sizeof bits), ==, 0);
        w.setup.log = &log;
        w.setup.address.flags = VHOST_VRING_F_LOG;
        next_backend(&w);
        put(&w, 0);
        take_is(&w, &chain, 0);
        vhost_ring_put(&w.ring, &chain, 1);
        vhost_ring_publish(&w.ring);
        g_assert_cmpint(pread(fd, bits, sizeof bits, 0), ==, sizeof bits);
        page = vhost_driver_memory_guest(&w.lent, w.buffer) / VHOST_LOG_PAGE;
        g_assert_true(bits[page / 8] & 1u << page % 8);
        page = vhost_driver_memory_guest(&w.lent, w.driver.packed->ring) / VHOST_LOG_PAGE;
        g_assert_true(bits[page / 8] & 1u << page % 8);
        vhost_log_close(&log);
        world_end(&w);
        close(fd);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/packed/request", test_request);
        g_test_add_func("/packed/out-of-order", test_out_of_order);
        g_test_add_func("/packed/notifications-by-flags", test_flags);
        g_test_add_func("/packed/notifications-by-event-index", test_event_idx);
        g_test_add_func("/packed/indirect", test_indirect);
        g_test_add_func("/packed/spoilt", test_spoilt);
        g_test_add_func("/packed/setup-that-cannot-be", test_setup);
        g_test_add_func("/packed/log", test_log);
        g_test_add_func("/packed/inflight/done-again", test_inflight);
        g_test_add_func("/packed/inflight/killed-in-a-batch", test_inflight_batch);
        g_test_add_func("/packed/inflight/killed-while-taking", test_inflight_half_taken);
        g_test_add_func("/packed/inflight/nonsense", test_inflight_nonsense);
        return g_test_run();
}
