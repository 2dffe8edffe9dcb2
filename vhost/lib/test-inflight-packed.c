/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The inflight region of packed rings, at each moment of a kill, and as whoever has it too may leave it. */

#include <errno.h>

#include "test-packed.h"

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

/* A region that grows a descriptor once it has been counted. */
static void test_inflight_that_changes(void) {
        struct vhost_inflight_packed *queue;
        struct vhost_chain chain;
        struct world w;
        uint16_t last;

        world_begin(&w, 0);
        track(&w);
        describe(&w);
        put(&w, 3);
        take_is(&w, &chain, 3);
        next_backend(&w);
        queue = w.setup.inflight_packed;
        last = queue->entries[chain.entry].last;
        queue->entries[last].flags |= VHOST_PACKED_NEXT;
        queue->entries[last].next = queue->free_head;
        queue->entries[queue->free_head] = queue->entries[last];
        queue->entries[queue->free_head].flags = VHOST_PACKED_WRITE;
        g_assert_cmpint(take(&w, &chain), ==, -EPROTO);
        world_end(&w);
}

/* One that says of a request that is being answered that its last entry is where there is none. */
static void test_last_that_is_nowhere(void) {
        struct vhost_chain chain;
        struct world w;

        world_begin(&w, 0);
        track(&w);
        describe(&w);
        put(&w, 3);
        take_is(&w, &chain, 3);
        w.setup.inflight_packed->entries[chain.entry].last = SIZE;
        vhost_ring_put(&w.ring, &chain, 0);
        g_assert_false(vhost_ring_publish(&w.ring));
        g_assert_cmpint(take(&w, &chain), ==, -EPROTO);
        world_end(&w);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/packed/inflight/done-again", test_inflight);
        g_test_add_func("/packed/inflight/killed-in-a-batch", test_inflight_batch);
        g_test_add_func("/packed/inflight/killed-while-taking", test_inflight_half_taken);
        g_test_add_func("/packed/inflight/nonsense", test_inflight_nonsense);
        g_test_add_func("/packed/inflight/region-that-changes", test_inflight_that_changes);
        g_test_add_func("/packed/inflight/last-that-is-nowhere", test_last_that_is_nowhere);
        return g_test_run();
}
