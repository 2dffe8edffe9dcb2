/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rings, with a driver on the other side that does it right, and one that does not; and the inflight region. */

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
        struct vhost_ring ring;
        struct iovec iov[16];
        uint8_t *buffer;
};

static struct vhost_ring_setup setup_of(struct world *world, uint64_t features) {
        return (struct vhost_ring_setup) {
                .memory = &world->memory,
                .address = {
                        .descriptor = (uintptr_t) world->driver.descriptors,
                        .available = (uintptr_t) world->driver.available,
                        .used = (uintptr_t) world->driver.used,
                },
                .features = features,
                .size = SIZE,
        };
}

static void world_begin(struct world *world, uint64_t features) {
        struct vhost_region region;
        struct vhost_ring_setup setup;

        memset(world, 0, sizeof *world);
        g_assert_cmpint(vhost_driver_memory_new(&world->lent, 64 * 1024), ==, 0);
        g_assert_cmpint(vhost_driver_new(&world->driver, &world->lent, 0, SIZE, features & VHOST_BIT(VHOST_F_EVENT_IDX)), ==, 0);
        world->buffer = vhost_driver_memory_take(&world->lent, 4096);
        region = vhost_driver_memory_region(&world->lent);
        g_assert_cmpint(vhost_memory_add(&world->memory, &region, world->lent.fd), ==, 0);
        setup = setup_of(world, features);
        g_assert_cmpint(vhost_ring_init(&world->ring, &setup), ==, 0);
}

static void world_end(struct world *world) {
        vhost_ring_done(&world->ring);
        vhost_memory_clear(&world->memory);
        vhost_driver_done(&world->driver);
        vhost_driver_memory_done(&world->lent);
}

static int take(struct world *world, struct vhost_chain *chain) {
        return vhost_ring_take(&world->ring, world->iov, G_N_ELEMENTS(world->iov), chain);
}

static void make_available(struct world *world, uint16_t head) {
        vhost_driver_put(&world->driver, head);
        vhost_driver_publish(&world->driver);
}

static void test_request(void) {
        struct world w;
        struct vhost_chain chain;
        uint32_t head, length;

        world_begin(&w, 0);
        g_assert_cmpint(take(&w, &chain), ==, 0);
        for (unsigned round = 0; round < 70000; round++) {      /* indexes wrap */
                uint16_t at = (uint16_t) (round % 4 * 2);

                vhost_driver_describe(&w.driver, at, w.buffer, 100, false, false);
                vhost_driver_describe(&w.driver, (uint16_t) (at + 1), w.buffer + 100, 50, true, true);
                make_available(&w, at);
                g_assert_cmpint(take(&w, &chain), ==, 1);
                g_assert_cmpuint(chain.head, ==, at);
                g_assert_true(chain.n_out == 1 && chain.n_in == 1 && chain.n_out_bytes == 100 && chain.n_in_bytes == 50);
                g_assert_cmpint(take(&w, &chain), ==, 0);
                vhost_ring_put(&w.ring, &chain, round);
                g_assert_false(vhost_driver_take(&w.driver, &head, &length));
                g_assert_true(vhost_ring_publish(&w.ring));
                g_assert_true(vhost_driver_take(&w.driver, &head, &length));
                g_assert_true(head == at && length == round);
        }
        world_end(&w);
}

static void test_flags(void) {
        struct world w;
        struct vhost_chain chain;

        world_begin(&w, 0);
        vhost_ring_wake(&w.ring);
        vhost_driver_describe(&w.driver, 0, w.buffer, 1, true, true);
        vhost_driver_put(&w.driver, 0);
        g_assert_false(vhost_driver_publish(&w.driver));        /* no kick is wanted */
        g_assert_true(vhost_ring_sleep(&w.ring));               /* there is one already */
        g_assert_cmpint(take(&w, &chain), ==, 1);
        g_assert_false(vhost_ring_sleep(&w.ring));
        w.driver.available[0] = 1;                              /* no interrupt is wanted */
        vhost_ring_put(&w.ring, &chain, 1);
        g_assert_false(vhost_ring_publish(&w.ring));
        g_assert_false(vhost_ring_publish(&w.ring));
        vhost_driver_put(&w.driver, 0);
        g_assert_true(vhost_driver_publish(&w.driver));
        world_end(&w);
}

static void test_event_idx(void) {
        struct world w;
        struct vhost_chain chain;

        world_begin(&w, VHOST_BIT(VHOST_F_EVENT_IDX));
        g_assert_false(vhost_ring_sleep(&w.ring));
        for (uint16_t i = 0; i < 4; i++) {
                vhost_driver_describe(&w.driver, i, w.buffer, 1, true, true);
                vhost_driver_put(&w.driver, i);
                g_assert_true(vhost_driver_publish(&w.driver) == (i == 0));     /* asleep for the first only */
        }
        w.driver.available[2 + SIZE] = 2;                       /* wake me at the third */
        for (uint16_t i = 0; i < 4; i++) {
                g_assert_cmpint(take(&w, &chain), ==, 1);
                vhost_ring_put(&w.ring, &chain, 1);
                g_assert_true(vhost_ring_publish(&w.ring) == (i == 2));
        }
        world_end(&w);
}

static void test_indirect(void) {
        struct world w;
        struct vhost_chain chain;
        struct vhost_descriptor *table;

        world_begin(&w, VHOST_BIT(VHOST_F_INDIRECT));
        table = (struct vhost_descriptor *) (void *) w.buffer;
        vhost_driver_describe(&w.driver, 0, w.buffer, 10 * sizeof *table, false, true);
        w.driver.descriptors[0].flags = VHOST_DESCRIPTOR_INDIRECT;
        for (uint16_t i = 0; i < 10; i++)                       /* more than the ring has */
                table[i] = (struct vhost_descriptor) { VHOST_DRIVER_GUEST, 16, i < 9 ? VHOST_DESCRIPTOR_NEXT : 0, (uint16_t) (i + 1) };
        make_available(&w, 0);
        g_assert_cmpint(take(&w, &chain), ==, 1);
        g_assert_true(chain.n_out == 10 && chain.n_in == 0 && chain.n_out_bytes == 160);
        world_end(&w);
}

/* Each of these breaks the ring, and no byte outside of the guest's memory is touched. */
static void spoil_loop(struct world *w) {
        w->driver.descriptors[1].flags = VHOST_DESCRIPTOR_NEXT;
        w->driver.descriptors[1].next = 0;
}
static void spoil_next(struct world *w) {
        w->driver.descriptors[0].next = SIZE;
}
static void spoil_address(struct world *w) {
        w->driver.descriptors[0].address = UINT64_MAX - 1;
}
static void spoil_length(struct world *w) {
        w->driver.descriptors[0].length = UINT32_MAX;
}
static void spoil_empty(struct world *w) {
        w->driver.descriptors[0].length = 0;
}
static void spoil_order(struct world *w) {
        w->driver.descriptors[0].flags |= VHOST_DESCRIPTOR_WRITE;
        w->driver.descriptors[1].flags = 0;
}
static void spoil_head(struct world *w) {
        w->driver.available[2] = SIZE;
}
static void spoil_index(struct world *w) {
        w->driver.available[1] = SIZE + 1;
}
static void spoil_indirect_off(struct world *w) {
        w->driver.descriptors[0].flags = VHOST_DESCRIPTOR_INDIRECT;
}

static void test_spoilt(void) {
        static void (*const spoils[])(struct world *) = { spoil_loop,  spoil_next, spoil_address, spoil_length,      spoil_empty,
                                                          spoil_order, spoil_head, spoil_index,   spoil_indirect_off };

        for (size_t i = 0; i < G_N_ELEMENTS(spoils); i++) {
                struct world w;
                struct vhost_chain chain;

                world_begin(&w, 0);
                vhost_driver_describe(&w.driver, 0, w.buffer, 100, false, false);
                vhost_driver_describe(&w.driver, 1, w.buffer, 50, true, true);
                /* Behind the table: whoever goes there finds one that is as good as any. */
                w.driver.descriptors[SIZE] = (struct vhost_descriptor) { VHOST_DRIVER_GUEST, 16, VHOST_DESCRIPTOR_WRITE, 0 };
                make_available(&w, 0);
                spoils[i](&w);
                g_assert_cmpint(take(&w, &chain), ==, -EPROTO);
                g_assert_cmpint(take(&w, &chain), ==, -EPROTO);
                g_assert_false(vhost_ring_sleep(&w.ring));
                world_end(&w);
        }
}

static void test_spoilt_indirect(void) {
        struct world w;
        struct vhost_chain chain;

        for (int i = 0; i < 5; i++) {
                struct vhost_descriptor *table;

                world_begin(&w, VHOST_BIT(VHOST_F_INDIRECT));
                table = (struct vhost_descriptor *) (void *) w.buffer;
                table[0] = (struct vhost_descriptor) { VHOST_DRIVER_GUEST, 16, i == 0 ? VHOST_DESCRIPTOR_INDIRECT : 0, 0 };
                vhost_driver_describe(&w.driver, 0, w.buffer, i == 1 ? 17 : i == 2 ? 0 : i == 3 ? 2048 * 16 : 16, false, true);
                w.driver.descriptors[0].flags = (uint16_t) (VHOST_DESCRIPTOR_INDIRECT | (i == 4 ? VHOST_DESCRIPTOR_NEXT : 0));
                make_available(&w, 0);
                g_assert_cmpint(take(&w, &chain), ==, -EPROTO);
                world_end(&w);
        }
}

static void test_setup(void) {
        struct world w;
        struct vhost_ring ring;
        struct vhost_ring_setup setup;

        world_begin(&w, 0);
        setup = setup_of(&w, 0);
        setup.size = 6;
        g_assert_cmpint(vhost_ring_init(&ring, &setup), ==, -EINVAL);
        setup = setup_of(&w, 0);
        setup.address.used += 2;
        g_assert_cmpint(vhost_ring_init(&ring, &setup), ==, -EINVAL);
        setup = setup_of(&w, 0);
        setup.address.available = (uintptr_t) w.lent.base + w.lent.size - 2;
        g_assert_cmpint(vhost_ring_init(&ring, &setup), ==, -EFAULT);
        world_end(&w);
}

/* What a back-end finds that was killed after it took four, answered one, and had just stored the index for a second. */
static void test_inflight(void) {
        const uint16_t order[4] = { 2, 0, 3, 1 };
        struct vhost_inflight inflight = VHOST_INFLIGHT_NONE;
        struct vhost_ring_setup setup;
        struct vhost_chain chains[4], chain;
        struct world w;
        int fd = vhost_inflight_make(1, SIZE, false);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(vhost_inflight_open(&inflight, fd, 0, vhost_inflight_bytes(1, SIZE, false), 1, SIZE, false), ==, 0);
        world_begin(&w, 0);
        setup = setup_of(&w, 0);
        setup.inflight = vhost_inflight_queue(&inflight, 0);
        vhost_ring_done(&w.ring);
        g_assert_cmpint(vhost_ring_init(&w.ring, &setup), ==, 0);
        g_assert_false(w.ring.has_run);
        for (uint16_t i = 0; i < 5; i++)
                vhost_driver_describe(&w.driver, i, w.buffer, 8, true, true);
        for (int i = 0; i < 4; i++) {
                make_available(&w, order[i]);
                g_assert_cmpint(take(&w, &chains[i]), ==, 1);
        }
        vhost_ring_put(&w.ring, &chains[2], 8);                 /* 3, answered first */
        vhost_ring_publish(&w.ring);
        vhost_ring_put(&w.ring, &chains[1], 8);                 /* 0: the index is stored, and then the process is killed */
        w.driver.used[1] = 2;
        make_available(&w, 4);

        vhost_ring_done(&w.ring);
        setup.base = 1;                                         /* whatever the front-end thinks */
        g_assert_cmpint(vhost_ring_init(&w.ring, &setup), ==, 0);
        g_assert_true(w.ring.has_run);
        g_assert_true(vhost_ring_sleep(&w.ring));
        g_assert_cmpint(take(&w, &chain), ==, 1);
        g_assert_cmpuint(chain.head, ==, 2);
        g_assert_cmpint(take(&w, &chain), ==, 1);
        g_assert_cmpuint(chain.head, ==, 1);
        g_assert_cmpint(take(&w, &chain), ==, 1);
        g_assert_cmpuint(chain.head, ==, 4);
        g_assert_cmpint(take(&w, &chain), ==, 0);

        vhost_ring_put(&w.ring, &chain, 8);                     /* 4, and killed before the index: it is done again */
        vhost_ring_done(&w.ring);
        g_assert_cmpint(vhost_ring_init(&w.ring, &setup), ==, 0);
        for (int i = 0; i < 3; i++) {
                g_assert_cmpint(take(&w, &chain), ==, 1);
                g_assert_cmpuint(chain.head, ==, i == 0 ? 2 : i == 1 ? 1 : 4);
        }
        world_end(&w);
        vhost_inflight_close(&inflight);
        close(fd);
}

/* A new region for a ring that has run: nothing is taken for the end of a batch (a mistake that others have made). */
static void test_inflight_new_region(void) {
        struct vhost_inflight inflight = VHOST_INFLIGHT_NONE;
        struct vhost_inflight_state state;
        struct vhost_inflight_queue *queue;
        int fd = vhost_inflight_make(2, SIZE, false);

        g_assert_cmpint(vhost_inflight_open(&inflight, fd, 0, vhost_inflight_bytes(2, SIZE, false), 2, SIZE, false), ==, 0);
        g_assert_null(vhost_inflight_queue(&inflight, 2));
        queue = vhost_inflight_queue(&inflight, 1);
        g_assert_cmpint(vhost_inflight_take_over(queue, SIZE, 100, &state), ==, 0);
        g_assert_true(state.is_new && state.n_heads == 0);
        free(state.heads);
        vhost_inflight_taken(queue, 0, 0);
        g_assert_cmpint(vhost_inflight_take_over(queue, SIZE, 100, &state), ==, 0);
        g_assert_true(!state.is_new && state.n_heads == 1 && state.heads[0] == 0 && state.counter == 1);
        free(state.heads);

        /* And one that somebody has written nonsense into. */
        g_assert_cmpint(vhost_inflight_take_over(queue, SIZE, 100 + SIZE + 1, &state), ==, -EINVAL);
        queue->last_batch_head = SIZE;
        g_assert_cmpint(vhost_inflight_take_over(queue, SIZE, 101, &state), ==, -EINVAL);
        g_assert_cmpint(vhost_inflight_take_over(queue, SIZE / 2, 100, &state), ==, -EINVAL);
        queue->version = 2;
        g_assert_cmpint(vhost_inflight_take_over(queue, SIZE, 100, &state), ==, -EINVAL);
        vhost_inflight_close(&inflight);
        g_assert_cmpint(vhost_inflight_open(&inflight, fd, 0, vhost_inflight_bytes(2, SIZE, false), 3, SIZE, false), ==, -EINVAL);
        close(fd);
}

static void test_log(void) {
        struct vhost_log log = VHOST_LOG_NONE;
        struct vhost_ring_setup setup;
        struct vhost_chain chain;
        struct world w;
        uint8_t bits[128] = {};
        uint64_t page;
        int fd = vhost_inflight_make(1, 1000, false);

        world_begin(&w, 0);
        g_assert_cmpint(vhost_log_open(&log, fd, 0, sizeof bits), ==, 0);
        setup = setup_of(&w, 0);
        setup.log = &log;
        setup.address.flags = VHOST_VRING_F_LOG;
        setup.address.log = 5 * VHOST_LOG_PAGE;
        vhost_ring_done(&w.ring);
        g_assert_cmpint(vhost_ring_init(&w.ring, &setup), ==, 0);
        vhost_driver_describe(&w.driver, 0, w.buffer, 4096, true, true);
        make_available(&w, 0);
        g_assert_cmpint(take(&w, &chain), ==, 1);
        vhost_ring_put(&w.ring, &chain, 1);
        vhost_ring_publish(&w.ring);
        g_assert_cmpint(pread(fd, bits, sizeof bits, 0), ==, sizeof bits);
        page = vhost_driver_memory_guest(&w.lent, w.buffer) / VHOST_LOG_PAGE;
        g_assert_cmpuint(bits[page / 8], ==, 1u << page % 8);
        g_assert_cmpuint(bits[0], ==, 1u << 5);

        /* A read that has failed tells of one byte: the first page may have been written, too, and the status has, which is in the second. */
        vhost_driver_describe(&w.driver, 0, w.buffer, 4096, true, false);
        vhost_driver_describe(&w.driver, 1, vhost_driver_memory_take(&w.lent, 4096), 1, true, true);
        make_available(&w, 0);
        g_assert_cmpint(take(&w, &chain), ==, 1);
        g_assert_cmpint(pwrite(fd, &(uint8_t[128]) {}, sizeof bits, 0), ==, sizeof bits);
        vhost_ring_put(&w.ring, &chain, 1);
        g_assert_cmpint(pread(fd, bits, sizeof bits, 0), ==, sizeof bits);
        g_assert_true(bits[page / 8] & 1u << page % 8);
        page = vhost_memory_guest_address(&w.memory, chain.iov[1].iov_base) / VHOST_LOG_PAGE;
        g_assert_true(bits[page / 8] & 1u << page % 8);
        g_assert_cmpint(pwrite(fd, &(uint8_t[128]) {}, sizeof bits, 0), ==, sizeof bits);
        vhost_ring_wake(&w.ring);
        g_assert_cmpint(pread(fd, bits, sizeof bits, 0), ==, sizeof bits);
        g_assert_cmpuint(bits[0], ==, 1u << 5);
        vhost_log_close(&log);
        world_end(&w);
        close(fd);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/ring/request", test_request);
        g_test_add_func("/ring/notifications-by-flags", test_flags);
        g_test_add_func("/ring/notifications-by-event-index", test_event_idx);
        g_test_add_func("/ring/indirect", test_indirect);
        g_test_add_func("/ring/spoilt", test_spoilt);
        g_test_add_func("/ring/spoilt-indirect", test_spoilt_indirect);
        g_test_add_func("/ring/setup-that-cannot-be", test_setup);
        g_test_add_func("/ring/log", test_log);
        g_test_add_func("/inflight/killed-in-the-middle", test_inflight);
        g_test_add_func("/inflight/new-region-and-nonsense", test_inflight_new_region);
        return g_test_run();
}
