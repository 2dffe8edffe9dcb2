/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.xen.xcp.pvcalls1.Domain. */

#include <errno.h>
#include <string.h>

#include "database-error.h"
#include "domain.h"
#include "idl-errors.h"
#include "pvcalls1-domain.h"
#include "records.h"
#include "rules.h"

static int on_detach(void *object, struct idl_call *call, struct idl_error *error) {
        const char *path;
        int r;

        r = domain_detach(object, call, &path, error);
        return r < 0 ? r : pvcalls1_domain_reply_detach(call, path);
}

/* The seat that it has; NULL and an error if there is none. */
static struct seat *seat_of(struct domain *domain, struct idl_error *error) {
        if (domain->seat && domain->phase != DOMAIN_ENDING)
                return domain->seat;
        idl_error_set_unreachable(error, "backend of domain", domain->text, "it has ended");
        return NULL;
}

static int on_list_sockets(void *object, struct idl_call *call, struct idl_error *error) {
        struct seat *seat = seat_of(object, error);

        return !seat ? -EHOSTUNREACH : seat->kind->list_sockets(seat, call, error);
}

static const char *caller_of(struct idl_call *call) {
        return sd_bus_message_get_sender(idl_call_message(call));
}

static int on_close_socket(void *object, struct idl_call *call, uint64_t id, struct idl_error *error) {
        struct seat *seat = seat_of(object, error);

        if (!seat)
                return -EHOSTUNREACH;
        audit(object, "close-socket", caller_of(call), "Socket %llu of domain %s is to be closed", (unsigned long long) id,
              seat->domain->text);
        return seat->kind->close_socket(seat, call, id, error);
}

static int on_close_all_sockets(void *object, struct idl_call *call, struct idl_error *error) {
        struct seat *seat = seat_of(object, error);

        if (!seat)
                return -EHOSTUNREACH;
        audit(object, "close-sockets", caller_of(call), "All sockets of domain %s are to be closed", seat->domain->text);
        return seat->kind->close_all_sockets(seat, call, error);
}

static int on_get_counters(void *object, struct idl_call *call, struct idl_error *error) {
        struct seat *seat = seat_of(object, error);

        return !seat ? -EHOSTUNREACH : seat->kind->get_counters(seat, call, error);
}

static int on_check_policy(void *object, struct idl_call *call, enum xcp_pvcalls_call what, enum xcp_address_family family,
                           const char *address, uint16_t port, struct idl_error *error) {
        const struct domain *domain = object;
        bool allowed;
        int32_t rule;
        int r;

        r = rules_check(domain->policy_text, what, family, address, port, &allowed, &rule, error);
        return r < 0 ? r : pvcalls1_domain_reply_check_policy(call, allowed ? XCP_POLICY_ACTION_ALLOW : XCP_POLICY_ACTION_DENY, rule);
}

static int get_domain(void *object, struct idl_arena *arena, uint32_t *ret_domain) {
        *ret_domain = ((const struct domain *) object)->id;
        return 0;
}

static int get_backend_domain(void *object, struct idl_arena *arena, uint32_t *ret_backend_domain) {
        *ret_backend_domain = ((const struct domain *) object)->backend_id;
        return 0;
}

static int get_network_namespace(void *object, struct idl_arena *arena, const char **ret_network_namespace) {
        *ret_network_namespace = ((const struct domain *) object)->network_namespace;
        return 0;
}

static int get_state(void *object, struct idl_arena *arena, enum xcp_pvcalls_state *ret_state) {
        *ret_state = ((const struct domain *) object)->state;
        return 0;
}

static int get_state_reason(void *object, struct idl_arena *arena, const char **ret_state_reason) {
        *ret_state_reason = ((const struct domain *) object)->reason;
        return 0;
}

static int get_features(void *object, struct idl_arena *arena, const char *const **ret_features, size_t *ret_n_features) {
        const struct domain *domain = object;
        const char **features = idl_arena_alloc(arena, domain->n_features + 1, sizeof *features);

        if (!features)
                return -errno;
        for (size_t i = 0; i < domain->n_features; i++)
                features[i] = domain->features[i];
        *ret_features = features;
        *ret_n_features = domain->n_features;
        return 0;
}

static int get_policy(void *object, struct idl_arena *arena, const struct xcp_pvcalls_rule **ret_policy, size_t *ret_n_policy) {
        const struct domain *domain = object;

        *ret_policy = domain->policy;
        *ret_n_policy = domain->n_policy;
        return 0;
}

/* Who sets a property: a setter has no call, but the message is being processed. */
static const char *setter_of(const struct domain *domain) {
        sd_bus_message *message = sd_bus_get_current_message(domain->pvcalls->bus);

        return message ? sd_bus_message_get_sender(message) : NULL;
}

static int set_policy(void *object, const struct xcp_pvcalls_rule *policy, size_t n_policy, struct idl_error *error) {
        struct domain *domain = object;
        int r;

        r = domain_set_policy(domain, policy, n_policy, error);
        if (r < 0)
                return r;
        /* It is tightened even if it cannot be kept: what the caller then hears is that a restart will have the old one. */
        audit(domain, "policy", setter_of(domain), "The policy of domain %u has been replaced; it has %zu rules", domain->id, n_policy);
        if (domain->seat && domain->phase != DOMAIN_ENDING)
                domain->seat->kind->set_policy(domain->seat);
        r = records_set_policy(domain);
        return r < 0 ? database_set_error(domain->pvcalls->db, r, error) : 1;
}

static int get_limits(void *object, struct idl_arena *arena, struct xcp_pvcalls_limits *ret_limits) {
        *ret_limits = ((const struct domain *) object)->limits;
        return 0;
}

static int set_limits(void *object, const struct xcp_pvcalls_limits *limits, struct idl_error *error) {
        struct domain *domain = object;
        int r;

        r = rules_check_limits(limits, error);
        if (r < 0)
                return r;
        domain->limits = *limits;
        audit(domain, "limits", setter_of(domain), "The limits of domain %u have been replaced", domain->id);
        if (domain->seat && domain->phase != DOMAIN_ENDING)
                domain->seat->kind->set_limits(domain->seat);
        r = records_set_limits(domain);
        return r < 0 ? database_set_error(domain->pvcalls->db, r, error) : 1;
}

static const struct pvcalls1_domain_handlers handlers = {
        .detach = on_detach,
        .list_sockets = on_list_sockets,
        .close_socket = on_close_socket,
        .close_all_sockets = on_close_all_sockets,
        .get_counters = on_get_counters,
        .check_policy = on_check_policy,
        .get_domain = get_domain,
        .get_backend_domain = get_backend_domain,
        .get_network_namespace = get_network_namespace,
        .get_state = get_state,
        .get_state_reason = get_state_reason,
        .get_features = get_features,
        .get_policy = get_policy,
        .set_policy = set_policy,
        .get_limits = get_limits,
        .set_limits = set_limits,
};

int domain_export(struct pvcalls *pvcalls) {
        static const char prefix[] = "/org/xen/xcp/pvcalls/domain";
        int r;

        r = objects_new(&pvcalls->objects, pvcalls->bus, prefix);
        return r < 0 ? r : pvcalls1_domain_export_tree(pvcalls->bus, NULL, prefix, &handlers, objects_find, pvcalls->objects);
}
