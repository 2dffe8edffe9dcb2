/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What rules mean: decisions, names, limits and rates. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "bridge-limits.h"
#include "bridge-policy.h"
#include "bridge-rates.h"

static struct bridge_policy *parse(const char *text) {
        struct bridge_policy_error error = {};
        struct bridge_policy *policy;
        int r;

        g_assert_cmpint(bridge_policy_new(&policy), ==, 0);
        r = bridge_policy_add(policy, "test.policy", text, strlen(text), &error);
        if (r < 0)
                g_error("%s:%u:%u: %s", error.file, error.line, error.column, error.text);
        return policy;
}

static void policy_freep(struct bridge_policy **policy) {
        bridge_policy_free(*policy);
}

#define AUTO_POLICY __attribute__((cleanup(policy_freep))) struct bridge_policy *

#define UUID "6e2bd1ab-5b3e-4ff5-a6a7-19a4a5c0a1f0"

static const struct bridge_domain driver = { .id = 7, .uuid = UUID, .name = "disk-1", .type = "driver" };

/* Writes a query as its parts, with - for a field that is missing. */
static struct bridge_query query_of(const struct bridge_domain *domain, enum bridge_direction direction, enum bridge_kind kind,
                                    const char **name, const char *path, const char *interface, const char *member) {
        return (struct bridge_query) {
                .domain = *domain,
                .direction = direction,
                .kind = kind,
                .names = name,
                .n_names = *name != NULL,
                .path = path,
                .interface = interface,
                .member = member,
        };
}

/* The line that decides, 0 if none does; negative if it denies. */
static int decided_by(const struct bridge_policy *policy, const struct bridge_query *query) {
        struct bridge_decision decision;

        bridge_policy_decide(policy, query, &decision);
        g_assert_true(!decision.allowed || decision.rule);
        if (!decision.rule)
                return 0;
        g_assert_cmpstr(bridge_rule_file(decision.rule), ==, "test.policy");
        g_assert_true(decision.allowed == (bridge_rule_action(decision.rule) == BRIDGE_ALLOW));
        return decision.allowed ? (int) bridge_rule_line(decision.rule) : -(int) bridge_rule_line(decision.rule);
}

static int call_in(const struct bridge_policy *policy, const struct bridge_domain *domain, const char *name, const char *path,
                   const char *interface, const char *member) {
        const struct bridge_query query = query_of(domain, BRIDGE_IN, BRIDGE_CALL, &name, path, interface, member);

        return decided_by(policy, &query);
}

static void test_nothing_is_allowed(void) {
        AUTO_POLICY empty = parse("");
        AUTO_POLICY comments = parse("# allow in call * from any\n\n   \t# and so on");

        g_assert_cmpuint(bridge_policy_count(comments), ==, 0);
        g_assert_cmpint(call_in(empty, &driver, "a.b", "/", "a.b", "C"), ==, 0);
        g_assert_cmpint(call_in(comments, &driver, "a.b", "/", "a.b", "C"), ==, 0);
        g_assert_false(bridge_policy_exports(empty, &driver, "a.b"));
}

static void test_first_match_wins(void) {
        AUTO_POLICY policy = parse("deny in call a.b member Set from any\n"
                                   "allow in call a.b from any # and why\n"
                                   "deny in call a.b from any\n"
                                   "allow in call a.b.* from any\n");

        g_assert_cmpint(call_in(policy, &driver, "a.b", "/", "a.b", "Set"), ==, -1);
        g_assert_cmpint(call_in(policy, &driver, "a.b", "/", "a.b", "Get"), ==, 2);
        g_assert_cmpint(call_in(policy, &driver, "a.b.c", "/", "a.b", "Set"), ==, 4);
        g_assert_cmpint(call_in(policy, &driver, "b.c", "/", "a.b", "Set"), ==, 0);
}

static void test_each_field(void) {
        AUTO_POLICY policy = parse("allow in call a.b path /p interface i.j member M from any\n"
                                   "allow in call a.below.* path /below/* interface i.below.* from any\n"
                                   "allow in call a.slash path /* from any");

        g_assert_cmpint(call_in(policy, &driver, "a.b", "/p", "i.j", "M"), ==, 1);
        g_assert_cmpint(call_in(policy, &driver, "a.c", "/p", "i.j", "M"), ==, 0);
        g_assert_cmpint(call_in(policy, &driver, "a.b.c", "/p", "i.j", "M"), ==, 0);
        g_assert_cmpint(call_in(policy, &driver, "a.b", "/p/q", "i.j", "M"), ==, 0);
        g_assert_cmpint(call_in(policy, &driver, "a.b", "/p", "i.j.k", "M"), ==, 0);
        g_assert_cmpint(call_in(policy, &driver, "a.b", "/p", "i.k", "M"), ==, 0);         /* OpenXT's rpc-proxy would let it through */
        g_assert_cmpint(call_in(policy, &driver, "a.b", "/p", "i.j", "N"), ==, 0);
        g_assert_cmpint(call_in(policy, &driver, "a.b", "/p", "i.j", "MM"), ==, 0);

        g_assert_cmpint(call_in(policy, &driver, "a.below", "/below", "i.below", "M"), ==, 2);
        g_assert_cmpint(call_in(policy, &driver, "a.below.x.y", "/below/x/y", "i.below.x", "N"), ==, 2);
        g_assert_cmpint(call_in(policy, &driver, "a.below", "/belowx", "i.below", "M"), ==, 0);
        g_assert_cmpint(call_in(policy, &driver, "a.belowx", "/below", "i.below", "M"), ==, 0);
        g_assert_cmpint(call_in(policy, &driver, "a.below", "/below", "i.belowx", "M"), ==, 0);
        g_assert_cmpint(call_in(policy, &driver, "a.slash", "/any/thing", NULL, "M"), ==, 3);
        g_assert_cmpint(call_in(policy, &driver, "a.slash", "/", NULL, "M"), ==, 3);
}

static void test_direction_and_kind(void) {
        AUTO_POLICY policy =
                parse("allow in call a.b from any\nallow out signal a.b to any\nallow out any c.d to any\nallow own e.f by id=7");
        static const struct {
                const char *name;
                enum bridge_direction direction;
                enum bridge_kind kind;
                int line;
        } cases[] = {
                { "a.b", BRIDGE_IN, BRIDGE_CALL, 1 }, { "a.b", BRIDGE_IN, BRIDGE_SIGNAL, 0 }, { "a.b", BRIDGE_OUT, BRIDGE_CALL, 0 },
                { "a.b", BRIDGE_OUT, BRIDGE_SIGNAL, 2 }, { "a.b", BRIDGE_IN, BRIDGE_OWN, 0 }, { "c.d", BRIDGE_OUT, BRIDGE_CALL, 3 },
                { "c.d", BRIDGE_OUT, BRIDGE_SIGNAL, 3 }, { "c.d", BRIDGE_IN, BRIDGE_SIGNAL, 0 }, { "e.f", BRIDGE_IN, BRIDGE_OWN, 4 },
                { "e.f", BRIDGE_OUT, BRIDGE_OWN, 4 }, { "e.f", BRIDGE_IN, BRIDGE_CALL, 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const char *name = cases[i].name;
                struct bridge_query query = query_of(&driver, cases[i].direction, cases[i].kind, &name, "/", "x.y", "M");

                g_assert_cmpint(decided_by(policy, &query), ==, cases[i].line);
        }
}

/* Fields that are missing: never enough for an allow, always for a deny. */
static void test_missing_fields(void) {
        AUTO_POLICY allow = parse("allow in call a.b interface i.j from any");
        AUTO_POLICY deny = parse("deny in call a.b interface i.j from any\nallow in call a.b from any");
        AUTO_POLICY path = parse("allow in call a.b path /p from any");
        AUTO_POLICY member = parse("allow in call a.b member M from any");
        AUTO_POLICY name = parse("allow in call a.b from any");

        g_assert_cmpint(call_in(allow, &driver, "a.b", "/p", "i.j", "M"), ==, 1);
        g_assert_cmpint(call_in(allow, &driver, "a.b", "/p", NULL, "M"), ==, 0);
        g_assert_cmpint(call_in(deny, &driver, "a.b", "/p", "i.k", "M"), ==, 2);
        g_assert_cmpint(call_in(deny, &driver, "a.b", "/p", NULL, "M"), ==, -1);        /* the service might take it for i.j's */
        g_assert_cmpint(call_in(path, &driver, "a.b", NULL, NULL, "M"), ==, 0);
        g_assert_cmpint(call_in(member, &driver, "a.b", "/p", NULL, NULL), ==, 0);
        g_assert_cmpint(call_in(name, &driver, NULL, "/p", "i.j", "M"), ==, 0);
}

static void test_domains(void) {
        AUTO_POLICY policy = parse("allow in call a.id from id=7\n"
                                   "allow in call a.uuid from uuid=" UUID "\n"
                                   "allow in call a.name from name=disk-1\n"
                                   "allow in call a.begins from name=disk-*\n"
                                   "allow in call a.type from type=driver\n"
                                   "allow in call a.both from type=driver,name=disk-1,id=7\n"
                                   "allow in call a.either from type=guest id=7 name=x");
        static const char *const names[] = { "a.id", "a.uuid", "a.name", "a.begins", "a.type", "a.both", "a.either" };
        const struct bridge_domain unknown = { .id = 8 }, empty = { .id = 8, .uuid = "", .name = "", .type = "" };
        const struct bridge_domain other = { .id = 8, .uuid = "6e2bd1ab-5b3e-4ff5-a6a7-19a4a5c0a1f1", .name = "disk", .type = "drive" };
        const struct bridge_domain upper = { .id = 8, .uuid = "6E2BD1AB-5B3E-4FF5-A6A7-19A4A5C0A1F0", .name = "disk-11", .type = "guest" };

        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
                g_assert_cmpint(call_in(policy, &driver, names[i], "/", "x.y", "M"), ==, i + 1);
                g_assert_cmpint(call_in(policy, &unknown, names[i], "/", "x.y", "M"), ==, 0);
                g_assert_cmpint(call_in(policy, &empty, names[i], "/", "x.y", "M"), ==, 0);
                g_assert_cmpint(call_in(policy, &other, names[i], "/", "x.y", "M"), ==, 0);
        }
        g_assert_cmpint(call_in(policy, &upper, "a.uuid", "/", "x.y", "M"), ==, 2);
        g_assert_cmpint(call_in(policy, &upper, "a.name", "/", "x.y", "M"), ==, 0);
        g_assert_cmpint(call_in(policy, &upper, "a.begins", "/", "x.y", "M"), ==, 4);
        g_assert_cmpint(call_in(policy, &upper, "a.both", "/", "x.y", "M"), ==, 0);
        g_assert_cmpint(call_in(policy, &upper, "a.either", "/", "x.y", "M"), ==, 7);
}

/* A domain of which nothing is known is denied what any kind is denied. */
static void test_unknown_domains(void) {
        AUTO_POLICY policy = parse("deny in call a.b from type=guest\nallow in call a.b from any");
        const struct bridge_domain unknown = { .id = 8 };

        g_assert_cmpint(call_in(policy, &driver, "a.b", "/", "x.y", "M"), ==, 2);
        g_assert_cmpint(call_in(policy, &unknown, "a.b", "/", "x.y", "M"), ==, -1);
}

static void test_connections_with_several_names_or_none(void) {
        AUTO_POLICY policy = parse("deny in call a.secret from any\n"
                                   "allow in call a.b from any\n"
                                   "allow in call unnamed interface i.Agent from any\n"
                                   "allow in call * interface i.All from any");
        const char *const two[] = { "x.y", "a.b" }, *const secret[] = { "a.b", "a.secret" };
        struct bridge_query query = { .domain = driver, .names = two, .n_names = 2, .path = "/", .interface = "i.j", .member = "M" };

        g_assert_cmpint(decided_by(policy, &query), ==, 2);
        query.names = secret;
        g_assert_cmpint(decided_by(policy, &query), ==, -1);
        g_assert_cmpint(call_in(policy, &driver, NULL, "/", "i.Agent", "M"), ==, 3);
        g_assert_cmpint(call_in(policy, &driver, NULL, "/", "i.j", "M"), ==, 0);
        g_assert_cmpint(call_in(policy, &driver, "x.y", "/", "i.Agent", "M"), ==, 0);
        g_assert_cmpint(call_in(policy, &driver, NULL, "/", "i.All", "M"), ==, 4);
        g_assert_cmpint(call_in(policy, &driver, "x.y", "/", "i.All", "M"), ==, 4);
}

static void test_log_goes_on(void) {
        AUTO_POLICY policy = parse(
                "log in call a.b interface i.j from any\nlog in call a.b from any\nallow in call a.b from any\nlog in call * from any");
        struct bridge_decision decision;
        const char *name = "a.b", *other = "x.y";
        struct bridge_query query = query_of(&driver, BRIDGE_IN, BRIDGE_CALL, &name, "/", "i.k", "M");

        bridge_policy_decide(policy, &query, &decision);
        g_assert_true(decision.allowed);
        g_assert_cmpuint(bridge_rule_line(decision.rule), ==, 3);
        g_assert_cmpuint(bridge_rule_line(decision.log), ==, 2);
        query.interface = NULL;
        bridge_policy_decide(policy, &query, &decision);
        g_assert_cmpuint(bridge_rule_line(decision.log), ==, 1);        /* it might be */
        query.names = &other;
        bridge_policy_decide(policy, &query, &decision);
        g_assert_true(!decision.allowed && !decision.rule);
        g_assert_cmpuint(bridge_rule_line(decision.log), ==, 4);
}

static void test_owning(void) {
        AUTO_POLICY policy =
                parse("deny own org.xen.xcp.storage.secret.* by any\nallow own org.xen.xcp.storage.* by type=driver\ndeny own * by any");
        static const struct {
                const char *name;
                int line;
        } cases[] = {
                { "org.xen.xcp.storage", 2 }, { "org.xen.xcp.storage.nfs", 2 }, { "org.xen.xcp.storage.secret", -1 },
                { "org.xen.xcp.storage.secret.x", -1 }, { "org.xen.xcp.storagex", -3 }, { "org.xen.xcp", -3 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const char *name = cases[i].name;
                struct bridge_query query = query_of(&driver, BRIDGE_IN, BRIDGE_OWN, &name, NULL, NULL, NULL);

                g_assert_cmpint(decided_by(policy, &query), ==, cases[i].line);
                query.domain = (struct bridge_domain) { .id = 9, .type = "guest" };
                g_assert_cmpint(decided_by(policy, &query), ==, cases[i].line > 0 ? -3 : cases[i].line);
        }
}

static void test_exports(void) {
        AUTO_POLICY policy = parse("deny in call a.gone from any\n"
                                   "deny in call a.b member Set from any\n"
                                   "allow in call a.b.* from type=driver\nallow in call a.gone from any\n"
                                   "allow out signal b.c to any\n"
                                   "allow in signal c.d from any\n"
                                   "allow out call c.d to any\n"
                                   "allow in call unnamed from any\n"
                                   "deny out signal a.gone to type=guest\n"
                                   "allow out signal a.gone to type=guest id=9");
        const struct bridge_domain guest = { .id = 8, .type = "guest" }, unknown = { .id = 9 };

        g_assert_true(bridge_policy_exports(policy, &driver, "a.b"));
        g_assert_false(bridge_policy_exports(policy, &guest, "a.b"));
        g_assert_false(bridge_policy_exports(policy, &driver, "a.gone"));
        g_assert_false(bridge_policy_exports(policy, &guest, "a.gone"));
        g_assert_false(bridge_policy_exports(policy, &unknown, "a.gone"));      /* it might be a guest */
        g_assert_true(bridge_policy_exports(policy, &guest, "b.c"));
        g_assert_false(bridge_policy_exports(policy, &guest, "c.d"));           /* that is about a name of the other bus */
        g_assert_false(bridge_policy_exports(policy, &driver, "x.y"));
}

static void test_limits(void) {
        AUTO_POLICY policy = parse("limit peers 100 for type=driver\nlimit peers 10 for type=guest\nlimit peers 1K for any\n"
                                   "limit queued-bytes 8M for id=7 id=8\nlimit peers 5 for any");
        const struct bridge_domain guest = { .id = 8, .type = "guest" }, unknown = { .id = 9 }, stub = { .id = 9, .type = "stub" };

        g_assert_cmpuint(bridge_policy_limit(policy, &driver, BRIDGE_LIMIT_PEERS), ==, 100);
        g_assert_cmpuint(bridge_policy_limit(policy, &guest, BRIDGE_LIMIT_PEERS), ==, 10);
        g_assert_cmpuint(bridge_policy_limit(policy, &stub, BRIDGE_LIMIT_PEERS), ==, 1024);
        g_assert_cmpuint(bridge_policy_limit(policy, &unknown, BRIDGE_LIMIT_PEERS), ==, 10);    /* the least of what it might be */
        g_assert_cmpuint(bridge_policy_limit(policy, &driver, BRIDGE_LIMIT_QUEUED_BYTES), ==, 8 << 20);
        g_assert_cmpuint(bridge_policy_limit(policy, &unknown, BRIDGE_LIMIT_QUEUED_BYTES), ==, 256 << 20);
        for (unsigned limit = 0; limit < _BRIDGE_LIMIT_N; limit++)
                g_assert_cmpuint(bridge_limit_find(bridge_limit_kinds[limit].name, strlen(bridge_limit_kinds[limit].name)), ==, limit);
}

static void test_buckets(void) {
        struct bridge_bucket bucket = { .interval_ns = 100, .burst = 3, .level_ns = 300 };
        uint64_t now = 1000000;

        for (unsigned i = 0; i < 3; i++)
                g_assert_true(bridge_bucket_take(&bucket, now));
        g_assert_false(bridge_bucket_take(&bucket, now));
        g_assert_false(bridge_bucket_take(&bucket, now + 99));
        g_assert_true(bridge_bucket_take(&bucket, now + 100));
        g_assert_false(bridge_bucket_take(&bucket, now + 100));
        g_assert_false(bridge_bucket_take(&bucket, now));               /* time that runs backwards gives nothing, */
        g_assert_false(bridge_bucket_take(&bucket, now + 100));         /* and what it takes to get back gives nothing again */
        g_assert_true(bridge_bucket_take(&bucket, UINT64_MAX));         /* full again, and not more */
        g_assert_true(bridge_bucket_take(&bucket, UINT64_MAX));
        g_assert_true(bridge_bucket_take(&bucket, UINT64_MAX));
        g_assert_false(bridge_bucket_take(&bucket, UINT64_MAX));
}

static void test_rates(void) {
        AUTO_POLICY policy = parse(
                "allow in call a.slow rate 2/min burst 1 from any\nallow in call a.free from any\nallow in call a.fast rate 10/s from any");
        static const char *const names[] = { "a.slow", "a.free", "a.fast" };
        unsigned allowed[3] = {};
        struct bridge_rates *rates;

        g_assert_cmpint(bridge_rates_new(&rates, policy), ==, 0);
        for (uint64_t now = 0; now < 60; now++)
                for (unsigned i = 0; i < 3 * 20; i++) {
                        const char *name = names[i % 3];
                        struct bridge_query query = query_of(&driver, BRIDGE_IN, BRIDGE_CALL, &name, "/", "i.j", "M");
                        struct bridge_decision decision;

                        bridge_policy_decide(policy, &query, &decision);
                        allowed[i % 3] += bridge_rates_take(rates, decision.rule, 5000000 + now * 1000000);
                }
        bridge_rates_free(rates);
        g_assert_cmpuint(allowed[0], ==, 2);            /* at once, and after 30 s */
        g_assert_cmpuint(allowed[1], ==, 60 * 20);
        g_assert_cmpuint(allowed[2], ==, 60 * 10);
}


static void tell(void *userdata, const struct bridge_rule *rule, const char *why) {
        g_string_append_printf(userdata, "%u %s: %s\n", bridge_rule_line(rule), bridge_rule_text(rule), why ?: "yes");
}

static void test_explanations(void) {
        AUTO_POLICY policy =
                parse("allow  own a.b by any\nallow in call a.b from id=8 # one\n allow in call a.c from any\n"
                      "allow in call a.b path /p from any\n"
                      "allow in call a.b interface i.k from any\nallow in call a.b member N from any\nlog in call unnamed from any\n"
                      "log in call a.b from any\nallow in call a.b from type=stub\ndeny in call a.b from any\nallow in call a.b from any");
        g_autoptr(GString) told = g_string_new("");
        const struct bridge_domain bare = { .id = 7 };
        struct bridge_decision decision;
        const char *name = "a.b";
        struct bridge_query query = query_of(&bare, BRIDGE_IN, BRIDGE_CALL, &name, "/", NULL, "M");

        bridge_policy_explain(policy, &query, tell, told, &decision);
        g_assert_cmpstr(told->str, ==, "1 allow  own a.b by any: it is about something else\n"
                                       "2 allow in call a.b from id=8: the domain is another one\n"
                                       "3 allow in call a.c from any: the name is another one\n"
                                       "4 allow in call a.b path /p from any: the path is another one\n"
                                       "5 allow in call a.b interface i.k from any: the message names no interface\n"
                                       "6 allow in call a.b member N from any: the member is another one\n"
                                       "7 log in call unnamed from any: the name is another one\n"
                                       "8 log in call a.b from any: yes\n"
                                       "9 allow in call a.b from type=stub: not enough is known of the domain\n"
                                       "10 deny in call a.b from any: yes\n");
        g_assert_false(decision.allowed);
        g_assert_cmpuint(bridge_rule_line(decision.rule), ==, 10);
}

static void test_queries_that_no_message_is(void) {
        static const struct {
                const char *name, *path, *interface, *member, *field;
        } cases[] = {
                { "a.b", "/", "i.j", "M", NULL },       { NULL, NULL, NULL, NULL, NULL }, { "a..b", "/", "i.j", "M", "destination" },
                { ":1.5", "/", "i.j", "M", "destination" }, { "a.b", "p", "i.j", "M", "path" }, { "a.b", "/", "i", "M", "interface" },
                { "a.b", "/", "i.j", "M N", "member" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const char *name = cases[i].name, *value, *wrong;
                struct bridge_query query = query_of(&driver, BRIDGE_IN, BRIDGE_CALL, &name, cases[i].path, cases[i].interface, cases[i].member);

                g_assert_cmpstr(bridge_query_fault(&query, &value, &wrong), ==, cases[i].field);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bridge-policy/nothing-is-allowed-by-itself", test_nothing_is_allowed);
        g_test_add_func("/bridge-policy/first-match-wins", test_first_match_wins);
        g_test_add_func("/bridge-policy/each-field-counts", test_each_field);
        g_test_add_func("/bridge-policy/direction-and-kind", test_direction_and_kind);
        g_test_add_func("/bridge-policy/a-missing-field-never-allows", test_missing_fields);
        g_test_add_func("/bridge-policy/domains", test_domains);
        g_test_add_func("/bridge-policy/an-unknown-domain-is-denied-what-any-is", test_unknown_domains);
        g_test_add_func("/bridge-policy/connections-with-several-names-or-none", test_connections_with_several_names_or_none);
        g_test_add_func("/bridge-policy/log-goes-on", test_log_goes_on);
        g_test_add_func("/bridge-policy/owning", test_owning);
        g_test_add_func("/bridge-policy/exports", test_exports);
        g_test_add_func("/bridge-policy/limits", test_limits);
        g_test_add_func("/bridge-policy/buckets", test_buckets);
        g_test_add_func("/bridge-policy/rates", test_rates);
        g_test_add_func("/bridge-policy/explanations", test_explanations);
        g_test_add_func("/bridge-policy/queries-that-no-message-is", test_queries_that_no_message_is);
        return g_test_run();
}
