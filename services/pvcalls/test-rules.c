/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "rules.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "cleanup.h"
#include "idl-errors.h"

static const struct xcp_pvcalls_rule any = {
        .action = XCP_POLICY_ACTION_ALLOW, .call = XCP_PVCALLS_CALL_ANY, .family = XCP_ADDRESS_FAMILY_ANY,
        .type = XCP_PVCALLS_SOCKET_TYPE_ANY, .port_last = UINT16_MAX,
};

static void check_text(struct xcp_pvcalls_rule rule, const char *expected) {
        AUTO_FREE char *text = NULL;
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;

        g_assert_cmpint(rules_format(&rule, 1, &text, &error), ==, 0);
        g_assert_cmpstr(text, ==, expected);
}

static void test_text(void) {
        struct xcp_pvcalls_rule rule = any;

        check_text(rule, "allow\n");
        rule.family = XCP_ADDRESS_FAMILY_INET;
        rule.call = XCP_PVCALLS_CALL_CONNECT;
        check_text(rule, "allow connect inet\n");
        rule.family = XCP_ADDRESS_FAMILY_ANY;
        rule.prefix = "10.0.0.0/8";
        rule.port_first = rule.port_last = 443;
        rule.has_per_second = true;
        rule.per_second = 100;
        check_text(rule, "allow connect inet 10.0.0.0/8 port 443-443 rate 100\n");
        rule.call = XCP_PVCALLS_CALL_BIND;
        rule.to_address = "127.0.0.1";
        rule.has_to_port = true;
        rule.to_port = 18080;
        check_text(rule, "allow bind inet 10.0.0.0/8 port 443-443 to 127.0.0.1 port 18080 rate 100\n");
        check_text((struct xcp_pvcalls_rule) { .action = XCP_POLICY_ACTION_DENY, .call = XCP_PVCALLS_CALL_ANY,
                                               .family = XCP_ADDRESS_FAMILY_ANY, .type = XCP_PVCALLS_SOCKET_TYPE_DATAGRAM,
                                               .port_last = 80 }, "deny datagram port 0-80\n");
}

static void check_refused(struct xcp_pvcalls_rule rule, const char *where) {
        const struct xcp_pvcalls_rule rules[] = { any, any, rule };
        AUTO_FREE char *text = NULL;
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;

        g_assert_cmpint(rules_format(rules, 3, &text, &error), ==, -EINVAL);
        g_assert_null(text);
        g_assert_cmpstr(error.name, ==, IDL_ERROR_INVALID_ARGUMENT);
        g_assert_true(g_str_has_prefix(error.message, where));
        g_assert_cmpuint(strlen(error.message), <, 600);
}

static void test_mistakes_name_their_rule(void) {
        g_autofree char *long_word = g_strnfill(10000, 'x');
        struct xcp_pvcalls_rule rule = any;

        rule.prefix = "10.0.0.0/33";
        check_refused(rule, "policy[2]: 'allow inet 10.0.0.0/33' cannot be: ");
        rule.prefix = long_word;
        check_refused(rule, "policy[2]: 'allow inet xxx");
        rule.prefix = "10.0.0.0/8 port 1\nallow";
        check_refused(rule, "policy[2].prefix: ");
        rule.prefix = "10.0.0.0/8#";
        check_refused(rule, "policy[2].prefix: ");
        rule.prefix = "";
        check_refused(rule, "policy[2].prefix: ");
        rule = any;
        rule.to_address = "1.2.3.4 rate 7";
        check_refused(rule, "policy[2].to_address: ");
        rule = any;
        rule.port_first = 90;
        rule.port_last = 80;
        check_refused(rule, "policy[2]: 'allow port 90-80' cannot be: ");
        rule = any;
        rule.has_per_second = true;
        check_refused(rule, "policy[2]: 'allow rate 0' cannot be: ");
}

static void test_too_many(void) {
        g_autofree struct xcp_pvcalls_rule *rules = g_new(struct xcp_pvcalls_rule, RULES_MAX + 1);
        AUTO_FREE char *text = NULL;
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;

        for (size_t i = 0; i <= RULES_MAX; i++)
                rules[i] = any;
        g_assert_cmpint(rules_format(rules, RULES_MAX, &text, &error), ==, 0);
        g_assert_cmpint(rules_format(rules, RULES_MAX + 1, &text, &error), ==, -E2BIG);
        g_assert_cmpstr(error.name, ==, IDL_ERROR_LIMIT_EXCEEDED);
}

static void test_check(void) {
        static const char policy[] = "deny inet 10.0.0.0/8\nallow connect port 80\n";
        bool allowed;
        int32_t rule;

        g_assert_cmpint(rules_check(policy, XCP_PVCALLS_CALL_CONNECT, XCP_ADDRESS_FAMILY_INET, "10.1.1.1", 80, &allowed, &rule, NULL), ==, 0);
        g_assert_false(allowed);
        g_assert_cmpint(rule, ==, 0);
        g_assert_cmpint(rules_check(policy, XCP_PVCALLS_CALL_CONNECT, XCP_ADDRESS_FAMILY_INET, "11.1.1.1", 80, &allowed, &rule, NULL), ==, 0);
        g_assert_true(allowed);
        g_assert_cmpint(rule, ==, 1);
        g_assert_cmpint(rules_check(policy, XCP_PVCALLS_CALL_BIND, XCP_ADDRESS_FAMILY_INET, "11.1.1.1", 80, &allowed, &rule, NULL), ==, 0);
        g_assert_false(allowed);
        g_assert_cmpint(rule, ==, -1);
        g_assert_cmpint(rules_check(policy, XCP_PVCALLS_CALL_ANY, XCP_ADDRESS_FAMILY_INET, "11.1.1.1", 80, &allowed, &rule, NULL), ==, -EINVAL);
        g_assert_cmpint(rules_check(policy, XCP_PVCALLS_CALL_BIND, XCP_ADDRESS_FAMILY_INET, "eleven", 80, &allowed, &rule, NULL), ==, -EINVAL);
}

static void test_check_families(void) {
        static const char policy[] = "allow unix /run/web\nallow inet6 fd00::/8\n";
        bool allowed;
        int32_t rule;

        g_assert_cmpint(rules_check(policy, XCP_PVCALLS_CALL_CONNECT, XCP_ADDRESS_FAMILY_UNIX, "/run/web/a", 0, &allowed, &rule, NULL), ==, 0);
        g_assert_cmpint(rule, ==, 0);
        g_assert_cmpint(rules_check(policy, XCP_PVCALLS_CALL_CONNECT, XCP_ADDRESS_FAMILY_UNIX, "@a", 0, &allowed, &rule, NULL), ==, 0);
        g_assert_cmpint(rule, ==, -1);
        g_assert_cmpint(rules_check(policy, XCP_PVCALLS_CALL_CONNECT, XCP_ADDRESS_FAMILY_INET6, "fd00::1", 1, &allowed, &rule, NULL), ==, 0);
        g_assert_cmpint(rule, ==, 1);
        g_assert_cmpint(rules_check(policy, XCP_PVCALLS_CALL_CONNECT, XCP_ADDRESS_FAMILY_INET6, "1.2.3.4", 1, &allowed, &rule, NULL), ==, -EINVAL);
        g_assert_cmpint(rules_check(policy, XCP_PVCALLS_CALL_CONNECT, XCP_ADDRESS_FAMILY_UNIX, "run", 1, &allowed, &rule, NULL), ==, -EINVAL);
        g_assert_cmpint(rules_check(policy, XCP_PVCALLS_CALL_CONNECT, XCP_ADDRESS_FAMILY_ANY, "::", 1, &allowed, &rule, NULL), ==, -EINVAL);
}

static void test_limits(void) {
        struct xcp_pvcalls_limits limits = { .sockets = 0, .sockets_per_second = 1, .max_page_order = 1 };

        g_assert_cmpint(rules_check_limits(&limits, NULL), ==, 0);
        limits.has_bytes_per_second = true;
        g_assert_cmpint(rules_check_limits(&limits, NULL), ==, -EINVAL);
        limits.bytes_per_second = UINT32_MAX;
        g_assert_cmpint(rules_check_limits(&limits, NULL), ==, 0);
        limits.bytes_per_second++;
        g_assert_cmpint(rules_check_limits(&limits, NULL), ==, -EINVAL);
        limits.has_bytes_per_second = false;
        limits.max_page_order = 10;
        g_assert_cmpint(rules_check_limits(&limits, NULL), ==, -EINVAL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pvcalls-rules/text", test_text);
        g_test_add_func("/pvcalls-rules/mistakes-name-their-rule", test_mistakes_name_their_rule);
        g_test_add_func("/pvcalls-rules/too-many", test_too_many);
        g_test_add_func("/pvcalls-rules/check", test_check);
        g_test_add_func("/pvcalls-rules/check-families", test_check_families);
        g_test_add_func("/pvcalls-rules/limits", test_limits);
        return g_test_run();
}
