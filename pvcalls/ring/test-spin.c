/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Spinning: longer while what is waited for comes soon, soon not at all while it does not, and never on one CPU. */

#include <glib.h>

#include "spin.h"

/* Microseconds that n waits look for, each of which lasts so long. */
static uint64_t run(struct spin *spin, int n, uint64_t waited_usec) {
        uint64_t total = 0;

        for (int i = 0; i < n; i++) {
                uint32_t usec = spin_next(spin);

                g_assert_cmpuint(usec, <=, spin->max_usec);
                total += usec;
                spin_tell(spin, waited_usec);
        }
        return total;
}

static void test_one_cpu(void) {
        struct spin spin;

        spin_init(&spin, 50, 1);
        g_assert_cmpuint(run(&spin, 1000, 1), ==, 0);
        spin_init(&spin, 0, 8);
        g_assert_cmpuint(run(&spin, 1000, 0), ==, 0);
}

static void test_it_follows_what_pays(void) {
        struct spin spin;

        spin_init(&spin, 50, 2);
        g_assert_cmpuint(run(&spin, 1000, 51), ==, 0);
        run(&spin, 5, 50);
        g_assert_cmpuint(run(&spin, 100, 20), ==, 100 * 50);
        g_assert_cmpuint(run(&spin, 100, UINT64_MAX), <, 150);
        g_assert_cmpuint(spin_next(&spin), ==, 0);
}

static void test_others_want_the_cpu(void) {
        struct spin spin;
        uint64_t before;

        spin_init(&spin, 50, 2);
        run(&spin, 5, 20);
        spin_tell_crowded(&spin);
        g_assert_cmpuint(run(&spin, 64, 20), ==, 0);
        g_assert_cmpuint(run(&spin, 10, 20), >, 0);

        /* Ever less often, while it goes on so. */
        for (int i = 0; i < 20; i++) {
                run(&spin, 5000, 20);
                spin_tell_crowded(&spin);
                spin_tell_crowded(&spin);
        }
        g_assert_cmpuint(spin.n_waits_next, <=, 4096);
        before = spin.n_waits_left;
        g_assert_cmpuint(run(&spin, (int) before, 20), ==, 0);

        /* And as at first when it has long been quiet. */
        run(&spin, 10000, 20);
        g_assert_cmpuint(spin_next(&spin), ==, 50);
        spin_tell_crowded(&spin);
        g_assert_cmpuint(run(&spin, 64, 20), ==, 0);
        g_assert_cmpuint(run(&spin, 10, 20), >, 0);
}

static void test_a_bound_below_the_first_try(void) {
        struct spin spin;

        spin_init(&spin, 1, 2);
        run(&spin, 1, 1);
        g_assert_cmpuint(spin_next(&spin), ==, 1);
        run(&spin, 1, 2);
        g_assert_cmpuint(spin_next(&spin), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/spin/never-on-one-cpu", test_one_cpu);
        g_test_add_func("/spin/it-follows-what-pays", test_it_follows_what_pays);
        g_test_add_func("/spin/seldom-where-others-want-the-cpu", test_others_want_the_cpu);
        g_test_add_func("/spin/a-bound-below-the-first-try", test_a_bound_below_the_first_try);
        return g_test_run();
}
