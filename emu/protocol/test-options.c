/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is a number and a limit on a command line, and what is not. */

#include <glib.h>

#include "options.h"

static void test_numbers(void) {
        static const char *const bad[] = { "", " 1", "+1", "-1", "1 ", "0x1", "1.0", "101", "99999999999999999999999" };
        uint32_t number = 7;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_false(option_parse_number(bad[i], 100, &number));
        g_assert_cmpuint(number, ==, 7);

        g_assert_true(option_parse_number("100", 100, &number));
        g_assert_cmpuint(number, ==, 100);
        g_assert_true(option_parse_number("4294967295", UINT32_MAX, &number));
        g_assert_cmpuint(number, ==, UINT32_MAX);
        g_assert_false(option_parse_number("4294967296", UINT32_MAX, &number));
}

static void test_limits(void) {
        static const char *const bad[] = { "", "ports", "ports=", "ports=0", "ports=-1", "port=1", "ports=1x", "Ports=1", "ports=4294967296" };
        struct emu_limits limits = {};

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_false(option_parse_limit(bad[i], &limits));
        g_assert_cmpuint(limits.ports, ==, 0);

        g_assert_true(option_parse_limit("handles=1", &limits));
        g_assert_true(option_parse_limit("ports=2", &limits));
        g_assert_true(option_parse_limit("shared-pages=3", &limits));
        g_assert_true(option_parse_limit("grants=4", &limits));
        g_assert_true(option_parse_limit("maptrack=5", &limits));
        g_assert_cmpuint(limits.handles, ==, 1);
        g_assert_cmpuint(limits.ports, ==, 2);
        g_assert_cmpuint(limits.shared_pages, ==, 3);
        g_assert_cmpuint(limits.grants, ==, 4);
        g_assert_cmpuint(limits.maptrack, ==, 5);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/options/numbers-are-digits-up-to-the-maximum", test_numbers);
        g_test_add_func("/options/limits-have-a-name-and-a-number-from-1", test_limits);
        return g_test_run();
}
