/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Policies as objects, and the limits in them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rule.h"

void free_text(void *p) {
        free(*(void **) p);
}

void whos_done(struct whos *whos) {
        for (size_t i = 0; i < whos->n; i++) {
                free(whos->who[i].uuid);
                free(whos->who[i].type);
                free(whos->who[i].name);
        }
        free(whos->who);
        *whos = (struct whos) {};
}

struct bridge_rule *rule_free(struct bridge_rule *rule) {
        if (!rule)
                return NULL;
        free(rule->names.text);
        free(rule->path.text);
        free(rule->interface.text);
        free(rule->member);
        free(rule->text);
        whos_done(&rule->whos);
        free(rule);
        return NULL;
}

int bridge_policy_new(struct bridge_policy **ret_policy) {
        struct bridge_policy *policy = calloc(1, sizeof *policy);

        if (!policy)
                return -ENOMEM;
        *ret_policy = policy;
        return 0;
}

struct bridge_policy *bridge_policy_free(struct bridge_policy *policy) {
        if (!policy)
                return NULL;
        for (size_t i = 0; i < policy->n_rules; i++)
                rule_free(policy->rules[i]);
        free(policy->rules);
        for (size_t i = 0; i < policy->n_limits; i++)
                whos_done(&policy->limits[i].whos);
        free(policy->limits);
        for (size_t i = 0; i < policy->n_files; i++)
                free(policy->files[i]);
        free(policy->files);
        free(policy);
        return NULL;
}

size_t bridge_policy_count(const struct bridge_policy *policy) {
        return policy->n_rules;
}

const char *bridge_rule_file(const struct bridge_rule *rule) {
        return rule->file;
}

unsigned bridge_rule_line(const struct bridge_rule *rule) {
        return rule->line;
}

const char *bridge_rule_text(const struct bridge_rule *rule) {
        return rule->text;
}

enum bridge_action bridge_rule_action(const struct bridge_rule *rule) {
        return rule->action;
}

/* docs/bridge-policy.md, "Limits". */
const struct bridge_limit_kind bridge_limit_kinds[_BRIDGE_LIMIT_N] = {
        [BRIDGE_LIMIT_PEERS] = { "peers", 1024 },
        [BRIDGE_LIMIT_NAMES] = { "names", 1024 },
        [BRIDGE_LIMIT_SUBSCRIPTIONS] = { "subscriptions", 8192 },
        [BRIDGE_LIMIT_CALLS] = { "calls", 16384 },
        [BRIDGE_LIMIT_MESSAGE_BYTES] = { "message-bytes", UINT64_C(128) << 20 },
        [BRIDGE_LIMIT_QUEUED_BYTES] = { "queued-bytes", UINT64_C(256) << 20 },
        [BRIDGE_LIMIT_FDS] = { "fds", 1024 },
};

int bridge_limit_find(const char *name, size_t n) {
        for (int i = 0; i < _BRIDGE_LIMIT_N; i++)
                if (strlen(bridge_limit_kinds[i].name) == n && memcmp(bridge_limit_kinds[i].name, name, n) == 0)
                        return i;
        return -1;
}

uint64_t bridge_policy_limit(const struct bridge_policy *policy, const struct bridge_domain *domain, unsigned limit) {
        uint64_t value = bridge_limit_kinds[limit].most;

        for (size_t i = 0; i < policy->n_limits; i++) {
                const struct limit_line *line = &policy->limits[i];
                enum verdict verdict = line->limit == limit ? whos_match(&line->whos, domain) : VERDICT_NO;

                if (verdict != VERDICT_NO && line->value < value)
                        value = line->value;
                if (verdict == VERDICT_YES)
                        break;
        }
        return value;
}
