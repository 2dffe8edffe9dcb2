/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Numbers and states in nodes. */

#include <errno.h>
#include <glib.h>

#include "nodes.h"
#include "xenbus.h"

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

static void test_states(void) {
        static const char *const nonsense[] = { "", "9", "-1", "10", "44", "x", "4 ", " 4", "4\n" };

        for (int state = 0; state < _XENBUS_N; state++)
                g_assert_cmpint(xenbus_state_parse((char[]) { (char) ('0' + state), '\0' }), ==, state);
        for (size_t i = 0; i < G_N_ELEMENTS(nonsense); i++)
                g_assert_cmpint(xenbus_state_parse(nonsense[i]), ==, XENBUS_UNKNOWN);
        g_assert_cmpint(xenbus_state_parse(NULL), ==, XENBUS_UNKNOWN);
        g_assert_cmpstr(xenbus_state_name(XENBUS_INIT_WAIT), ==, "InitWait");
        g_assert_cmpstr(xenbus_state_name(_XENBUS_N), ==, "Unknown");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/nodes/numbers", test_numbers);
        g_test_add_func("/nodes/states", test_states);
        return g_test_run();
}
