/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "policy.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* An address as rules see it. */
struct subject {
        int family;                     /* AF_INET also for IPv6 addresses that stand for one of IPv4 */
        uint8_t address[16];
        uint16_t port;
        char path[POLICY_PATH_SIZE];
};

void policy_done(struct policy *policy) {
        free(policy->rules);
        *policy = (struct policy) {};
}

/* As a rule would have it. An abstract name with another byte 0 in it, which no rule can have, is left out, and so is nothing's. */
static void subject_set_path(struct subject *subject, const struct sockaddr_un *address, size_t n) {
        if (n > 1 && address->sun_path[0] == '\0' && memchr(address->sun_path + 1, 0, n - 1))
                return;
        memcpy(subject->path, address->sun_path, n < sizeof subject->path - 1 ? n : sizeof subject->path - 1);
        if (n > 0 && subject->path[0] == '\0')
                subject->path[0] = '@';
}

/* A connect's address becomes that where it goes: otherwise 0.0.0.0 would be a way to loopback past the rules about it. */
static void subject_init(struct subject *subject, enum policy_call call, struct pvcalls_name *name) {
        if (call == POLICY_CONNECT)
                pvcalls_name_make_destination(name);
        *subject = (struct subject) { .family = name->any.sa_family, .port = ntohs(pvcalls_name_port(name)) };
        if (subject->family == AF_INET) {
                memcpy(subject->address, &name->inet.sin_addr, 4);
        } else if (subject->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&name->inet6.sin6_addr)) {
                subject->family = AF_INET;
                memcpy(subject->address, name->inet6.sin6_addr.s6_addr + 12, 4);
        } else if (subject->family == AF_INET6) {
                memcpy(subject->address, &name->inet6.sin6_addr, 16);
        } else if (subject->family == AF_UNIX) {
                subject_set_path(subject, &name->local, name->size - offsetof(struct sockaddr_un, sun_path));
        }
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned n) {
        uint8_t mask = (uint8_t) (0xff00u >> n % 8);

        return memcmp(a, b, n / 8) == 0 && ((a[n / 8 % 16] ^ b[n / 8 % 16]) & mask) == 0;
}

/* Whether a path is what a rule names, or lies below it; what could lead out again, or depends on a working directory, is nowhere. */
static bool path_is_below(const char *path, const char *prefix) {
        size_t n = strlen(prefix);

        if (path[0] != '@' && (path[0] != '/' || strstr(path, "/../") || (strlen(path) >= 3 && strcmp(path + strlen(path) - 3, "/..") == 0)))
                return false;
        if (strncmp(path, prefix, n) != 0)
                return false;
        return n == 0 || path[n] == '\0' || path[n] == '/' || prefix[n - 1] == '/';
}

static bool prefix_matches(const struct policy_prefix *prefix, const struct subject *subject) {
        switch (prefix->family) {
        case AF_UNSPEC: return subject->family != AF_UNIX;
        case AF_UNIX: return subject->family == AF_UNIX && path_is_below(subject->path, prefix->path);
        default: return subject->family == prefix->family && bits_equal(subject->address, prefix->address, prefix->n_bits);
        }
}

static bool rule_matches(const struct policy_rule *rule, enum policy_call call, int type, const struct subject *subject) {
        return (rule->call & call) && (rule->type == 0 || rule->type == type) && subject->port >= rule->port_first &&
               subject->port <= rule->port_last && prefix_matches(&rule->prefix, subject);
}

/* What follows the rule's path is kept. Returns false if that is too long for an address. */
static bool replace_path(const struct policy_rule *rule, const struct subject *subject, struct pvcalls_name *address) {
        const char *rest = subject->path + strlen(rule->prefix.path);
        size_t n_to = strlen(rule->to.path), n_rest = strlen(rest);

        if (n_to + n_rest >= sizeof address->local.sun_path)
                return false;
        pvcalls_name_init(address, AF_UNIX);
        memcpy(address->local.sun_path, rule->to.path, n_to);
        memcpy(address->local.sun_path + n_to, rest, n_rest + 1);
        address->size += (socklen_t) (n_to + n_rest);
        if (address->local.sun_path[0] == '@')
                address->local.sun_path[0] = '\0';
        else
                address->size++;
        return true;
}

/* The parser has seen to it that an IPv4 socket gets no IPv6 address; an IPv6 socket reaches one of IPv4 by that which stands for it. */
static void replace_address(const struct policy_prefix *to, struct pvcalls_name *address) {
        if (address->any.sa_family == AF_INET) {
                memcpy(&address->inet.sin_addr, to->address, 4);
        } else if (to->family == AF_INET) {
                static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

                memcpy(address->inet6.sin6_addr.s6_addr, mapped, 12);
                memcpy(address->inet6.sin6_addr.s6_addr + 12, to->address, 4);
        } else {
                memcpy(address->inet6.sin6_addr.s6_addr, to->address, 16);
        }
}

/* Returns false if there is no such address. */
static bool replace(const struct policy_rule *rule, const struct subject *subject, struct pvcalls_name *address) {
        if (rule->has_to_address && rule->to.family == AF_UNIX)
                return replace_path(rule, subject, address);
        if (rule->has_to_address)
                replace_address(&rule->to, address);
        if (rule->has_to_port)          /* the parser has seen to it that no port goes beyond the last */
                pvcalls_name_set_port(address, htons((uint16_t) (rule->to_port + (subject->port - rule->port_first))));
        return true;
}

/* The first rule that matches; NULL if none does. */
static struct policy_rule *find_rule(const struct policy *policy, enum policy_call call, int type, const struct subject *subject) {
        for (size_t i = 0; i < policy->n_rules; i++)
                if (rule_matches(&policy->rules[i], call, type, subject))
                        return &policy->rules[i];
        return NULL;
}

void policy_decide(struct policy *policy, enum policy_call call, int type, const struct pvcalls_name *address, uint64_t now,
                   struct policy_verdict *ret_verdict) {
        struct pvcalls_name judged = *address;
        struct policy_rule *rule;
        struct subject subject;

        subject_init(&subject, call, &judged);
        rule = find_rule(policy, call, type, &subject);
        *ret_verdict = (struct policy_verdict) { .rule = rule ? (int) (rule - policy->rules) : -1, .address = judged };
        if (!rule || !rule->allow)
                return;
        ret_verdict->over_rate = rule->has_rate && !rate_take(&rule->rate, 1, now);
        ret_verdict->allow = !ret_verdict->over_rate && replace(rule, &subject, &ret_verdict->address);
}

bool policy_allows(const struct policy *policy, enum policy_call call, int type, const struct pvcalls_name *address) {
        struct pvcalls_name judged = *address;
        const struct policy_rule *rule;
        struct subject subject;

        subject_init(&subject, call, &judged);
        rule = find_rule(policy, call, type, &subject);
        return rule && rule->allow;
}
