/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Policy files: what they mean, and where their mistakes are. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "policy.h"

static void parse(struct policy *policy, const char *text) {
        struct policy_error error;
        int r = policy_parse(policy, text, strlen(text), &error);

        if (r < 0)
                g_error("%u:%u: %s", error.line, error.column, error.text);
        g_assert_cmpint(r, ==, 0);
}

static void test_grants(void) {
        AUTO_POLICY policy = {};
        const struct grant *g;

        parse(&policy, "# all that can be said\n"
                       "\n"
                       "allow own org.xen.xcp.a to owner # and why\n"
                       "\tallow  own org.xen.xcp.* to user xcp-storage\r\n"
                       "allow call org.xen.xcp.b path /b interface b.c member D to group 12 everyone\n"
                       "allow hear * to everyone");
        g = policy.grants;
        g_assert_cmpuint(policy.n_grants, ==, 5);
        g_assert_cmpstr(g[0].name, ==, "org.xen.xcp.a");
        g_assert_true(g[0].kind == GRANT_OWN && g[0].subject == SUBJECT_OWNER && !g[0].below && g[0].line == 3);
        g_assert_cmpstr(g[1].name, ==, "org.xen.xcp");
        g_assert_true(g[1].subject == SUBJECT_USER && g[1].below);
        g_assert_cmpstr(g[1].who, ==, "xcp-storage");
        g_assert_true(g[2].kind == GRANT_CALL && g[2].subject == SUBJECT_GROUP);
        g_assert_cmpstr(g[2].path, ==, "/b");
        g_assert_cmpstr(g[2].interface, ==, "b.c");
        g_assert_cmpstr(g[2].member, ==, "D");
        g_assert_true(g[3].subject == SUBJECT_EVERYONE);
        g_assert_cmpstr(g[3].member, ==, "D");
        g_assert_true(g[4].kind == GRANT_HEAR);
        g_assert_null(g[4].name);
}

static void test_limits(void) {
        AUTO_POLICY policy = {};

        g_assert_cmpstr(policy_missing_limit(&policy), ==, "message-bytes");
        for (int i = 0; i < _LIMIT_N; i++) {
                g_autofree char *text = g_strdup_printf("limit %s 100\n", limit_kinds[i].name);

                parse(&policy, text);
                g_assert_cmpuint(policy.limits[i], ==, 100);
        }
        g_assert_null(policy_missing_limit(&policy));
        parse(&policy, "limit message-bytes 128M\nlimit user-bytes 1G\nlimit names-per-connection 2K\nlimit user-bytes 4294967295");
        g_assert_cmpuint(policy.limits[LIMIT_MESSAGE_BYTES], ==, 1 << 27);
        g_assert_cmpuint(policy.limits[LIMIT_NAMES], ==, 2048);
        g_assert_cmpuint(policy.limits[LIMIT_USER_BYTES], ==, UINT32_MAX);      /* the last one counts */
}

static void assert_mistake(const char *text, size_t n, unsigned line, unsigned column, const char *said) {
        AUTO_POLICY policy = {};
        struct policy_error error = {};

        g_assert_cmpint(policy_parse(&policy, text, n, &error), ==, -EINVAL);
        g_test_message("%u:%u: %s", error.line, error.column, error.text);
        g_assert_cmpuint(error.line, ==, line);
        g_assert_cmpuint(error.column, ==, column);
        g_assert_nonnull(strstr(error.text, said));
}

static void test_mistakes(void) {
        static const struct {
                const char *text;
                unsigned line, column;
                const char *said;
        } mistakes[] = {
                { "permit", 1, 1, "begins with allow or limit, not with 'permit'" },
                { "# deny\n\n  deny own a.b to everyone", 3, 3, "there is no deny" },
                { "allow", 1, 6, "the line ends where own, call or hear should be" },
                { "allow ", 1, 7, "the line ends" },
                { "allow eat a.b to owner", 1, 7, "'eat' is none of" },
                { "allow own", 1, 10, "a bus name" },
                { "allow own * to owner", 1, 11, "every service" },
                { "allow own .* to owner", 1, 11, "'.*' is not a bus name" },
                { "allow own a to owner", 1, 11, "'a' is not a bus name" },
                { "allow own :1.5 to owner", 1, 11, "not a bus name" },
                { "allow own a.b.** to owner", 1, 11, "not a bus name" },
                { "allow call a.b.* to owner", 1, 16, "only names to own can end in .*" },
                { "allow own a.b interface a.b to owner", 1, 15, "'interface' stands where 'to' should be" },
                { "allow call a.b owner", 1, 16, "'owner' stands where 'to', path, interface or member should be" },
                { "allow call a.b", 1, 15, "to whom" },
                { "allow call a.b to", 1, 18, "the line ends where everyone, owner" },
                { "allow call a.b to owner root", 1, 25, "'root' is none of" },
                { "allow call a.b to user", 1, 23, "a user's name" },
                { "allow call a.b to user a:b", 1, 24, "'a:b' is not a user's name" },
                { "allow call a.b to group <x>", 1, 25, "not a group's name" },
                { "allow call a.b path b to owner", 1, 21, "'b' is not an object path" },
                { "allow call a.b path", 1, 20, "an object path" },
                { "allow call a.b interface a to owner", 1, 26, "'a' is not an interface name" },
                { "allow call a.b member a.b to owner", 1, 23, "'a.b' is not a method's" },
                { "allow call a.b member A member B to owner", 1, 25, "second of its kind" },
                { "limit", 1, 6, "the name of a limit" },
                { "limit message-byte 1", 1, 7, "no limit 'message-byte'" },
                { "limit message-bytes", 1, 20, "a number" },
                { "limit message-bytes K", 1, 21, "not a number" },
                { "limit message-bytes 1k", 1, 22, "digits, then nothing or K, M or G" },
                { "limit message-bytes -1", 1, 21, "not a number" },
                { "limit message-bytes 0", 1, 21, "limit of 0" },
                { "limit message-bytes 134217729", 1, 21, "134217729 is more than the most this limit can be, 134217728" },
                { "limit message-bytes 99999999999999999999999999", 1, 21, "is more than the most" },
                { "limit message-bytes 18446744073709551615G", 1, 21, "is more than the most" },
                { "limit message-bytes 1 2", 1, 23, "should end here" },
                { "allow own a.b to \xc3\xa9", 1, 18, "byte 0xc3" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(mistakes); i++)
                assert_mistake(mistakes[i].text, strlen(mistakes[i].text), mistakes[i].line, mistakes[i].column, mistakes[i].said);
        assert_mistake("limit\0", 6, 1, 6, "byte 0x00");
}

static void test_very_long_lines(void) {
        g_autofree char *words = g_strnfill(2 * 65, 'a'), *name = g_strnfill(100000, 'a');
        g_autofree char *line = g_strdup_printf("allow own %s to owner", name);

        for (size_t i = 1; i < 2 * 65; i += 2)
                words[i] = ' ';
        assert_mistake(words, strlen(words), 1, 2 * 64 + 1, "more than 64 words");
        assert_mistake(line, strlen(line), 1, 11, "is not a bus name");
}

static void count_missing(const struct grant *grant, void *userdata) {
        g_assert_cmpstr(grant->who, ==, "no-such-user-or-group");
        ++*(unsigned *) userdata;
}

static void ignore_missing(const struct grant *grant, void *userdata) {
}

static void test_resolution(void) {
        AUTO_POLICY policy = {};
        unsigned n_missing = 0;

        parse(&policy, "allow own a.b to owner user root user 4294967294 group root\n"
                       "allow own a.b to group no-such-user-or-group user no-such-user-or-group");
        g_assert_cmpint(policy_resolve(&policy, 77, count_missing, &n_missing), ==, 0);
        g_assert_cmpuint(n_missing, ==, 2);
        g_assert_cmpuint(policy.grants[0].id, ==, 77);
        g_assert_cmpuint(policy.grants[1].id, ==, 0);
        g_assert_cmpuint(policy.grants[2].id, ==, 4294967294);
        g_assert_true(policy.grants[3].subject == SUBJECT_GROUP && policy.grants[3].id == 0);
        g_assert_true(policy.grants[4].subject == SUBJECT_NOBODY && policy.grants[5].subject == SUBJECT_NOBODY);
}

/* chown(2) and dbus-broker's policy take -1 for something else. */
static void test_no_user_is_minus_one(void) {
        AUTO_POLICY policy = {};

        parse(&policy, "allow own a.b to user 4294967295");
        g_assert_cmpint(policy_resolve(&policy, 77, ignore_missing, NULL), ==, 0);
        g_assert_true(policy.grants[0].subject == SUBJECT_NOBODY);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/policy/grants", test_grants);
        g_test_add_func("/policy/limits", test_limits);
        g_test_add_func("/policy/mistakes-have-line-and-column", test_mistakes);
        g_test_add_func("/policy/very-long-lines", test_very_long_lines);
        g_test_add_func("/policy/resolution", test_resolution);
        g_test_add_func("/policy/no-user-is-minus-one", test_no_user_is_minus_one);
        return g_test_run();
}
