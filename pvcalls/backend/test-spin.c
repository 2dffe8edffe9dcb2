/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Spinning: longer while it pays, soon not at all while it does not, and never on one CPU. */

#include <glib.h>

#include "spin.h"

static void test_one_cpu(void) {
        struct spin spin;

        spin_init(&spin, 50, 1);
        for (int i = 0; i < 1000; i++)
                g_assert_cmpuint(spin_next(&spin), ==, 0);
        spin_init(&spin, 0, 8);
        for (int i = 0; i < 1000; i++)
                g_assert_cmpuint(spin_next(&spin), ==, 0);
}

/* Microseconds that n sleeps look for, of which all pay or none. */
static uint64_t run(struct spin *spin, int n, bool paid) {
        uint64_t total = 0;

        for (int i = 0; i < n; i++) {
                uint32_t usec = spin_next(spin);

                g_assert_cmpuint(usec, <=, spin->max_usec);
                total += usec;
                if (usec > 0)
                        spin_tell(spin, paid);
        }
        return total;
}

static void test_it_follows_what_pays(void) {
        struct spin spin;

        spin_init(&spin, 50, 2);
        g_assert_cmpuint(run(&spin, 3300, false), <=, 3300 / 32 * 4);
        run(&spin, 40, true);
        g_assert_cmpuint(run(&spin, 100, true), ==, 100 * 50);
        g_assert_cmpuint(run(&spin, 100, false), <, 150);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/spin/never-on-one-cpu", test_one_cpu);
        g_test_add_func("/spin/it-follows-what-pays", test_it_follows_what_pays);
        return g_test_run();
}
