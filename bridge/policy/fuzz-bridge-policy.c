/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Policies that nobody would write: mistakes have a place, rules mean the same alone, and what is missing allows nothing. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridge-rates.h"
#include "rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const names[] = { "a.b", "org.xen.xcp.storage" };

static struct bridge_query query(unsigned i) {
        return (struct bridge_query) {
                .domain = { .id = i % 3 ? 7 : 0,
                           .uuid = i & 1 ? "6e2bd1ab-5b3e-4ff5-a6a7-19a4a5c0a1f0" : NULL,
                           .type = i & 2 ? "driver" : NULL,
                           .name = i & 4 ? "disk-1" : "" },
                .direction = i & 8 ? BRIDGE_OUT : BRIDGE_IN,
                .kind = i & 16 ? BRIDGE_CALL : BRIDGE_SIGNAL,
                .names = names,
                .n_names = i / 32 % 3,
                .path = i & 1 ? "/a/b" : NULL,
                .interface = i & 2 ? "a.b" : NULL,
                .member = i & 4 ? "M" : NULL,
        };
}

static void check_decision(const struct bridge_query *query, const struct bridge_decision *decision) {
        const struct bridge_rule *rule = decision->rule;

        assert(!decision->allowed || (rule && rule->action == BRIDGE_ALLOW));
        assert(!decision->log || decision->log->action == BRIDGE_LOG);
        if (!decision->allowed)
                return;
        assert((!rule->path.text || query->path) && (!rule->interface.text || query->interface) && (!rule->member || query->member));
        assert(!rule->names.text || query->n_names > 0);
        assert(!rule->unnamed || query->n_names == 0);
}

static void check_alone(const struct bridge_rule *rule) {
        struct bridge_policy_error error;
        struct bridge_policy *policy;
        const struct bridge_rule *alone;

        assert(bridge_policy_new(&policy) == 0);
        assert(bridge_policy_add(policy, "alone", rule->text, strlen(rule->text), &error) == 0);
        assert(policy->n_rules == 1);
        alone = policy->rules[0];
        assert(alone->action == rule->action && alone->kinds == rule->kinds && alone->whos.n == rule->whos.n);
        assert(strcmp(alone->text, rule->text) == 0);
        bridge_policy_free(policy);
}

static void ignore(void *userdata, enum bridge_severity severity, const struct bridge_rule *rule, const char *text) {
        assert(text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        struct bridge_policy_error error = {};
        struct bridge_policy *policy;
        struct bridge_rates *rates;
        int r;

        assert(bridge_policy_new(&policy) == 0);
        r = bridge_policy_add(policy, "fuzz", (const char *) data, n, &error);
        if (r < 0) {
                assert(r == -EINVAL && error.line > 0 && error.column > 0 && error.text[0]);
                bridge_policy_free(policy);
                return 0;
        }
        for (size_t i = 0; i < policy->n_rules; i++)
                check_alone(policy->rules[i]);
        assert(bridge_rates_new(&rates, policy) == 0);
        for (unsigned i = 0; i < 96; i++) {
                struct bridge_query q = query(i);
                struct bridge_decision decision;

                bridge_policy_decide(policy, &q, &decision);
                check_decision(&q, &decision);
                if (decision.rule)
                        bridge_rates_take(rates, decision.rule, i);
                bridge_policy_exports(policy, &q.domain, "a.b");
                assert(bridge_policy_limit(policy, &q.domain, i % _BRIDGE_LIMIT_N) > 0);
        }
        bridge_policy_lint(policy, ignore, NULL);
        bridge_rates_free(rates);
        bridge_policy_free(policy);
        return 0;
}
