/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The configuration for dbus-daemon that a policy gives. That dbus-daemon does with it what is meant, the integration tests show. */

#include <glib.h>
#include <string.h>

#include "daemon-config.h"

static void fail_missing(const struct grant *grant, void *userdata) {
        g_assert_not_reached();
}

static char *make(const char *text, const char *const *service_dirs) {
        AUTO_POLICY policy = {};
        struct policy_error error;
        char *config;

        g_assert_cmpint(policy_parse(&policy, text, strlen(text), &error), ==, 0);
        g_assert_cmpint(policy_resolve(&policy, 1000, fail_missing, NULL), ==, 0);
        g_assert_cmpint(daemon_config_make(&policy, service_dirs, &config), ==, 0);
        return config;
}

static const char *const no_dirs[] = { NULL };

static void assert_has(const char *config, const char *text) {
        if (!strstr(config, text))
                g_error("no %s in\n%s", text, config);
}

static void test_rules(void) {
        g_autofree char *config = make("allow own a.b to owner\n"
                                       "allow own a.b.* to user 7\n"
                                       "allow call a.b path /c interface d.e member F to group 8\n"
                                       "allow hear * interface d.e to user 7\n",
                                       no_dirs);

        assert_has(config, "<policy user=\"1000\">\n    <allow own=\"a.b\"/>\n");
        assert_has(config, "<policy user=\"7\">\n    <allow own_prefix=\"a.b\"/>\n");
        assert_has(config, "<policy group=\"8\">\n    <allow send_type=\"method_call\" send_destination=\"a.b\" send_path=\"/c\" "
                           "send_interface=\"d.e\" send_member=\"F\"/>\n");
        assert_has(config, "<policy user=\"7\">\n    <allow receive_type=\"signal\" receive_interface=\"d.e\"/>\n");
}

/* dbus-daemon takes the last rule that matches. */
static void test_everyones_grants_are_between_preamble_and_guard(void) {
        g_autofree char *config = make("allow call * to everyone\n", no_dirs);
        const char *preamble = strstr(config, "<deny send_type=\"method_call\"/>");
        const char *grant = strstr(config, "<allow send_type=\"method_call\"/>");
        const char *guard = strstr(config, "send_member=\"UpdateActivationEnvironment\"/>");

        g_assert_true(preamble && grant && guard);
        g_assert_true(preamble < grant && grant < guard);
}

static void test_limits(void) {
        g_autofree char *config = make("limit queued-bytes-per-connection 1K\nlimit user-bytes 77\n", no_dirs);

        assert_has(config, "<limit name=\"max_incoming_bytes\">1024</limit>\n  <limit name=\"max_outgoing_bytes\">1024</limit>\n");
        g_assert_null(strstr(config, ">77<"));
}

static void test_directories_are_escaped(void) {
        static const char *const dirs[] = { "/a&b<c>\"d", "/e", NULL };
        g_autofree char *config = make("", dirs);

        assert_has(config, "<servicedir>/a&amp;b&lt;c&gt;&quot;d</servicedir>\n  <servicedir>/e</servicedir>\n");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/daemon-config/rules", test_rules);
        g_test_add_func("/daemon-config/everyones-grants-are-between-preamble-and-guard",
                        test_everyones_grants_are_between_preamble_and_guard);
        g_test_add_func("/daemon-config/limits", test_limits);
        g_test_add_func("/daemon-config/directories-are-escaped", test_directories_are_escaped);
        return g_test_run();
}
