/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "pvcalls-rules.h"

#include <string.h>

/* What is read is written as it was, with nothing that goes without saying. */
static void test_there_and_back(void) {
        static const char *const lines[] = {
                "allow", "deny", "allow connect", "deny bind inet", "allow inet 10.0.0.0/8", "allow connect inet6 fd00::/8 port 443",
                "allow connect inet 10.0.0.0/8 port 443 rate 100", "allow bind inet 0.0.0.0 port 8080 to 127.0.0.1 port 18080",
                "allow port 1-1024 to port 2001", "allow connect unix /run/web", "allow unix @web", "allow connect inet datagram port 53", "allow port 80 to 127.0.0.1 rate 1",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(GVariant) rules = pvcalls_rules_parse(lines[i], &error), rule = NULL;
                g_autofree char *text = NULL;

                g_assert_no_error(error);
                g_assert_cmpuint(g_variant_n_children(rules), ==, 1);
                rule = g_variant_get_child_value(rules, 0);
                text = pvcalls_rule_format(rule);
                g_assert_cmpstr(text, ==, lines[i]);
        }
}

static void test_comments_and_blank_lines_are_no_rules(void) {
        g_autoptr(GVariant) rules = pvcalls_rules_parse("# a comment\n\n  \t\r\n allow  any # all of it\r\n", NULL);

        g_assert_cmpuint(g_variant_n_children(rules), ==, 1);
}

static void test_mistakes_name_their_line(void) {
        static const char *const texts[] = {
                "permit", "allow connect port", "allow port x", "allow port 70000", "allow port 1-x", "allow to", "allow to port",
                "allow to port 70000", "allow rate", "allow rate -1", "allow rate 5000000000", "allow connect connect", "allow 10.0.0.0/8",
                "allow port 1 inet", "\xff",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *text = g_strconcat("allow\n", texts[i], NULL);

                g_assert_null(pvcalls_rules_parse(text, &error));
                g_assert_nonnull(error);
                if (g_utf8_validate(texts[i], -1, NULL))
                        g_assert_true(g_str_has_prefix(error->message, "line 2: "));
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pvcalls-rules/there-and-back", test_there_and_back);
        g_test_add_func("/pvcalls-rules/comments-and-blank-lines-are-no-rules", test_comments_and_blank_lines_are_no_rules);
        g_test_add_func("/pvcalls-rules/mistakes-name-their-line", test_mistakes_name_their_line);
        return g_test_run();
}
