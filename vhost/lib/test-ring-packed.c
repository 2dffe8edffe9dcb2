/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Packed rings, with a driver on the other side that does it right, and one that does not. */

#include <errno.h>
#include <string.h>

#include "test-packed.h"

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

/* A chain into descriptors that are the device's still: it has an end, but no driver has so many. */
static void test_too_long(void) {
        struct vhost_chain chain;
        struct world world, *w = &world;

        world_begin(w, 0);
        describe(w);
        put(w, 3);
        take_is(w, &chain, 3);
        for (unsigned i = 3; i < SIZE; i++)
                RING[i] = ENDLESS;
        RING[0] = (struct vhost_packed_descriptor) { VHOST_DRIVER_GUEST, 1, 0, VHOST_PACKED_WRITE | vhost_packed_available(false) };
        g_assert_cmpint(take(w, &chain), ==, -EPROTO);
        world_end(w);
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
        g_test_add_func("/packed/too-long", test_too_long);
        g_test_add_func("/packed/setup-that-cannot-be", test_setup);
        g_test_add_func("/packed/log", test_log);
        return g_test_run();
}
