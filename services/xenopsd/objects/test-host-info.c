/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>

#include <glib.h>

#include "host-info.h"

static void test_parse(void) {
        const char *text = "MemTotal:        8000 kB\nMemFree:  10 kB\nMemAvailable:    4000 kB\nBad: x\n";
        uint64_t bytes;

        g_assert_cmpint(host_info_parse(text, "MemTotal", &bytes), ==, 0);
        g_assert_cmpuint(bytes, ==, 8000 * 1024);
        g_assert_cmpint(host_info_parse(text, "MemAvailable", &bytes), ==, 0);
        g_assert_cmpuint(bytes, ==, 4000 * 1024);
        g_assert_cmpint(host_info_parse(text, "Mem", &bytes), ==, -ENOENT);
        g_assert_cmpint(host_info_parse(text, "Bad", &bytes), ==, -EBADMSG);
        g_assert_cmpint(host_info_parse("", "MemTotal", &bytes), ==, -ENOENT);
}

static void test_this_host(void) {
        struct xcp_host_info info;

        g_assert_cmpint(host_info_get(&info), ==, 0);
        g_assert_cmpuint(info.memory, >, info.memory_free);
        g_assert_cmpuint(info.cpus, >=, 1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/host-info/parse", test_parse);
        g_test_add_func("/host-info/this-host", test_this_host);
        return g_test_run();
}
