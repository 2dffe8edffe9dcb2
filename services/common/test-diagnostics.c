/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Diagnostics: problems come, change and go. */

#include <errno.h>
#include <glib.h>

#include "diagnostics.h"
#include "log.h"

#define AUTO_DIAGNOSTICS __attribute__((cleanup(diagnostics_done))) struct diagnostics

static void count_changes(void *userdata) {
        ++*(unsigned *) userdata;
}

static void test_problems(void) {
        unsigned n = 0;
        AUTO_DIAGNOSTICS d = { .changed = count_changes, .userdata = &n };

        g_assert_cmpint(diagnostics_health(&d), ==, HEALTH_GOOD);
        g_assert_cmpint(diagnostics_problem(&d, HEALTH_DEGRADED, "a", "slow"), ==, 0);
        g_assert_cmpint(diagnostics_problem(&d, HEALTH_FAILING, "b", "dead"), ==, 0);
        g_assert_cmpint(diagnostics_health(&d), ==, HEALTH_FAILING);
        g_assert_cmpuint(n, ==, 2);

        g_assert_cmpint(diagnostics_problem(&d, HEALTH_FAILING, "b", "dead"), ==, 0);    /* no news */
        g_assert_cmpuint(n, ==, 2);
        g_assert_cmpint(diagnostics_problem(&d, HEALTH_DEGRADED, "b", "recovering"), ==, 0);
        g_assert_cmpint(diagnostics_health(&d), ==, HEALTH_DEGRADED);
        g_assert_cmpuint(n, ==, 3);

        g_assert_cmpint(diagnostics_problem(&d, HEALTH_GOOD, "a", NULL), ==, 0);
        g_assert_cmpint(diagnostics_problem(&d, HEALTH_GOOD, "never", NULL), ==, 0);
        g_assert_cmpuint(d.n_problems, ==, 1);
        g_assert_cmpstr(d.problems[0].name, ==, "b");
        g_assert_cmpstr(d.problems[0].text, ==, "recovering");
        g_assert_cmpint(diagnostics_problem(&d, HEALTH_GOOD, "b", NULL), ==, 0);
        g_assert_cmpint(diagnostics_health(&d), ==, HEALTH_GOOD);
        g_assert_cmpuint(n, ==, 5);
}

static void test_bounds(void) {
        AUTO_DIAGNOSTICS d = DIAGNOSTICS_NULL;
        static uint64_t value;

        for (unsigned i = 0; i <= DIAGNOSTICS_PROBLEMS_MAX; i++) {
                g_autofree char *name = g_strdup_printf("%u", i);

                g_assert_cmpint(diagnostics_problem(&d, HEALTH_DEGRADED, name, "bad"), ==, i < DIAGNOSTICS_PROBLEMS_MAX ? 0 : -ENOSPC);
        }
        g_assert_cmpint(diagnostics_problem(&d, HEALTH_FAILING, "3", "worse"), ==, 0);   /* known ones still change */
        g_assert_cmpint(diagnostics_health(&d), ==, HEALTH_FAILING);
        for (unsigned i = 0; i <= DIAGNOSTICS_COUNTERS_MAX; i++)
                g_assert_cmpint(diagnostics_count(&d, "n", &value), ==, i < DIAGNOSTICS_COUNTERS_MAX ? 0 : -ENOSPC);
}

static void test_names(void) {
        for (enum health health = HEALTH_GOOD; health < _HEALTH_N; health++)
                g_assert_nonnull(health_name(health));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        log_set_level(LOG_EMERG);
        g_test_add_func("/diagnostics/problems-come-change-and-go", test_problems);
        g_test_add_func("/diagnostics/there-are-bounds", test_bounds);
        g_test_add_func("/diagnostics/every-health-has-a-name", test_names);
        return g_test_run();
}
