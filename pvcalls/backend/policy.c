/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "policy.h"

#include <arpa/inet.h>
#include <stdlib.h>

void policy_done(struct policy *policy) {
        free(policy->rules);
        *policy = (struct policy) {};
}

static bool rule_matches(const struct policy_rule *rule, enum policy_call call, const struct sockaddr_in *address) {
        uint16_t port = ntohs(address->sin_port);

        return (rule->call & call) && (address->sin_addr.s_addr & rule->mask.s_addr) == rule->prefix.s_addr && port >= rule->port_first &&
               port <= rule->port_last;
}

static void replace(const struct policy_rule *rule, struct sockaddr_in *address) {
        uint16_t port = ntohs(address->sin_port);

        if (rule->has_to_address)
                address->sin_addr = rule->to_address;
        if (rule->has_to_port)          /* the parser has seen to it that no port goes beyond the last */
                address->sin_port = htons((uint16_t) (rule->to_port + (port - rule->port_first)));
}

/* The first rule that matches; NULL if none does. */
static struct policy_rule *find_rule(const struct policy *policy, enum policy_call call, const struct sockaddr_in *address) {
        for (size_t i = 0; i < policy->n_rules; i++)
                if (rule_matches(&policy->rules[i], call, address))
                        return &policy->rules[i];
        return NULL;
}

void policy_decide(struct policy *policy, enum policy_call call, const struct sockaddr_in *address, uint64_t now,
                   struct policy_verdict *ret_verdict) {
        struct policy_rule *rule = find_rule(policy, call, address);

        *ret_verdict = (struct policy_verdict) { .rule = rule ? (int) (rule - policy->rules) : -1, .address = *address };
        if (!rule || !rule->allow)
                return;
        ret_verdict->over_rate = rule->has_rate && !rate_take(&rule->rate, 1, now);
        ret_verdict->allow = !ret_verdict->over_rate;
        if (ret_verdict->allow)
                replace(rule, &ret_verdict->address);
}

bool policy_allows(const struct policy *policy, enum policy_call call, const struct sockaddr_in *address) {
        const struct policy_rule *rule = find_rule(policy, call, address);

        return rule && rule->allow;
}
