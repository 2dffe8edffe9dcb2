/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which addresses are carried. */

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "ranges.h"

/* An address of IPv4 or IPv6, a path, or an abstract name with an @. */
static struct pvcalls_name *address(const char *text) {
        static struct pvcalls_name name;

        if (text[0] == '/' || text[0] == '@') {
                pvcalls_name_init(&name, AF_UNIX);
                name.size += (socklen_t) (strlen(text) + (text[0] == '/'));
                strcpy(name.local.sun_path, text);
                if (text[0] == '@')
                        name.local.sun_path[0] = '\0';
        } else if (strchr(text, ':')) {
                pvcalls_name_init(&name, AF_INET6);
                g_assert_cmpint(inet_pton(AF_INET6, text, &name.inet6.sin6_addr), ==, 1);
        } else {
                pvcalls_name_init(&name, AF_INET);
                g_assert_cmpint(inet_pton(AF_INET, text, &name.inet.sin_addr), ==, 1);
        }
        return &name;
}

static void test_default(void) {
        struct ranges ranges = {};

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
        struct ranges ranges = {};

        ranges_all(&ranges);
        g_assert_true(ranges_have(&ranges, address("127.0.0.1")));
        g_assert_true(ranges_have(&ranges, address("0.0.0.0")));
}

static void test_list(void) {
        struct ranges ranges = {};

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
        struct ranges ranges = {};

        for (const char *const *text = (const char *const[]) { "", ",", "10.0.0.1,", "10.0.0", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/-1",
                                                               "10.0.0.1/8x", "10.0.0.1/008", "host", "10.0.0.1 ", ":", "::1/129",
                                                               "10.0.0.1/1000", "fe80::%lo", NULL }; *text; text++)
                g_assert_cmpint(ranges_parse(&ranges, *text), ==, -EINVAL);
}

static void test_v6(void) {
        struct ranges ranges = {};

        ranges_default(&ranges);
        g_assert_false(ranges_have(&ranges, address("2001:db8::1")));
        g_assert_false(ranges_have_listener(&ranges, address("::")));
        g_assert_cmpint(ranges_add_v6(&ranges), ==, 0);
        g_assert_true(ranges_have(&ranges, address("2001:db8::1")));
        g_assert_true(ranges_have_listener(&ranges, address("::")));
        g_assert_false(ranges_have(&ranges, address("::1")));
        g_assert_false(ranges_have(&ranges, address("fe80::1")));
        g_assert_false(ranges_have(&ranges, address("127.0.0.1")));
        ranges_all(&ranges);
        g_assert_cmpint(ranges_add_v6(&ranges), ==, 0);
        g_assert_true(ranges_have(&ranges, address("::1")));
        g_assert_cmpint(ranges_parse(&ranges, "2001:db8::/33,10.0.0.0/8,fd00::7"), ==, 0);
        g_assert_true(ranges_have(&ranges, address("2001:db8:7fff::1")));
        g_assert_false(ranges_have(&ranges, address("2001:db8:8000::1")));
        g_assert_true(ranges_have(&ranges, address("fd00::7")));
        g_assert_false(ranges_have(&ranges, address("fd00::8")));
        g_assert_true(ranges_have(&ranges, address("10.9.9.9")));
        g_assert_false(ranges_have(&ranges, address("11.0.0.0")));
}

static void test_paths(void) {
        struct ranges ranges = {};

        ranges_all(&ranges);
        g_assert_false(ranges_have(&ranges, address("/run/x")));
        g_assert_cmpint(ranges_add_paths(&ranges, "/run/there,@bus,/srv/"), ==, 0);
        g_assert_cmpint(ranges_add_paths(&ranges, "/tmp/s"), ==, 0);
        for (const char *const *text = (const char *const[]) { "/run/there", "/run/there/s", "@bus", "/srv/a/b", "/tmp/s", NULL }; *text; text++)
                g_assert_true(ranges_have(&ranges, address(*text)));
        for (const char *const *text = (const char *const[]) { "/run/ther", "/run/theres", "@bus2", "@bu", "/bus", "/sr", "/tmp", NULL }; *text; text++)
                g_assert_false(ranges_have(&ranges, address(*text)));
        for (const char *const *text = (const char *const[]) { "", "x", "@", "/a,", "/a,b", NULL }; *text; text++)
                g_assert_cmpint(ranges_add_paths(&(struct ranges) {}, *text), ==, -EINVAL);
        g_assert_cmpint(ranges_add_paths(&ranges, "/"), ==, 0);
        g_assert_true(ranges_have(&ranges, address("/anything")));
        g_assert_false(ranges_have(&ranges, address("@anything")));
}

static void test_the_longest(void) {
        g_autoptr(GString) text = g_string_new("10.0.0.1");
        struct ranges ranges = {};

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
        g_test_add_func("/ranges/v6", test_v6);
        g_test_add_func("/ranges/paths", test_paths);
        g_test_add_func("/ranges/the-longest", test_the_longest);
        return g_test_run();
}
