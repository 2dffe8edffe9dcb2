/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "domain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "pvcalls1-domain.h"
#include "rules.h"

struct domain *domain_find(struct pvcalls *pvcalls, uint32_t id) {
        for (struct domain *domain = pvcalls->domains; domain; domain = domain->next)
                if (domain->id == id)
                        return domain;
        return NULL;
}

int domain_new(struct domain **ret_domain, struct pvcalls *pvcalls, uint32_t id, uint32_t backend_id, const char *network_namespace) {
        struct domain *domain = calloc(1, sizeof *domain);

        if (!domain)
                return -ENOMEM;
        *domain = (struct domain) {
                .pvcalls = pvcalls,
                .next = pvcalls->domains,
                .id = id,
                .backend_id = backend_id,
                .network_namespace = strdup(network_namespace),
                .policy_text = strdup(""),
                .limits = { .sockets = 1024, .sockets_per_second = 1000, .max_page_order = 9 },
                .state = XCP_PVCALLS_STATE_WAITING,
                .reason = strdup(""),
        };
        snprintf(domain->text, sizeof domain->text, "%u", id);
        pvcalls->domains = domain;
        pvcalls->n_domains++;
        if (!domain->network_namespace || !domain->policy_text || !domain->reason) {
                domain_free(domain);
                return -ENOMEM;
        }
        *ret_domain = domain;
        return 0;
}

const struct seat_kind *domain_seat_kind(const struct domain *domain) {
        return domain->backend_id == domain->pvcalls->nodes.own_domain ? &local_seat : &remote_seat;
}

struct domain *domain_free(struct domain *domain) {
        if (!domain)
                return NULL;
        for (struct domain **p = &domain->pvcalls->domains; *p; p = &(*p)->next)
                if (*p == domain) {
                        *p = domain->next;
                        domain->pvcalls->n_domains--;
                        break;
                }
        if (domain->seat)
                domain->seat->kind->free(domain->seat);
        sd_event_source_disable_unref(domain->timer);
        idl_arena_done(&domain->arena);
        idl_error_done(&domain->error);
        free(domain->policy_text);
        free(domain->network_namespace);
        free(domain->reason);
        free(domain);
        return NULL;
}

int domain_set_policy(struct domain *domain, const struct xcp_pvcalls_rule *policy, size_t n, struct idl_error *error) {
        struct idl_arena arena = IDL_ARENA_NULL;
        const struct xcp_pvcalls_rule *copy;
        AUTO_FREE char *text = NULL;
        char *old = domain->policy_text;
        size_t n_copy;
        int r;

        r = rules_format(policy, n, &text, error);
        if (r < 0)
                return r;
        r = xcp_array_pvcalls_rule_copy(&arena, &copy, &n_copy, policy, n);
        if (r < 0) {
                idl_arena_done(&arena);
                return r;
        }
        idl_arena_done(&domain->arena);
        domain->arena = arena;
        domain->policy = copy;
        domain->n_policy = n_copy;
        domain->policy_text = text;
        text = old;                     /* freed */
        return 0;
}

static bool features_differ(struct domain *domain) {
        char features[NODES_FEATURES_MAX][NODES_FEATURE_SIZE] = {};
        size_t n = 0;

        if (domain->state == XCP_PVCALLS_STATE_CONNECTED)
                n = nodes_features(&domain->pvcalls->nodes, domain->id, domain->backend_id, features);
        if (n == domain->n_features && memcmp(features, domain->features, sizeof features) == 0)
                return false;
        memcpy(domain->features, features, sizeof features);
        domain->n_features = n;
        return true;
}

/* A domain that has Failed is something that an operator wants to know. */
static void tell_health(const struct domain *domain, bool failed) {
        char name[32], text[300];

        snprintf(name, sizeof name, "domain-%u", domain->id);
        snprintf(text, sizeof text, "The sockets of domain %u: %.200s", domain->id, domain->reason);
        diagnostics_problem(service_diagnostics(domain->pvcalls->service), failed ? HEALTH_DEGRADED : HEALTH_GOOD, name, failed ? text : NULL);
}

void domain_set_state(struct domain *domain, enum xcp_pvcalls_state state, const char *reason) {
        bool was_failed = domain->state == XCP_PVCALLS_STATE_FAILED;
        unsigned changed = 0;

        if (domain->state != state)
                changed |= PVCALLS1_DOMAIN_PROPERTY_STATE;
        domain->state = state;
        if (strcmp(domain->reason, reason) != 0) {
                char *copy = strdup(reason);

                if (copy) {
                        free(domain->reason);
                        domain->reason = copy;
                        changed |= PVCALLS1_DOMAIN_PROPERTY_STATE_REASON;
                }
        }
        if (was_failed || state == XCP_PVCALLS_STATE_FAILED)
                tell_health(domain, state == XCP_PVCALLS_STATE_FAILED);
        if (features_differ(domain))
                changed |= PVCALLS1_DOMAIN_PROPERTY_FEATURES;
        if (domain->path && changed)
                pvcalls1_domain_emit_changed(domain->pvcalls->bus, domain->path, changed);
}

void domain_seat_denied(struct domain *domain, const struct report_denied *denied) {
        domain->pvcalls->n_denied += denied->count;
        audit(domain, "denied", NULL, "Domain %u was denied to %s %s port %u: %s (rule %d, %u times)", domain->id,
              denied->call == XCP_PVCALLS_CALL_CONNECT ? "connect to" : "bind", denied->address, denied->port,
              denied->rule < 0 ? "no rule allows it" : "a rule says so, or its rate is used up", denied->rule, denied->count);
        if (domain->path)
                pvcalls1_domain_emit_denied(domain->pvcalls->bus, domain->path, denied->call, denied->family, denied->address,
                                            denied->port, denied->rule, denied->count);
}
