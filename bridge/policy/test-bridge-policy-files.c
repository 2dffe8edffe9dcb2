/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Policy files: where their mistakes are, how they are found and ordered, and what lint says. */

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bridge-policy.h"

static void policy_freep(struct bridge_policy **policy) {
        bridge_policy_free(*policy);
}

#define AUTO_POLICY __attribute__((cleanup(policy_freep))) struct bridge_policy *

static void assert_mistake(const char *text, size_t n, unsigned line, unsigned column, const char *said) {
        struct bridge_policy_error error = {};
        AUTO_POLICY policy = NULL;

        g_assert_cmpint(bridge_policy_new(&policy), ==, 0);
        g_assert_cmpint(bridge_policy_add(policy, "test.policy", text, n, &error), ==, -EINVAL);
        g_test_message("%s:%u:%u: %s", error.file, error.line, error.column, error.text);
        g_assert_cmpstr(error.file, ==, "test.policy");
        g_assert_nonnull(strstr(error.text, said));
        g_assert_cmpuint(error.line, ==, line);
        g_assert_cmpuint(error.column, ==, column);
}

static const struct {
        const char *text;
        unsigned line, column;
        const char *said;
} mistakes[] = {
        { "permit", 1, 1, "begins with allow, deny, log or limit, not with 'permit'" },
        { "# one\n\n  Allow own a.b by any", 3, 3, "not with 'Allow'" },
        { "allow", 1, 6, "the line ends where own, in or out should be" },
        { "allow both", 1, 7, "'both' is none of own, in and out" },
        { "allow in", 1, 9, "the line ends where call, signal or any should be" },
        { "allow in reply a.b from any", 1, 10, "'reply' is none of call, signal and any" },
        { "allow in call", 1, 14, "a bus name, * or unnamed" },
        { "allow in call a", 1, 15, "'a' is not a bus name" },
        { "allow in call :1.5 from any", 1, 15, "':1.5' is not a bus name" },
        { "allow in call a.b.** from any", 1, 15, "not a bus name" },
        { "allow in call a.b* from any", 1, 15, "not a bus name" },
        { "allow in call .* from any", 1, 15, "not a bus name" },
        { "allow own unnamed by any", 1, 11, "nobody owns the name" },
        { "allow own * by any", 1, 11, "who owns every name" },
        { "allow own a.b", 1, 14, "the line ends where 'by' should be" },
        { "allow own a.b from any", 1, 15, "'from' stands where 'by' should be" },
        { "allow own a.b path / by any", 1, 15, "'path' stands where 'by' should be" },
        { "allow in call a.b to any", 1, 19, "'to' stands where 'from', path, interface, member, rate or burst should be" },
        { "allow out call a.b from any", 1, 20, "'from' stands where 'to'" },
        { "allow in call a.b destination x", 1, 19, "'destination' stands where" },
        { "allow in call a.b", 1, 18, "the line ends where 'from'" },
        { "allow in call a.b from", 1, 23, "the line ends where any, id=N" },
        { "allow in call a.b path a from any", 1, 24, "'a' is not an object path" },
        { "allow in call a.b path /a/ from any", 1, 24, "'/a/' is not an object path" },
        { "allow in call a.b path", 1, 23, "the line ends where an object path" },
        { "allow in call a.b interface a from any", 1, 29, "'a' is not an interface name" },
        { "allow in call a.b interface a-b.c from any", 1, 29, "not an interface name" },
        { "allow in call a.b member a.b from any", 1, 26, "'a.b' is not a method's" },
        { "allow in call a.b member A member B from any", 1, 28, "second 'member'" },
        { "deny in call a.b rate 1/s from any", 1, 18, "only what is allowed has a rate" },
        { "allow in call a.b rate from any", 1, 24, "'from' is not a rate" },
        { "allow in call a.b rate 10 from any", 1, 24, "'10' is not a rate" },
        { "allow in call a.b rate 10/d from any", 1, 24, "'10/d' is not a rate" },
        { "allow in call a.b rate x0/s from any", 1, 24, "'x0/s' is not a number" },
        { "allow in call a.b rate 1x/min from any", 1, 25, "'1x/min' is not a number" },
        { "allow in call a.b rate 0/s from any", 1, 24, "0/s would let nothing through" },
        { "allow in call a.b rate /s from any", 1, 24, "no number in '/s'" },
        { "allow in call a.b rate 1000001/s from any", 1, 24, "1000001 is more than 1000000" },
        { "allow in call a.b rate 99999999999999999999999/h from any", 1, 24, "is more than 1000000" },
        { "allow in call a.b burst 5 from any", 1, 19, "a burst comes after the rate" },
        { "allow in call a.b rate 1/s burst 0 from any", 1, 34, "0 would let nothing through" },
        { "allow in call a.b from all", 1, 24, "'all' is none of any, id=N" },
        { "allow in call a.b from any,id=1", 1, 24, "'any' is none of" },
        { "allow in call a.b from id=", 1, 27, "a domain's id should be here" },
        { "allow in call a.b from id=x", 1, 27, "'x' is not a domain's id" },
        { "allow in call a.b from id=1x", 1, 28, "'1x' is not a domain's id" },
        { "allow in call a.b from id=32752", 1, 27, "32752 is more than the largest id of a domain, 32751" },
        { "allow in call a.b from id=4294967296", 1, 27, "is more than the largest id" },
        { "allow in call a.b from uuid=7", 1, 29, "'7' is not a UUID" },
        { "allow in call a.b from uuid=6e2bd1ab-5b3e-4ff5-a6a7-19a4a5c0a1fg", 1, 29, "not a UUID" },
        { "allow in call a.b from type=Driver", 1, 29, "lower-case" },
        { "allow in call a.b from type=", 1, 29, "1 to 32 bytes, this one 0" },
        { "allow in call a.b from name=", 1, 29, "1 to 255 bytes, this one 0" },
        { "allow in call a.b from name=*", 1, 29, "an asterisk" },
        { "allow in call a.b from name=a*b", 1, 30, "an asterisk" },
        { "allow in call a.b from uid=7", 1, 24, "'uid' is none of" },
        { "allow in call a.b from id=7,id=8", 1, 29, "'id' is here twice" },
        { "allow in call a.b from type=a,", 1, 31, "'' is none of" },
        { "allow in call a.b from type=a, id=7", 1, 31, "'' is none of" },
        { "allow in call a.b from id=7 and more", 1, 29, "'and' is none of" },
        { "limit", 1, 6, "the name of a limit" },
        { "limit peer 1 for any", 1, 7, "no limit 'peer'" },
        { "limit peers", 1, 12, "a number" },
        { "limit peers x for any", 1, 13, "'x' is not a number" },
        { "limit peers 0 for any", 1, 13, "a limit of 0" },
        { "limit peers 1025 for any", 1, 13, "1025 is more than the most this limit can be, 1024" },
        { "limit peers 5", 1, 14, "'for' should be here" },
        { "limit peers 5 to any", 1, 15, "'for' should be here" },
        { "limit peers 5 for", 1, 18, "any, id=N" },
        { "allow own a.b by \xc3\xa9", 1, 18, "byte 0xc3" },
        { "allow own a.b by any\nallow own a.b by any\n\tdeny", 3, 6, "own, in or out" },
};

static void test_mistakes(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(mistakes); i++)
                assert_mistake(mistakes[i].text, strlen(mistakes[i].text), mistakes[i].line, mistakes[i].column, mistakes[i].said);
        assert_mistake("allow\0", 6, 1, 6, "byte 0x00");
}

static void test_too_many_rules(void) {
        g_autoptr(GString) text = g_string_new("");

        for (unsigned i = 0; i < BRIDGE_POLICY_RULES_MAX; i++)
                g_string_append(text, "deny own a.b by any\n");
        g_string_append(text, "deny own a.b by any\n");
        assert_mistake(text->str, text->len, BRIDGE_POLICY_RULES_MAX + 1, 1, "more than 4096 rules");
}

static char *make_dir(void) {
        g_autoptr(GError) error = NULL;
        char *dir = g_dir_make_tmp("test-bridge-policy-XXXXXX", &error);

        g_assert_no_error(error);
        return dir;
}

static void write_file(const char *dir, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void remove_dir(const char *dir) {
        g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);

        for (const char *name; (name = g_dir_read_name(entries));) {
                g_autofree char *path = g_build_filename(dir, name, NULL);

                if (g_file_test(path, G_FILE_TEST_IS_DIR))
                        g_rmdir(path);
                else
                        g_unlink(path);
        }
        g_rmdir(dir);
}

/* Which rule decides whether any domain may own a.b, as NAME:LINE. */
static char *decided_by(const char *const *paths) {
        struct bridge_policy_error error = {};
        const char *name = "a.b";
        const struct bridge_query query = { .kind = BRIDGE_OWN, .names = &name, .n_names = 1 };
        struct bridge_decision decision;
        AUTO_POLICY policy = NULL;
        g_autofree char *file = NULL;
        int r;

        r = bridge_policy_load(paths, &policy, &error);
        if (r < 0)
                g_error("%s:%u:%u: %s", error.file, error.line, error.column, error.text);
        bridge_policy_decide(policy, &query, &decision);
        if (!decision.rule)
                return g_strdup("none");
        file = g_path_get_basename(bridge_rule_file(decision.rule));
        return g_strdup_printf("%s:%u", file, bridge_rule_line(decision.rule));
}

#define assert_decided_by(expected, ...) \
        do { \
                g_autofree char *by = decided_by((const char *const []) { __VA_ARGS__, NULL }); \
                g_assert_cmpstr(by, ==, expected); \
        } while (0)

static void test_order(void) {
        g_autofree char *dir = make_dir(), *second = make_dir(), *file = g_build_filename(second, "only.policy", NULL);

        assert_decided_by("none", dir);
        assert_decided_by("none", "/nonexistent/bridge.d");
        write_file(dir, "50-b.policy", "# one\nallow own a.b by any");
        write_file(dir, "10.policy.bak", "deny own a.b by any");
        write_file(dir, ".10.policy", "deny own a.b by any");
        write_file(dir, ".policy", "deny own a.b by any");
        write_file(dir, "README", "not a policy");
        write_file(second, "only.policy", "allow own a.b by any");
        assert_decided_by("50-b.policy:2", dir, second);
        assert_decided_by("only.policy:1", second, dir);
        assert_decided_by("only.policy:1", file, dir);
        write_file(dir, "50-B.policy", "deny own a.b by any");
        assert_decided_by("50-B.policy:1", dir, second);
        write_file(dir, "10.policy", "deny own a.c by any\ndeny own a.b by any\n");
        assert_decided_by("10.policy:2", dir, second);
        remove_dir(dir);
        remove_dir(second);
}

static int load(const char *path, struct bridge_policy **policy, struct bridge_policy_error *error) {
        return bridge_policy_load((const char *const []) { path, NULL }, policy, error);
}

/* A copy decides as the files did, wherever these are; and is refused if it is cut off anywhere but between two of them. */
static void test_copies(void) {
        g_autofree char *dir = make_dir();
        struct bridge_policy_error error = {};
        struct bridge_policy *policy = NULL, *again = NULL;
        const char *name = "a.b";
        const struct bridge_query query = { .kind = BRIDGE_OWN, .names = &name, .n_names = 1 };
        struct bridge_decision decision;
        int fd = memfd_create("copy", MFD_CLOEXEC);
        off_t n;

        write_file(dir, "10.policy", "deny own a.c by any\n");
        write_file(dir, "20.policy", "# nothing\nallow own a.b by any");
        g_assert_cmpint(bridge_policy_copy((const char *const []) { dir, NULL }, fd, &policy, &error), ==, 0);
        bridge_policy_free(policy);
        remove_dir(dir);
        g_assert_cmpint(bridge_policy_read(fd, &again, &error), ==, 0);
        bridge_policy_decide(again, &query, &decision);
        g_assert_true(decision.allowed && g_str_has_suffix(bridge_rule_file(decision.rule), "/20.policy"));
        g_assert_cmpuint(bridge_rule_line(decision.rule), ==, 2);
        g_assert_cmpuint(bridge_policy_count(again), ==, 2);
        bridge_policy_free(again);
        n = lseek(fd, 0, SEEK_END);
        g_assert_cmpint(ftruncate(fd, n - 1), ==, 0);
        g_assert_cmpint(bridge_policy_read(fd, &again, &error), ==, -EBADMSG);
        g_assert_cmpint(ftruncate(fd, 5), ==, 0);
        g_assert_cmpint(bridge_policy_read(fd, &again, &error), ==, -EBADMSG);
        g_assert_cmpint(ftruncate(fd, 0), ==, 0);
        g_assert_cmpint(bridge_policy_read(fd, &again, &error), ==, 0);
        g_assert_cmpuint(bridge_policy_count(again), ==, 0);
        bridge_policy_free(again);
        close(fd);
}

/*
 * All processes of a bridge read the policy from descriptors of one open file, and so have one offset. Wherever another has just put it, each reads all of
 * it, and puts it nowhere itself.
 */
static void test_copies_are_read_by_many(void) {
        g_autofree char *dir = make_dir();
        struct bridge_policy_error error = {};
        struct bridge_policy *policy = NULL;
        int fd = memfd_create("copy", MFD_CLOEXEC);
        off_t n;

        write_file(dir, "10.policy", "allow own a.b by any\ndeny own a.c by any\n");
        g_assert_cmpint(bridge_policy_copy((const char *const []) { dir, NULL }, fd, &policy, &error), ==, 0);
        bridge_policy_free(policy);
        n = lseek(fd, 0, SEEK_END);
        for (off_t at = 0; at <= n; at++) {
                g_assert_cmpint(lseek(fd, at, SEEK_SET), ==, at);
                g_assert_cmpint(bridge_policy_read(fd, &policy, &error), ==, 0);
                g_assert_cmpuint(bridge_policy_count(policy), ==, 2);
                bridge_policy_free(policy);
                g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, at);
        }
        close(fd);
        remove_dir(dir);
}

static void test_failures_leave_nothing(void) {
        g_autofree char *dir = make_dir(), *missing = g_build_filename(dir, "missing.policy", NULL);
        g_autofree char *inner = g_build_filename(dir, "30.policy", NULL), *large = g_strnfill(BRIDGE_POLICY_FILE_MAX + 1, '#');
        struct bridge_policy_error error = {};
        struct bridge_policy *policy = NULL;

        g_assert_cmpint(load(missing, &policy, &error), ==, -ENOENT);
        g_assert_cmpstr(error.file, ==, missing);
        g_assert_cmpuint(error.line, ==, 0);

        write_file(dir, "10.policy", "allow own a.b by any");
        write_file(dir, "20.policy", "\nallow owns a.b by any");
        g_assert_cmpint(load(dir, &policy, &error), ==, -EINVAL);
        g_assert_true(g_str_has_suffix(error.file, "/20.policy"));
        g_assert_true(error.line == 2 && error.column == 7);
        write_file(dir, "20.policy", "");

        g_assert_cmpint(g_mkdir(inner, 0700), ==, 0);
        g_assert_cmpint(load(dir, &policy, &error), ==, -EINVAL);
        g_assert_cmpstr(error.text, ==, "it is not a file");
        g_rmdir(inner);
        write_file(dir, "30.policy", large);
        g_assert_cmpint(load(dir, &policy, &error), ==, -EINVAL);
        g_assert_cmpstr(error.text, ==, "it is longer than 1 MiB");
        large[BRIDGE_POLICY_FILE_MAX] = '\0';
        write_file(dir, "30.policy", large);
        g_assert_null(policy);
        g_assert_cmpint(load(dir, &policy, &error), ==, 0);
        g_assert_cmpuint(bridge_policy_count(policy), ==, 1);
        bridge_policy_free(policy);
        remove_dir(dir);
}

static void collect(void *userdata, enum bridge_severity severity, const struct bridge_rule *rule, const char *text) {
        g_string_append_printf(userdata, "%s%u: %s\n", severity == BRIDGE_NOTE ? "note " : "", bridge_rule_line(rule), text);
}

/* What lint says to a policy, and that it counts its warnings. */
static char *lint(const char *text) {
        g_autoptr(GString) said = g_string_new("");
        struct bridge_policy_error error = {};
        AUTO_POLICY policy = NULL;
        unsigned n_warnings, n_lines = 0, n_notes = 0;

        g_assert_cmpint(bridge_policy_new(&policy), ==, 0);
        if (bridge_policy_add(policy, "x.policy", text, strlen(text), &error) < 0)
                g_error("%u:%u: %s", error.line, error.column, error.text);
        n_warnings = bridge_policy_lint(policy, collect, said);
        for (const char *p = said->str; *p; p = strchr(p, '\n') + 1, n_lines++)
                n_notes += strncmp(p, "note", 4) == 0;
        g_assert_cmpuint(n_warnings, ==, n_lines - n_notes);
        return g_string_free(g_steal_pointer(&said), FALSE);
}

static void test_lint(void) {
        static const struct {
                const char *text, *said;
        } cases[] = {
                { "", "" },
                { "allow own a.b by type=x\nallow out call a.b to type=x", "" },
                { "allow own a.b by type=x\nallow own a.b by type=x,id=0", "2: it never decides: x.policy, line 1, does before it\n" },
                { "allow own a.b.* by type=x\nallow own a.b.c.* by type=x", "2: it never decides: x.policy, line 1, does before it\n" },
                { "allow own a.b.c.* by type=x\nallow own a.b.* by type=x", "" },
                { "allow own a.b by type=x\nallow own a.b by type=y", "" },
                { "allow own a.b by type=x\nallow own a.b by type=y type=x", "" },
                { "allow own a.b by type=y type=x\nallow own a.b by type=x,name=z",
                 "2: it never decides: x.policy, line 1, does before it\n" },
                { "allow own a.b by name=x*\nallow own a.b by name=xy*", "2: it never decides: x.policy, line 1, does before it\n" },
                { "allow own a.b by name=xy\nallow own a.b by name=xy*", "" },
                { "deny in call * from any\nallow in call a.b from type=x", "2: it never decides: x.policy, line 1, does before it\n" },
                { "deny in call * from any\nallow in call unnamed from type=x", "2: it never decides: x.policy, line 1, does before it\n" },
                { "deny in call a.b from any\nallow in call unnamed from type=x", "" },
                { "deny in any a.b from any\nallow in call a.b from type=x", "2: it never decides: x.policy, line 1, does before it\n" },
                { "deny in call a.b from any\ndeny in any a.b from any", "" },
                { "deny in call a.b from any\ndeny out call a.b to any", "" },
                { "log in call a.b from any\nallow in call a.b from type=x", "" },
                { "allow in call a.b interface i.j from any\nallow in call a.b interface i.j member M from any",
                 "2: it never decides: x.policy, line 1, does before it\n" },
                /* A call without an interface is not allowed by the first, and is denied by the second. */
                { "allow in call a.b interface i.j from any\ndeny in call a.b interface i.j from any\nallow in call a.b from any", "" },
                { "allow in call a.b member M from any\ndeny in call a.b member M from any\nallow in call a.b from any",
                 "2: it never decides: x.policy, line 1, does before it\n" },
                { "deny in call a.b path /p/* from any\nallow in call a.b path /p/q from any",
                 "2: it never decides: x.policy, line 1, does before it\n" },
                { "allow own org.freedesktop.DBus by type=x",
                 "1: nobody can own it: it is the bus's own name, or belongs to what each bus answers itself\n" },
                { "allow own org.xen.xcp.* by type=x",
                 "1: org.xen.xcp.bridge is among these names, and is never let in: each domain has its own bridge\n" },
                { "allow out call a.b to type=x", "1: no domain may own this name, so there is nobody that it is about\n" },
                { "allow in signal a.b from type=x", "1: no domain may own this name, so there is nobody that it is about\n" },
                { "allow own a.b.c by type=x\nallow in signal a.b.* from type=x", "" },
                { "deny in call org.freedesktop.DBus from any",
                 "1: it does nothing: what is for the bus itself is answered by each bus, and never passes\n" },
                { "allow in call * from type=x", "1: it lets the other domain call everything on this bus\n" },
                { "allow in call * interface i.j from type=x", "" },
                { "allow own a.b by any", "1: it lets every domain own the name, a guest that nobody trusts too\n" },
                { "allow in call a.b from id=7",
                 "note 1: a domain gets another id each time it starts, and others may have had this one; its UUID stays\n" },
                { "allow in call a.b from id=0", "" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *said = lint(cases[i].text);

                g_test_message("%s", cases[i].text);
                g_assert_cmpstr(said, ==, cases[i].said);
        }
}

/* A shadowed rule must be one: without it, nothing is decided differently. Rules of few words, and all queries of the same. */
static void test_lint_is_right(void) {
        static const char *const actions[] = { "allow", "deny" }, *const names[] = { "a.b", "a.b.*", "*", "unnamed", "a.b.c.*" };
        static const char *const more[] = { "", " interface i.j", " interface i.j.*", " member M", " path /p/*", " path /p" };
        static const char *const who[] = { "any", "id=1", "type=x", "type=x,id=1", "type=x id=2" };
        static const char *const query_names[] = { "a.b", "a.c", "a.b.c", NULL }, *const types[] = { "x", "y", NULL };
        static const char *const interfaces[] = { "i.j", "i.j.k", "i.k", NULL }, *const members[] = { "M", "N" },
                                 *const paths[] = { "/p", "/p/q", "/" };
        g_autoptr(GRand) random = g_rand_new_with_seed(4);
        unsigned n_shadowed = 0;

#define ANY_OF(list) list[g_rand_int(random) % G_N_ELEMENTS(list)]
        for (unsigned i = 0; i < 4000; i++) {
                g_autoptr(GString) text = g_string_new("");
                g_autofree char *said = NULL;
                AUTO_POLICY policy = NULL;
                bool shadowed[4];

                for (unsigned line = 0; line < 4; line++)
                        g_string_append_printf(text, "%s in call %s%s from %s\n", ANY_OF(actions), ANY_OF(names), ANY_OF(more),
                                               ANY_OF(who));
                said = lint(text->str);
                for (unsigned line = 0; line < 4; line++) {
                        g_autofree char *warning = g_strdup_printf("%u: it never decides", line + 1);

                        shadowed[line] = strstr(said, warning) != NULL;
                        n_shadowed += shadowed[line];
                }
                g_assert_cmpint(bridge_policy_new(&policy), ==, 0);
                g_assert_cmpint(bridge_policy_add(policy, "x", text->str, text->len, &(struct bridge_policy_error) {}), ==, 0);
                for (unsigned n = 0; n < 200; n++) {
                        const char *name = ANY_OF(query_names);
                        const struct bridge_query query = {
                                .domain = { .id = g_rand_int(random) % 3, .type = ANY_OF(types) },
                                .kind = BRIDGE_CALL,
                                .names = &name,
                                .n_names = name != NULL,
                                .path = ANY_OF(paths),
                                .interface = ANY_OF(interfaces),
                                .member = ANY_OF(members),
                        };
                        struct bridge_decision decision;

                        bridge_policy_decide(policy, &query, &decision);
                        if (decision.rule && shadowed[bridge_rule_line(decision.rule) - 1])
                                g_error("line %u decides:\n%s", bridge_rule_line(decision.rule), text->str);
                }
        }
        g_assert_cmpuint(n_shadowed, >, 500);
#undef ANY_OF
}

/* What we ship denies everything; and its examples, which somebody will take the # from, are good ones. */
static void test_shipped(void) {
        g_autoptr(GDir) dir = g_dir_open(SHIPPED, 0, NULL);
        struct bridge_policy_error error = {};
        AUTO_POLICY policy = NULL;
        unsigned n_examples = 0;

        g_assert_nonnull(dir);
        g_assert_cmpint(load(SHIPPED, &policy, &error), ==, 0);
        g_assert_cmpuint(bridge_policy_count(policy), ==, 0);
        for (const char *name; (name = g_dir_read_name(dir));) {
                g_autofree char *path = g_build_filename(SHIPPED, name, NULL), *text = NULL, *said = NULL;

                if (!g_str_has_suffix(name, ".policy"))
                        continue;
                g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
                for (char *p = text; (p = strchr(p, '#')); p++)
                        if ((p == text || p[-1] == '\n') && g_ascii_isalpha(p[1])) {
                                *p = ' ';
                                n_examples++;
                        }
                said = lint(text);
                g_assert_cmpstr(said, ==, "");
        }
        g_assert_cmpuint(n_examples, >, 5);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bridge-policy-files/mistakes-have-line-and-column", test_mistakes);
        g_test_add_func("/bridge-policy-files/4096-rules-and-one-more", test_too_many_rules);
        g_test_add_func("/bridge-policy-files/order", test_order);
        g_test_add_func("/bridge-policy-files/copies", test_copies);
        g_test_add_func("/bridge-policy-files/copies-are-read-by-many", test_copies_are_read_by_many);
        g_test_add_func("/bridge-policy-files/failures-leave-nothing", test_failures_leave_nothing);
        g_test_add_func("/bridge-policy-files/lint", test_lint);
        g_test_add_func("/bridge-policy-files/lint-is-right", test_lint_is_right);
        g_test_add_func("/bridge-policy-files/what-is-shipped", test_shipped);
        return g_test_run();
}
