/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The command line. */

#include <errno.h>
#include <getopt.h>
#include <glib.h>
#include <stdint.h>

#include "settings.h"

#define PARSE(settings, ...) settings_parse(settings, G_N_ELEMENTS(((char *[]) { "x", __VA_ARGS__ })), (char *[]) { "x", __VA_ARGS__, NULL })

static void test_defaults(void) {
        struct settings settings;

        optind = 0;
        g_assert_cmpint(PARSE(&settings, "--domain", "7"), ==, 0);
        g_assert_cmpuint(settings.domid, ==, 7);
        g_assert_cmpuint(settings.device, ==, 0);
        g_assert_null(settings.policy);
        g_assert_true(settings.sandbox);
        g_assert_cmpstr(settings.user, ==, "nobody");
        g_assert_cmpint(settings.ready_fd, ==, -1);
        g_assert_cmpuint(settings.limits.sockets, ==, 1024);
        g_assert_cmpuint(settings.limits.max_page_order, ==, 9);
        g_assert_null(settings.join);
        g_assert_cmpuint(settings.spin_usec, ==, 50);
        g_assert_cmpint(settings.io, ==, SETTINGS_IO_AUTO);
        optind = 0;
        g_assert_cmpint(PARSE(&settings, "--domain", "7", "--join", "a.b-C_9", "--spin", "0", "--io", "uring"), ==, 0);
        g_assert_cmpstr(settings.join, ==, "a.b-C_9");
        g_assert_cmpuint(settings.spin_usec, ==, 0);
        g_assert_cmpint(settings.io, ==, SETTINGS_IO_URING);
}

static void test_limits(void) {
        static const char *const wrong[] = { "",          "sockets",      "sockets=",     "sockets=x",          "sockets=-1",
                                             "sockets=1x", "sockets=32769", "=1",           "sockets-per-second=0", "bytes-per-second=4294967296",
                                             "max-page-order=0", "max-page-order=10", "socket=1" };
        struct limits limits = {};

        g_assert_cmpint(limits_set(&limits, "sockets=5"), ==, 0);
        g_assert_cmpint(limits_set(&limits, "sockets-per-second=6"), ==, 0);
        g_assert_cmpint(limits_set(&limits, "bytes-per-second=7"), ==, 0);
        g_assert_cmpint(limits_set(&limits, "max-page-order=8"), ==, 0);
        g_assert_cmpuint(limits.sockets, ==, 5);
        g_assert_cmpuint(limits.sockets_per_second, ==, 6);
        g_assert_cmpuint(limits.bytes_per_second, ==, 7);
        g_assert_cmpuint(limits.max_page_order, ==, 8);
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
                g_assert_cmpint(limits_set(&limits, wrong[i]), ==, -EINVAL);
        g_assert_cmpuint(limits.sockets, ==, 5);
}

/* In a process of its own, which says on standard error what is wrong. */
static void test_mistakes(void) {
        static const char *const wrong[][2] = { { "--domain", "32752" }, { "--domain", "-1" }, { "--domain", "one" }, { "--domain", "" },
                                                { "--limit", "x=1" }, { "--log-level", "loud" }, { "--ready-fd", "x" }, { "--io", "fast" },
                                                { "--join", "" }, { "--join", "a/b" }, { "--join", "abcdefghijklmnopqrstuvwxy" }, { "--spin", "1001" }, { "word", "word" } };

        if (g_test_subprocess()) {
                struct settings settings;

                for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                        optind = 0;
                        g_assert_cmpint(PARSE(&settings, "--domain", "1", (char *) wrong[i][0], (char *) wrong[i][1]), ==, -EINVAL);
                }
                optind = 0;
                g_assert_cmpint(PARSE(&settings, "--policy", "file"), ==, -EINVAL);
                return;
        }
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        g_test_trap_assert_stderr("*32752: is no domain's id*loud: is none of*which --domain?*");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/settings/defaults", test_defaults);
        g_test_add_func("/settings/limits", test_limits);
        g_test_add_func("/settings/mistakes", test_mistakes);
        return g_test_run();
}
