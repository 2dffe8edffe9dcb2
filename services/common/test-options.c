/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Options: where the defaults come from, and what is refused. */

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "options.h"

#define AUTO_OPTIONS __attribute__((cleanup(options_done))) struct options
#define ARGUMENTS(...) ((char *[]) { (char *) "xcp-example", __VA_ARGS__ __VA_OPT__(, ) NULL })

static const struct options_environment installed = {};

static int parse(struct options *options, const struct options_environment *environment, char **argv) {
        return options_parse(options, "example", "It is an example.", environment, (int) g_strv_length(argv), argv);
}

static void assert_defaults(const struct options_environment *environment, const char *bus_address, const char *state_dir) {
        AUTO_OPTIONS options;

        g_assert_cmpint(parse(&options, environment, ARGUMENTS()), ==, 0);
        g_assert_cmpstr(options.bus_address, ==, bus_address);
        g_assert_cmpstr(options.state_dir, ==, state_dir);
        g_assert_cmpint(options.log_level, ==, LOG_INFO);
        g_assert_cmpint(options.ready_fd, ==, -1);
}

static void test_defaults(void) {
        assert_defaults(&installed, "unix:path=/run/xcpbus/dom0/bus", "/var/lib/xcpbus/example");
        assert_defaults(&(struct options_environment) { .run_dir = "/r" }, "unix:path=/r/dom0/bus", "/r/dom0/state/example");
        assert_defaults(&(struct options_environment) { .run_dir = "" }, "unix:path=/run/xcpbus/dom0/bus",
                        "/var/lib/xcpbus/example");
        assert_defaults(&(struct options_environment) { .in_tree = true },
                        "unix:path=" OPTIONS_SOURCE_ROOT "/build/run/dom0/bus", OPTIONS_SOURCE_ROOT "/build/run/dom0/state/example");
        assert_defaults(&(struct options_environment) { .state_directory = "/s:/t", .run_dir = "/r" }, "unix:path=/r/dom0/bus", "/s");
}

static void test_started_by_the_bus(void) {
        assert_defaults(&(struct options_environment) { .bus_address = "unix:path=/r/dom7/bus", .starter_address = "tcp:",
                                                        .run_dir = "/r" },
                        "unix:path=/r/dom7/bus", "/r/dom7/state/example");
        assert_defaults(&(struct options_environment) { .starter_address = "unix:path=/r/dom7/bus", .in_tree = true },
                        "unix:path=/r/dom7/bus", "/r/dom7/state/example");
        assert_defaults(&(struct options_environment) { .bus_address = "unix:path=/r/dom7/bus" }, "unix:path=/r/dom7/bus",
                        "/var/lib/xcpbus/example");
        assert_defaults(&(struct options_environment) { .bus_address = "unix:abstract=x", .run_dir = "/r" }, "unix:abstract=x",
                        "/r/dom0/state/example");
        assert_defaults(&(struct options_environment) { .bus_address = "unix:path=/a%2c/bus", .run_dir = "/r" }, "unix:path=/a%2c/bus",
                        "/r/dom0/state/example");
}

static void test_odd_path(void) {
        assert_defaults(&(struct options_environment) { .run_dir = "/with space,comma" }, "unix:path=/with%20space%2ccomma/dom0/bus",
                        "/with space,comma/dom0/state/example");
}

static void test_given(void) {
        AUTO_OPTIONS options;

        g_assert_cmpint(parse(&options, &(struct options_environment) { .bus_address = "unix:a", .state_directory = "/s" },
                              ARGUMENTS("--bus-address", "unix:b", "--state-dir=/d", "--log-level", "debug", "--ready-fd", "2",
                                        "--stop-timeout", "3", "--bus-name", "org.xen.xcp.second", "--bus-address", "unix:c")),
                        ==, 0);
        g_assert_cmpstr(options.bus_address, ==, "unix:c");
        g_assert_cmpstr(options.bus_name, ==, "org.xen.xcp.second");
        g_assert_cmpstr(options.state_dir, ==, "/d");
        g_assert_cmpint(options.log_level, ==, LOG_DEBUG);
        g_assert_cmpint(options.ready_fd, ==, 2);
        g_assert_cmpuint(options.stop_timeout_usec, ==, 3000000);
}

static void test_refused(void) {
        char **refused[] = {
                ARGUMENTS("--log-level", "loud"), ARGUMENTS("--log-level"),
                ARGUMENTS("--ready-fd", "987654"), ARGUMENTS("--ready-fd", "-1"), ARGUMENTS("--ready-fd", "2x"),
                ARGUMENTS("--ready-fd", ""),
                ARGUMENTS("--stop-timeout", "3601"), ARGUMENTS("--stop-timeout", " 1"),
                ARGUMENTS("--stop-timeout", "99999999999999999999"),
                ARGUMENTS("--bus-address", ""), ARGUMENTS("--state-dir", ""), ARGUMENTS("--bus-name", ""),
                ARGUMENTS("--bus-name", "nodots"), ARGUMENTS("--bus-name", ":1.2"), ARGUMENTS("--unknown"), ARGUMENTS("word"),
        };

        for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
                AUTO_OPTIONS options;

                if (!g_test_verbose())
                        opterr = 0;
                g_assert_cmpint(parse(&options, &installed, refused[i]), ==, -EINVAL);
        }
}

static void test_shown(void) {
        AUTO_OPTIONS help, version;
        int saved = dup(STDOUT_FILENO);

        g_assert_true(freopen("/dev/null", "w", stdout));
        g_assert_cmpint(parse(&help, &installed, ARGUMENTS("--help")), ==, OPTIONS_SHOWN);
        g_assert_cmpint(parse(&version, &installed, ARGUMENTS("--version")), ==, OPTIONS_SHOWN);
        fflush(stdout);
        dup2(saved, STDOUT_FILENO);
        close(saved);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/options/defaults-follow-the-environment", test_defaults);
        g_test_add_func("/options/a-service-that-the-bus-started-knows-its-domain", test_started_by_the_bus);
        g_test_add_func("/options/odd-bytes-of-a-path-are-escaped", test_odd_path);
        g_test_add_func("/options/what-is-given-counts-and-the-last-most", test_given);
        g_test_add_func("/options/what-makes-no-sense-is-refused", test_refused);
        g_test_add_func("/options/help-and-version-end-it", test_shown);
        return g_test_run();
}
