/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Policies: what their rules decide, what is refused as a rule, and rates. */

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "policy.h"

static struct policy parse(const char *text) {
        struct policy policy;
        struct policy_error error;

        if (policy_parse(text, strlen(text), &policy, &error) < 0)
                g_error("line %u: %s", error.line, error.text);
        return policy;
}

static struct pvcalls_name address_of(const char *address, uint16_t port) {
        struct pvcalls_name a = {};

        if (address[0] == '/' || address[0] == '@') {
                a.local.sun_family = AF_UNIX;
                strcpy(a.local.sun_path, address);
                a.size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(address) + (address[0] == '/'));
                if (address[0] == '@')
                        a.local.sun_path[0] = '\0';
        } else if (strchr(address, ':')) {
                a.inet6 = (struct sockaddr_in6) { .sin6_family = AF_INET6, .sin6_port = htons(port) };
                a.size = sizeof a.inet6;
                g_assert_cmpint(inet_pton(AF_INET6, address, &a.inet6.sin6_addr), ==, 1);
        } else {
                a.inet = (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons(port) };
                a.size = sizeof a.inet;
                g_assert_cmpint(inet_pton(AF_INET, address, &a.inet.sin_addr), ==, 1);
        }
        return a;
}

static struct policy_verdict decide(struct policy *policy, enum policy_call call, const char *address, uint16_t port, uint64_t now) {
        struct pvcalls_name a = address_of(address, port);
        struct policy_verdict verdict;

        policy_decide(policy, call, SOCK_STREAM, &a, now, &verdict);
        return verdict;
}

static void check(struct policy *policy, enum policy_call call, const char *address, uint16_t port, bool allow, int rule) {
        struct policy_verdict verdict = decide(policy, call, address, port, 0);

        g_assert_cmpint(verdict.allow, ==, allow);
        g_assert_cmpint(verdict.rule, ==, rule);
}

static void test_nothing_is_denied(void) {
        struct policy policy = parse("\n  # a comment\n");

        check(&policy, POLICY_CONNECT, "127.0.0.1", 80, false, -1);
        check(&policy, POLICY_BIND, "0.0.0.0", 0, false, -1);
        policy_done(&policy);
}

static void test_first_match_decides(void) {
        struct policy policy = parse("deny connect inet 10.1.0.0/16\n"
                                     "allow connect inet 10.0.0.0/8 port 80-90 # the web\r\n"
                                     "allow bind inet 0.0.0.0 port 8080\n"
                                     "deny inet 127.0.0.0/8\n"
                                     "allow any inet port 443\n"
                                     "allow connect inet 255.255.255.255/32 port 65535");

        check(&policy, POLICY_CONNECT, "10.1.2.3", 80, false, 0);
        check(&policy, POLICY_CONNECT, "10.2.2.3", 79, false, -1);
        check(&policy, POLICY_CONNECT, "10.2.2.3", 80, true, 1);
        check(&policy, POLICY_CONNECT, "10.2.2.3", 90, true, 1);
        check(&policy, POLICY_CONNECT, "10.2.2.3", 91, false, -1);
        check(&policy, POLICY_BIND, "0.0.0.0", 8080, true, 2);
        check(&policy, POLICY_BIND, "0.0.0.1", 8080, false, -1);
        check(&policy, POLICY_BIND, "127.0.0.1", 443, false, 3);
        check(&policy, POLICY_BIND, "192.168.0.1", 443, true, 4);
        check(&policy, POLICY_CONNECT, "255.255.255.255", 65535, true, 5);
        policy_done(&policy);
}

static void test_addresses_and_ports_are_replaced(void) {
        struct policy policy = parse("allow connect inet 10.0.0.1 port 80 to 127.0.0.1 port 8080\n"
                                     "allow bind port 1000-1010 to port 2000\n"
                                     "allow connect inet 10.0.0.2/32 to 127.0.0.2");
        struct policy_verdict verdict = decide(&policy, POLICY_CONNECT, "10.0.0.1", 80, 0);

        g_assert_cmpuint(ntohl(verdict.address.inet.sin_addr.s_addr), ==, INADDR_LOOPBACK);
        g_assert_cmpuint(ntohs(verdict.address.inet.sin_port), ==, 8080);
        verdict = decide(&policy, POLICY_BIND, "1.2.3.4", 1007, 0);
        g_assert_cmpuint(ntohl(verdict.address.inet.sin_addr.s_addr), ==, 0x01020304);
        g_assert_cmpuint(ntohs(verdict.address.inet.sin_port), ==, 2007);
        verdict = decide(&policy, POLICY_CONNECT, "10.0.0.2", 99, 0);
        g_assert_cmpuint(ntohl(verdict.address.inet.sin_addr.s_addr), ==, INADDR_LOOPBACK + 1);
        g_assert_cmpuint(ntohs(verdict.address.inet.sin_port), ==, 99);
        policy_done(&policy);
}

static void test_families(void) {
        struct policy policy = parse("deny inet6 fe80::/10\n"
                                     "allow connect inet6 fd00:1234::/33 port 80\n"
                                     "allow connect inet 10.0.0.0/8\n"
                                     "allow connect unix /run/web\n"
                                     "allow bind unix @web/\n"
                                     "allow bind inet6 ::\n"
                                     "allow bind inet6 ::1 port 53 to 127.0.0.1\n"
                                     "allow connect unix /in to /srv/out\n"
                                     "allow connect unix /all/ to @all-\n"
                                     "allow datagram port 53\n"
                                     "allow connect unix\n");
        struct policy_verdict verdict;
        struct pvcalls_name name = address_of("9.9.9.9", 53);

        check(&policy, POLICY_CONNECT, "fe80::1", 80, false, 0);
        check(&policy, POLICY_CONNECT, "fd00:1234:7fff::1", 80, true, 1);
        check(&policy, POLICY_CONNECT, "fd00:1234:8000::1", 80, false, -1);
        check(&policy, POLICY_CONNECT, "::ffff:10.1.2.3", 80, true, 2);        /* it is an IPv4 address */
        check(&policy, POLICY_CONNECT, "::ffff:11.1.2.3", 80, false, -1);
        check(&policy, POLICY_CONNECT, "/run/web", 0, true, 3);
        check(&policy, POLICY_CONNECT, "/run/web/1", 0, true, 3);
        check(&policy, POLICY_CONNECT, "/run/website", 0, true, 10);
        check(&policy, POLICY_CONNECT, "/run/web/../x", 0, false, -1);
        check(&policy, POLICY_CONNECT, "/run/web/..", 0, false, -1);
        check(&policy, POLICY_CONNECT, "/run/web/..x", 0, true, 3);
        check(&policy, POLICY_BIND, "@web/1", 0, true, 4);
        check(&policy, POLICY_BIND, "@web", 0, false, -1);
        check(&policy, POLICY_BIND, "::", 80, true, 5);
        check(&policy, POLICY_BIND, "::2", 80, false, -1);
        verdict = decide(&policy, POLICY_BIND, "::1", 53, 0);
        g_assert_true(IN6_IS_ADDR_V4MAPPED(&verdict.address.inet6.sin6_addr));
        policy_done(&policy);

        policy = parse("allow connect unix /in to /srv/out\nallow connect unix /all/ to @all-\nallow datagram port 53\nallow connect port 80\n");
        verdict = decide(&policy, POLICY_CONNECT, "/in/1", 0, 0);
        g_assert_cmpstr(verdict.address.local.sun_path, ==, "/srv/out/1");
        verdict = decide(&policy, POLICY_CONNECT, "/all/x", 0, 0);
        g_assert_cmpmem(verdict.address.local.sun_path, verdict.address.size - offsetof(struct sockaddr_un, sun_path), "\0all-x", 6);
        check(&policy, POLICY_CONNECT, "/other", 0, false, -1);
        policy_decide(&policy, POLICY_CONNECT, SOCK_DGRAM, &name, 0, &verdict);
        g_assert_true(verdict.allow);
        g_assert_false(policy_allows(&policy, POLICY_CONNECT, SOCK_STREAM, &name));
        policy_done(&policy);
}

/* To connect to any address is to connect to loopback, and the socket is not left to find that out. */
static void test_any_address(void) {
        struct policy policy = parse("deny inet 127.0.0.0/8\nallow connect inet6 ::1 port 80\ndeny inet6 ::1\nallow any\n");
        struct pvcalls_name name = address_of("0.0.0.0", 80);
        struct policy_verdict verdict;

        check(&policy, POLICY_CONNECT, "0.0.0.0", 80, false, 0);
        check(&policy, POLICY_CONNECT, "::ffff:0.0.0.0", 80, false, 0);
        check(&policy, POLICY_CONNECT, "::", 81, false, 2);
        check(&policy, POLICY_BIND, "0.0.0.0", 80, true, 3);
        check(&policy, POLICY_BIND, "::", 80, true, 3);
        g_assert_false(policy_allows(&policy, POLICY_CONNECT, SOCK_STREAM, &name));
        g_assert_true(policy_allows(&policy, POLICY_BIND, SOCK_STREAM, &name));
        policy_done(&policy);

        policy = parse("allow any\n");
        verdict = decide(&policy, POLICY_CONNECT, "0.0.0.0", 80, 0);
        g_assert_cmpuint(ntohl(verdict.address.inet.sin_addr.s_addr), ==, INADDR_LOOPBACK);
        verdict = decide(&policy, POLICY_CONNECT, "::", 80, 0);
        g_assert_true(IN6_IS_ADDR_LOOPBACK(&verdict.address.inet6.sin6_addr));
        verdict = decide(&policy, POLICY_BIND, "::", 80, 0);
        g_assert_true(IN6_IS_ADDR_UNSPECIFIED(&verdict.address.inet6.sin6_addr));
        policy_done(&policy);
}

static void test_rate(void) {
        struct policy policy = parse("allow connect rate 3\nallow any");
        uint64_t now = 1000000000;

        for (int i = 0; i < 3; i++)
                g_assert_true(decide(&policy, POLICY_CONNECT, "10.0.0.1", 80, now).allow);
        struct policy_verdict verdict = decide(&policy, POLICY_CONNECT, "10.0.0.1", 80, now);
        g_assert_true(!verdict.allow && verdict.over_rate && verdict.rule == 0);
        g_assert_true(decide(&policy, POLICY_BIND, "10.0.0.1", 80, now).allow);
        g_assert_false(decide(&policy, POLICY_CONNECT, "10.0.0.1", 80, now + 333333).allow);
        g_assert_true(decide(&policy, POLICY_CONNECT, "10.0.0.1", 80, now + 333334).allow);
        policy_done(&policy);
}

static void test_mistakes(void) {
        static const char *const texts[] = {
                "permit any", "allow any extra", "allow inet 10.0.0.0/33", "allow inet 10.0.0.1/8", "allow inet 10.0.0/8", "allow inet 10.0.0.0/",
                "allow inet 1.2.3.4.5", "allow port", "allow port 65536", "allow port 9-8", "allow port -1", "allow port 1-", "allow port 1x",
                "allow rate 0", "allow rate 4294967296", "allow rate", "deny rate 1", "deny any to port 1", "allow to", "allow to nowhere",
                "allow port 1-10 to port 65530", "allow to port 1-2", "allow \x01", "allow connect bind", "allow inet 10.0.0.0/8/8",
                "allow inet6 fe80::1/10", "allow inet6 1.2.3.4", "allow inet6 ::/129",
                "allow unix port 1", "allow unix /x port 1", "allow unix /x to port 1", "allow unix x", "allow unix to /x", "allow unix /x to y",
                "allow inet to ::1", "allow to ::1", "allow stream datagram", "allow inet ::1", "a b c d e f g h i j k l m n o p q", "allow aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autofree char *text = g_strdup_printf("allow any\n\n%s\nallow any", texts[i]);
                struct policy policy = { .n_rules = 77 };
                struct policy_error error;

                if (policy_parse(text, strlen(text), &policy, &error) != -EINVAL)
                        g_error("'%s' is taken", texts[i]);
                g_assert_cmpuint(error.line, ==, 3);
                g_assert_cmpuint(strlen(error.text), >, 0);
                g_assert_cmpuint(policy.n_rules, ==, 77);
        }
}

static void test_too_much(void) {
        g_autoptr(GString) text = g_string_new(NULL);
        struct policy policy;
        struct policy_error error;

        for (unsigned i = 0; i < POLICY_RULES_MAX; i++)
                g_string_append(text, "allow any\n");
        policy = parse(text->str);
        g_assert_cmpuint(policy.n_rules, ==, POLICY_RULES_MAX);
        policy_done(&policy);
        g_string_append(text, "allow any");
        g_assert_cmpint(policy_parse(text->str, text->len, &policy, &error), ==, -EINVAL);
        g_assert_cmpuint(error.line, ==, POLICY_RULES_MAX + 1);
        while (text->len <= POLICY_TEXT_MAX)
                g_string_append(text, "####################");
        g_assert_cmpint(policy_parse(text->str, text->len, &policy, &error), ==, -EINVAL);
}

static void test_buckets(void) {
        struct rate rate;

        rate_init(&rate, 10, 0);
        g_assert_cmpuint(rate_left(&rate, 5000000), ==, 10);
        g_assert_true(rate_take(&rate, 10, 5000000));
        g_assert_cmpuint(rate_wait(&rate, 1, 5000000), ==, 100000);
        g_assert_false(rate_take(&rate, 1, 5099999));
        g_assert_true(rate_take(&rate, 1, 5100000));
        rate_spend(&rate, 100, 5200000);
        g_assert_cmpuint(rate_left(&rate, 5200000), ==, 0);
        g_assert_cmpuint(rate_left(&rate, 100), ==, 0);         /* a clock that goes back gives nothing */
        g_assert_cmpuint(rate_wait(&rate, 1000, 5200000), ==, 1000000);
        rate_init(&rate, RATE_MAX, 0);
        g_assert_true(rate_take(&rate, RATE_MAX, 0));
        g_assert_cmpuint(rate_left(&rate, UINT64_MAX), ==, RATE_MAX);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/policy/an-empty-one-denies", test_nothing_is_denied);
        g_test_add_func("/policy/the-first-match-decides", test_first_match_decides);
        g_test_add_func("/policy/addresses-and-ports-are-replaced", test_addresses_and_ports_are_replaced);
        g_test_add_func("/policy/families-and-types", test_families);
        g_test_add_func("/policy/any-address-is-a-way-to-loopback", test_any_address);
        g_test_add_func("/policy/beyond-a-rate-is-denied", test_rate);
        g_test_add_func("/policy/mistakes-are-told-with-their-line", test_mistakes);
        g_test_add_func("/policy/too-many-rules-and-bytes", test_too_much);
        g_test_add_func("/rate/buckets", test_buckets);
        return g_test_run();
}
