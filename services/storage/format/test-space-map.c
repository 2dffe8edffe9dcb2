/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Room in a file: taken, given back, found again. */

#include <errno.h>
#include <glib.h>

#include "space-map.h"

struct fixture {
        struct space_map map;
        uint64_t first;
};

static void set_up(struct fixture *f, gconstpointer data) {
        g_assert_cmpint(space_map_init(&f->map, 200), ==, 0);
}

static void tear_down(struct fixture *f, gconstpointer data) {
        space_map_done(&f->map);
}

static void test_one_behind_the_other(struct fixture *f, gconstpointer data) {
        for (uint64_t i = 0; i < 200; i += 10) {
                g_assert_cmpint(space_map_take(&f->map, 10, &f->first), ==, 0);
                g_assert_cmpuint(f->first, ==, i);
        }
        g_assert_cmpint(space_map_take(&f->map, 1, &f->first), ==, -ENOSPC);
        g_assert_cmpuint(f->map.n_used, ==, 200);
}

static void test_what_was_given_back_is_found(struct fixture *f, gconstpointer data) {
        g_assert_cmpint(space_map_take(&f->map, 200, &f->first), ==, 0);
        space_map_give(&f->map, 63, 3);
        g_assert_cmpint(space_map_take(&f->map, 4, &f->first), ==, -ENOSPC);
        g_assert_cmpuint(space_map_longest(&f->map), ==, 3);
        g_assert_cmpint(space_map_take(&f->map, 3, &f->first), ==, 0);
        g_assert_cmpuint(f->first, ==, 63);
}

static void test_too_much_or_nothing(struct fixture *f, gconstpointer data) {
        g_assert_cmpint(space_map_take(&f->map, 201, &f->first), ==, -ENOSPC);
        g_assert_cmpint(space_map_take(&f->map, UINT64_MAX, &f->first), ==, -ENOSPC);
        g_assert_cmpint(space_map_take(&f->map, 0, &f->first), ==, -ENOSPC);
}

static void test_at_a_place(struct fixture *f, gconstpointer data) {
        g_assert_cmpint(space_map_take_at(&f->map, 190, 10), ==, 0);
        g_assert_cmpint(space_map_take_at(&f->map, 189, 2), ==, -EBUSY);
        g_assert_cmpint(space_map_take_at(&f->map, 195, 6), ==, -ERANGE);
        g_assert_cmpint(space_map_take_at(&f->map, UINT64_MAX, 1), ==, -ERANGE);
        g_assert_cmpint(space_map_take_at(&f->map, 1, UINT64_MAX), ==, -ERANGE);
        g_assert_cmpuint(f->map.n_used, ==, 10);
        g_assert_cmpuint(space_map_longest(&f->map), ==, 190);
}

/* Against a plain array, for a while. */
static void test_against_an_array(struct fixture *f, gconstpointer data) {
        bool used[200] = {};

        for (unsigned i = 0; i < 5000; i++) {
                uint64_t n = (uint64_t) g_test_rand_int_range(1, 20);

                if (space_map_take(&f->map, n, &f->first) >= 0)
                        for (uint64_t j = f->first; j < f->first + n; j++) {
                                g_assert_false(used[j]);
                                used[j] = true;
                        }
                n = (uint64_t) g_test_rand_int_range(0, 200);
                if (used[n]) {
                        space_map_give(&f->map, n, 1);
                        used[n] = false;
                }
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/space-map/" name, struct fixture, NULL, set_up, function, tear_down)
        ADD("one-behind-the-other", test_one_behind_the_other);
        ADD("what-was-given-back-is-found", test_what_was_given_back_is_found);
        ADD("too-much-or-nothing", test_too_much_or_nothing);
        ADD("at-a-place", test_at_a_place);
        ADD("against-an-array", test_against_an_array);
        return g_test_run();
}
