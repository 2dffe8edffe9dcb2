/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Small numbers for objects: which is given out when, and that any number may be asked for. */

#include <errno.h>
#include <glib.h>

#include "slots.h"

static int items[100];

struct fixture {
        struct slots slots;
};

static void set_up(struct fixture *f, gconstpointer data) {
        f->slots = (struct slots) {};
}

static void tear_down(struct fixture *f, gconstpointer data) {
        slots_done(&f->slots);
        g_assert_null(f->slots.items);
}

static uint32_t add(struct fixture *f, uint32_t first, uint32_t end) {
        uint32_t index = UINT32_MAX;

        g_assert_cmpint(slots_add(&f->slots, first, end, &items[0], &index), ==, 0);
        return index;
}

static void assert_full(struct fixture *f, uint32_t first, uint32_t end) {
        uint32_t index = 12345, n_used = f->slots.n_used;

        g_assert_cmpint(slots_add(&f->slots, first, end, &items[0], &index), ==, -ENOSPC);
        g_assert_cmpuint(index, ==, 12345);
        g_assert_cmpuint(f->slots.n_used, ==, n_used);
}

static void test_lowest_first(struct fixture *f, gconstpointer data) {
        for (uint32_t i = 0; i < 10; i++)
                g_assert_cmpuint(add(f, 0, 100), ==, i);

        g_assert_nonnull(slots_take(&f->slots, 7));
        g_assert_nonnull(slots_take(&f->slots, 3));
        g_assert_nonnull(slots_take(&f->slots, 5));
        g_assert_cmpuint(f->slots.n_used, ==, 7);
        g_assert_cmpuint(add(f, 0, 100), ==, 3);
        g_assert_cmpuint(add(f, 0, 100), ==, 5);
        g_assert_cmpuint(add(f, 0, 100), ==, 7);
        g_assert_cmpuint(add(f, 0, 100), ==, 10);
}

static void test_bounds(struct fixture *f, gconstpointer data) {
        for (uint32_t i = 8; i < 11; i++)
                g_assert_cmpuint(add(f, 8, 11), ==, i);
        assert_full(f, 8, 11);
        assert_full(f, 8, 8);
        assert_full(f, 8, 0);

        g_assert_nonnull(slots_take(&f->slots, 8));
        g_assert_cmpuint(add(f, 8, 11), ==, 8);
        assert_full(f, 8, 11);
        g_assert_cmpuint(add(f, 8, 12), ==, 11);
}

static void test_set_is_skipped(struct fixture *f, gconstpointer data) {
        g_assert_cmpint(slots_set(&f->slots, 1, &items[1]), ==, 0);
        g_assert_cmpint(slots_set(&f->slots, 40, &items[2]), ==, 0);
        g_assert_cmpuint(f->slots.n_used, ==, 2);
        g_assert_cmpuint(add(f, 0, 100), ==, 0);
        g_assert_cmpuint(add(f, 0, 100), ==, 2);
        g_assert_true(slots_get(&f->slots, 1) == &items[1]);
        g_assert_true(slots_get(&f->slots, 40) == &items[2]);
        g_assert_true(slots_take(&f->slots, 1) == &items[1]);
        g_assert_cmpuint(add(f, 0, 100), ==, 1);
}

static void test_any_index(struct fixture *f, gconstpointer data) {
        static const uint32_t strange[] = { 0, 1, 15, 16, 17, INT32_MAX, UINT32_MAX - 1, UINT32_MAX };

        for (unsigned int round = 0; round < 2; round++) {
                for (size_t i = 0; i < G_N_ELEMENTS(strange); i++) {
                        uint32_t index = strange[i];

                        g_assert_null(slots_get(&f->slots, index));
                        g_assert_null(slots_take(&f->slots, index));
                        g_assert_null(slots_next(&f->slots, &index));
                        g_assert_cmpuint(index, ==, strange[i]);
                }
                g_assert_cmpuint(f->slots.n_used, ==, 0);
                g_assert_cmpuint(add(f, 0, 1), ==, 0); /* now there is memory behind it */
                g_assert_nonnull(slots_take(&f->slots, 0));
        }
}

static void test_walk(struct fixture *f, gconstpointer data) {
        static const uint32_t used[] = { 0, 1, 15, 16, 99 };
        uint32_t n = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(used); i++)
                g_assert_cmpint(slots_set(&f->slots, used[i], &items[used[i]]), ==, 0);
        for (uint32_t i = 0; slots_next(&f->slots, &i); i++) {
                g_assert_cmpuint(i, ==, used[n]);
                n++;
        }
        g_assert_cmpuint(n, ==, G_N_ELEMENTS(used));
}

static void test_growth(struct fixture *f, gconstpointer data) {
        uint32_t index;

        for (uint32_t i = 0; i < G_N_ELEMENTS(items); i++)
                g_assert_cmpint(slots_add(&f->slots, 0, 1000, &items[i], &index), ==, 0);
        for (uint32_t i = 0; i < G_N_ELEMENTS(items); i++)
                g_assert_true(slots_get(&f->slots, i) == &items[i]);
        g_assert_cmpuint(f->slots.n_used, ==, G_N_ELEMENTS(items));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add_test(path, test) g_test_add("/slots/" path, struct fixture, NULL, set_up, test, tear_down)
        add_test("lowest-free-number-first", test_lowest_first);
        add_test("from-first-up-to-but-not-including-end", test_bounds);
        add_test("a-number-that-was-chosen-is-not-given-out", test_set_is_skipped);
        add_test("any-number-may-be-asked-for", test_any_index);
        add_test("walk-is-ascending-and-complete", test_walk);
        add_test("growth-keeps-what-is-there", test_growth);
        return g_test_run();
}
