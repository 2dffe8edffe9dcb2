/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "guard-policy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bridge-policy.h"
#include "bridge-rates.h"
#include "log.h"

#define RECORDS_AT_ONCE 1000u          /* lines of the log: a service that tries all that it may not at its start */
#define RECORD_NSEC UINT64_C(10000000)  /* and then one in so long */

struct guard {
        struct bridge_domain domain;
        struct bridge_policy *policy;
        struct bridge_rates *rates;
        uint64_t limits[_BRIDGE_LIMIT_N];       /* of the policy, for the domain: each message is held to some */
        struct bridge_bucket records;   /* that may be made of what the domain does */
        uint64_t n_unrecorded;
        guard_denied_t denied;
        void *userdata;
};

static uint64_t now_usec(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

int guard_use(struct guard *guard, struct bridge_policy *policy) {
        struct bridge_rates *rates;
        int r;

        r = bridge_rates_new(&rates, policy);
        if (r < 0) {
                bridge_policy_free(policy);
                return r;
        }
        bridge_rates_free(guard->rates);
        bridge_policy_free(guard->policy);
        guard->rates = rates;
        guard->policy = policy;
        for (unsigned limit = 0; limit < _BRIDGE_LIMIT_N; limit++)
                guard->limits[limit] = bridge_policy_limit(policy, &guard->domain, limit);
        return 0;
}

int guard_new(struct guard **ret_guard, const struct guard_domain *domain, guard_denied_t denied, void *userdata) {
        struct guard *guard = calloc(1, sizeof *guard);
        struct bridge_policy *nothing;
        int r;

        if (!guard)
                return -ENOMEM;
        guard->domain = (struct bridge_domain) { .id = domain->id, .uuid = domain->uuid, .name = domain->name, .type = domain->type };
        guard->records = (struct bridge_bucket) {
                .interval_ns = RECORD_NSEC,
                .burst = RECORDS_AT_ONCE,
                .level_ns = RECORDS_AT_ONCE * RECORD_NSEC,
        };
        guard->denied = denied;
        guard->userdata = userdata;
        r = bridge_policy_new(&nothing);
        if (r >= 0)
                r = guard_use(guard, nothing);
        if (r < 0) {
                guard_free(guard);
                return r;
        }
        *ret_guard = guard;
        return 0;
}

struct guard *guard_free(struct guard *guard) {
        if (!guard)
                return NULL;
        bridge_rates_free(guard->rates);
        bridge_policy_free(guard->policy);
        free(guard);
        return NULL;
}

static void place_of(const struct bridge_rule *rule, char *text, size_t n) {
        if (rule)
                snprintf(text, n, "%s:%u", bridge_rule_file(rule), bridge_rule_line(rule));
        else
                text[0] = '\0';
}

/* Audit */

static const char *or_empty(const char *text) {
        return text ? text : "";
}

static const char *kind_of(const struct bridge_query *query) {
        return query->kind == BRIDGE_OWN ? "own" : query->kind == BRIDGE_SIGNAL ? "signal" : "method_call";
}

/* A domain can fill neither the log nor the hub's hands: of what is too much, the number is recorded. All is in the counters. */
static bool may_record(struct guard *guard) {
        if (!bridge_bucket_take(&guard->records, 1000 * now_usec())) {
                guard->n_unrecorded++;
                return false;
        }
        if (guard->n_unrecorded > 0)
                log_event(LOG_WARNING, NULL, "%" PRIu64 " more that were denied, noted or dropped of domain %u were not recorded one by one",
                          guard->n_unrecorded, guard->domain.id);
        guard->n_unrecorded = 0;
        return true;
}

static void audit(const struct guard *guard, const struct bridge_query *query, const char *destination, const char *verdict,
                  const char *place) {
        char domain[16];

        snprintf(domain, sizeof domain, "%u", guard->domain.id);
        log_event(LOG_WARNING,
                  LOG_FIELDS({ "XCP_DOMAIN", domain }, { "XCP_UUID", or_empty(guard->domain.uuid) }, { "XCP_KIND", kind_of(query) },
                             { "XCP_DESTINATION", or_empty(destination) }, { "XCP_PATH", or_empty(query->path) },
                             { "XCP_INTERFACE", or_empty(query->interface) }, { "XCP_MEMBER", or_empty(query->member) },
                             { "XCP_RULE", place }),
                  "%s %s domain %u: %s, by %s", verdict,
                  query->kind == BRIDGE_OWN ? "to" : query->direction == BRIDGE_IN ? "from" : "to", guard->domain.id, kind_of(query),
                  *place ? place : "no rule");
}

/* One question, with what is recorded of the answer. */
static bool decide(struct guard *guard, const struct bridge_query *query, const char *destination) {
        struct bridge_decision decision;
        char place[300], told[1024];
        bool allowed;

        bridge_policy_decide(guard->policy, query, &decision);
        if (decision.log && may_record(guard)) {
                place_of(decision.log, place, sizeof place);
                audit(guard, query, destination, decision.allowed ? "Allowed" : "Noted", place);
        }
        allowed = decision.allowed && (!decision.rule || bridge_rates_take(guard->rates, decision.rule, now_usec()));
        if (allowed)
                return true;
        if (!may_record(guard))
                return false;
        place_of(decision.rule, place, sizeof place);
        audit(guard, query, destination, decision.allowed ? "Too many, denied" : "Denied", place);
        snprintf(told, sizeof told, "%s\n%s\n%s\n%s\n%s\n%s", kind_of(query), or_empty(destination), or_empty(query->path),
                 or_empty(query->interface), or_empty(query->member), query->kind == BRIDGE_OWN ? query->names[0] : "");
        guard->denied(guard->userdata, query->direction == BRIDGE_IN ? GUARD_IN : GUARD_OUT, told, place);
        return false;
}

bool guard_allows(struct guard *guard, enum guard_direction direction, const struct message *message, const char *const *names,
                  size_t n_names) {
        const struct bridge_query query = {
                .domain = guard->domain,
                .direction = direction == GUARD_IN ? BRIDGE_IN : BRIDGE_OUT,
                .kind = message->type == MESSAGE_SIGNAL ? BRIDGE_SIGNAL : BRIDGE_CALL,
                .names = names,
                .n_names = n_names,
                .path = message->path,
                .interface = message->interface,
                .member = message->member,
        };

        return decide(guard, &query, message->destination);
}

void guard_dropped(struct guard *guard, enum guard_direction direction, const struct message *message, const char *why) {
        char domain[16];

        if (!may_record(guard))
                return;
        snprintf(domain, sizeof domain, "%u", guard->domain.id);
        log_event(LOG_WARNING,
                  LOG_FIELDS({ "XCP_DOMAIN", domain }, { "XCP_KIND", "signal" }, { "XCP_DESTINATION", or_empty(message->destination) },
                             { "XCP_PATH", or_empty(message->path) }, { "XCP_INTERFACE", or_empty(message->interface) },
                             { "XCP_MEMBER", or_empty(message->member) }),
                  "A signal %s domain %u was dropped: %s", direction == GUARD_IN ? "from" : "to", guard->domain.id, why);
}

bool guard_allows_name(struct guard *guard, const char *name) {
        const struct bridge_query query = { .domain = guard->domain, .kind = BRIDGE_OWN, .names = &name, .n_names = 1 };

        return decide(guard, &query, NULL);
}

bool guard_exports(struct guard *guard, const char *name) {
        return bridge_policy_exports(guard->policy, &guard->domain, name);
}

uint64_t guard_limit(const struct guard *guard, enum bridge_limit limit) {
        return guard->limits[limit];
}
