/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Numbers in nodes. */

#include <errno.h>
#include <glib.h>

#include "nodes.h"

static void test_numbers(void) {
        static const char *const wrong[] = { NULL, "", " 1", "1 ", "-1", "+1", "0x1", "1a", "4294967296", "99999999999999999999999" };
        uint32_t number = 7;

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
                g_assert_cmpint(nodes_parse_number(wrong[i], &number), ==, -EINVAL);
        g_assert_cmpuint(number, ==, 7);
        g_assert_cmpint(nodes_parse_number("0", &number), ==, 0);
        g_assert_cmpuint(number, ==, 0);
        g_assert_cmpint(nodes_parse_number("4294967295", &number), ==, 0);
        g_assert_cmpuint(number, ==, UINT32_MAX);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/nodes/numbers", test_numbers);
        return g_test_run();
}
