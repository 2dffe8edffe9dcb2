/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which addresses are carried. */

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>

#include "ranges.h"

static struct in_addr address(const char *text) {
        struct in_addr in;

        g_assert_cmpint(inet_pton(AF_INET, text, &in), ==, 1);
        return in;
}

static void test_default(void) {
        struct ranges ranges;

        ranges_default(&ranges);
        g_assert_true(ranges_have(&ranges, address("10.0.0.1")));
        g_assert_true(ranges_have(&ranges, address("126.255.255.255")));
        g_assert_false(ranges_have(&ranges, address("127.0.0.1")));
        g_assert_false(ranges_have(&ranges, address("127.255.255.255")));
        g_assert_true(ranges_have(&ranges, address("128.0.0.0")));
        g_assert_true(ranges_have_listener(&ranges, address("0.0.0.0")));
        g_assert_false(ranges_have_listener(&ranges, address("127.0.0.1")));
}

static void test_all(void) {
        struct ranges ranges;

        ranges_all(&ranges);
        g_assert_true(ranges_have(&ranges, address("127.0.0.1")));
        g_assert_true(ranges_have(&ranges, address("0.0.0.0")));
}

static void test_list(void) {
        struct ranges ranges;

        g_assert_cmpint(ranges_parse(&ranges, "10.1.0.0/16,192.0.2.7,224.0.0.0/4"), ==, 0);
        g_assert_true(ranges_have(&ranges, address("10.1.255.255")));
        g_assert_false(ranges_have(&ranges, address("10.2.0.0")));
        g_assert_true(ranges_have(&ranges, address("192.0.2.7")));
        g_assert_false(ranges_have(&ranges, address("192.0.2.8")));
        g_assert_true(ranges_have(&ranges, address("239.1.2.3")));
        g_assert_false(ranges_have(&ranges, address("0.0.0.0")));
        g_assert_true(ranges_have_listener(&ranges, address("0.0.0.0")));
        g_assert_cmpint(ranges_parse(&ranges, "0.0.0.0/0"), ==, 0);
        g_assert_true(ranges_have(&ranges, address("255.255.255.255")));
}

static void test_what_is_no_list(void) {
        struct ranges ranges;

        for (const char *const *text = (const char *const[]) { "", ",", "10.0.0.1,", "10.0.0", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/-1",
                                                               "10.0.0.1/8x", "10.0.0.1/008", "::1", "host", "10.0.0.1 ", NULL }; *text; text++)
                g_assert_cmpint(ranges_parse(&ranges, *text), ==, -EINVAL);
}

static void test_the_longest(void) {
        g_autoptr(GString) text = g_string_new("10.0.0.1");
        struct ranges ranges;

        for (unsigned i = 1; i < RANGES_MAX; i++)
                g_string_append(text, ",10.0.0.2");
        g_assert_cmpint(ranges_parse(&ranges, text->str), ==, 0);
        g_string_append(text, ",10.0.0.3");
        g_assert_cmpint(ranges_parse(&ranges, text->str), ==, -EINVAL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/ranges/default", test_default);
        g_test_add_func("/ranges/all", test_all);
        g_test_add_func("/ranges/list", test_list);
        g_test_add_func("/ranges/what-is-no-list", test_what_is_no_list);
        g_test_add_func("/ranges/the-longest", test_the_longest);
        return g_test_run();
}
