/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the hub answers: org.xen.xcp.bridge1.Manager, and a Link for each domain. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bridge1-link.h"
#include "bridge1-manager.h"
#include "cleanup.h"
#include "guard-policy.h"
#include "hub.h"
#include "idl-errors.h"
#include "move-service.h"

#define DENIED_PER_SECOND 10u           /* org.xen.xcp.bridge1.Manager.Denied */

/* Links */

void hub_link_changed(struct hub_link *link) {
        if (link->path)
                bridge1_link_emit_changed(link->hub->bus, link->path,
                                          BRIDGE1_LINK_PROPERTY_STATE | BRIDGE1_LINK_PROPERTY_STATE_REASON |
                                          BRIDGE1_LINK_PROPERTY_EPOCH | BRIDGE1_LINK_PROPERTY_PROTOCOL_VERSION);
}

void hub_link_names_changed(struct hub_link *link) {
        if (link->path && !link->removed)
                bridge1_link_emit_changed(link->hub->bus, link->path, BRIDGE1_LINK_PROPERTY_NAMES);
}

static int get_domain(void *object, struct idl_arena *arena, uint32_t *ret_domain) {
        struct hub_link *link = object;

        *ret_domain = link->domain;
        return 0;
}

static int get_domain_uuid(void *object, struct idl_arena *arena, const char **ret_uuid) {
        struct hub_link *link = object;

        *ret_uuid = link->uuid;
        return 0;
}

static int get_epoch(void *object, struct idl_arena *arena, uint64_t *ret_epoch) {
        struct hub_link *link = object;

        *ret_epoch = link->epoch;
        return 0;
}

static int get_state(void *object, struct idl_arena *arena, enum xcp_link_state *ret_state) {
        struct hub_link *link = object;

        *ret_state = link->state;
        return 0;
}

static int get_state_reason(void *object, struct idl_arena *arena, const char **ret_reason) {
        struct hub_link *link = object;

        *ret_reason = link->reason;
        return 0;
}

static int get_protocol_version(void *object, struct idl_arena *arena, uint32_t *ret_version) {
        struct hub_link *link = object;

        *ret_version = link->version;
        return 0;
}

static int get_names(void *object, struct idl_arena *arena, const char *const **ret_names, size_t *ret_n) {
        struct hub_link *link = object;
        const char **names = idl_arena_alloc(arena, link->n_names + 1, sizeof *names);
        size_t n = 0;

        if (!names)
                return -ENOMEM;
        for (const struct hub_name *name = link->names; name; name = name->next)
                names[n++] = name->name;
        *ret_names = names;
        *ret_n = n;
        return 0;
}

static int names_of_peer(struct idl_arena *arena, const struct hub_peer *peer, struct xcp_bridge_peer *to) {
        const char **names = idl_arena_alloc(arena, peer->link->n_names + 1, sizeof *names);

        if (!names)
                return -ENOMEM;
        to->names = names;
        for (const struct hub_name *name = peer->link->names; name; name = name->next)
                if (strcmp(name->owner, peer->unique) == 0)
                        names[to->n_names++] = name->name;
        return 0;
}

static int on_list_peers(void *object, struct idl_call *call, struct idl_error *error) {
        struct hub_link *link = object;
        struct idl_arena *arena = idl_call_arena(call);
        struct xcp_bridge_peer *peers = idl_arena_alloc(arena, link->n_peers + 1, sizeof *peers);
        size_t n = 0;

        if (!peers)
                return -ENOMEM;
        for (const struct hub_peer *peer = link->peers; peer; peer = peer->next) {
                const struct session_figures *figures = &link->figures->peers[peer->figures];
                int r;

                peers[n] = (struct xcp_bridge_peer) {
                        .local_name = peer->unique,
                        .remote_name = peer->remote_unique,
                        .outstanding_calls = figures->n_calls,
                        .queued_bytes = figures->n_queued,
                };
                r = names_of_peer(arena, peer, &peers[n++]);
                if (r < 0)
                        return r;
        }
        return bridge1_link_reply_list_peers(call, peers, n);
}

static int on_get_counters(void *object, struct idl_call *call, struct idl_error *error) {
        struct hub_link *link = object;
        struct xcp_dict_s_t_entry counters[_COUNTER_N];

        for (size_t i = 0; i < _COUNTER_N; i++)
                counters[i] = (struct xcp_dict_s_t_entry) {
                        .key = session_counter_name((enum session_counter) i),
                        .value = link->figures ? __atomic_load_n(&link->figures->counters[i], __ATOMIC_RELAXED) : 0,
                };
        return bridge1_link_reply_get_counters(call, counters, _COUNTER_N);
}

static int on_reconnect(void *object, struct idl_call *call, struct idl_error *error) {
        struct hub_link *link = object;

        hub_link_renew(link, "somebody asked for a new link");
        return bridge1_link_reply_reconnect(call);
}

static const struct bridge1_link_handlers link_handlers = {
        .list_peers = on_list_peers,
        .get_counters = on_get_counters,
        .reconnect = on_reconnect,
        .get_domain = get_domain,
        .get_domain_uuid = get_domain_uuid,
        .get_epoch = get_epoch,
        .get_state = get_state,
        .get_state_reason = get_state_reason,
        .get_protocol_version = get_protocol_version,
        .get_names = get_names,
};

/* Who is where */

/* A question that waits for the bus to say who owns a name. */
struct question {
        struct hub *hub;
        struct idl_call *call;
        char name[];
};

static struct question *question_free(struct question *question) {
        idl_call_unref(question->call);
        free(question);
        return NULL;
}

/* The owner of the name that was asked about, or NULL. */
static const char *owner_in(sd_bus_message *reply) {
        const char *owner;

        return sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "s", &owner) < 0 ? NULL : owner;
}

static int ask_owner(struct hub *hub, struct idl_call *call, const char *name, sd_bus_message_handler_t answer) {
        struct question *question = malloc(sizeof *question + strlen(name) + 1);
        int r;

        if (!question)
                return -ENOMEM;
        question->hub = hub;
        question->call = idl_call_ref(call);
        strcpy(question->name, name);
        r = sd_bus_call_method_async(hub->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                     "GetNameOwner", answer, question, "s", name);
        if (r < 0)
                question_free(question);
        return r;
}

static void fail(struct question *question, const char *kind) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;

        idl_error_set_does_not_exist(&error, kind, question->name);
        idl_call_fail(question->call, &error);
}

static int on_connection_owner(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct question *question = userdata;
        struct hub *hub = question->hub;
        const char *owner = owner_in(reply);
        struct hub_peer *peer = owner ? table_get_string(hub->peers, owner) : NULL;

        if (!owner)
                fail(question, "connection");
        else if (peer)
                bridge1_manager_reply_get_connection_domain(question->call, peer->link->domain, peer->link->uuid, peer->link->epoch,
                                                            peer->remote_unique);
        else
                bridge1_manager_reply_get_connection_domain(question->call, hub->own_domain, hub->own_uuid, 0, owner);
        question_free(question);
        return 0;
}

static int on_get_connection_domain(void *object, struct idl_call *call, const char *name, struct idl_error *error) {
        if (!sd_bus_service_name_is_valid(name))
                return idl_error_set_does_not_exist(error, "connection", name);
        return ask_owner(object, call, name, on_connection_owner);
}

static int on_service_owner(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct question *question = userdata;
        struct hub *hub = question->hub;
        const char *owner = owner_in(reply);
        struct hub_peer *peer = owner ? table_get_string(hub->peers, owner) : NULL;
        struct hub_link *link = owner ? NULL : hub_activation_link(hub, question->name);

        if (owner)
                bridge1_manager_reply_get_service_domain(question->call, peer ? peer->link->domain : hub->own_domain, true);
        else if (link)
                bridge1_manager_reply_get_service_domain(question->call, link->domain, false);
        else
                fail(question, "service");
        question_free(question);
        return 0;
}

static int on_get_service_domain(void *object, struct idl_call *call, const char *name, struct idl_error *error) {
        if (!sd_bus_service_name_is_valid(name))
                return idl_error_set_does_not_exist(error, "service", name);
        return ask_owner(object, call, name, on_service_owner);
}

static int on_start_service(void *object, struct idl_call *call, const char *name, struct idl_error *error) {
        return hub_start_service(object, call, name, error);
}

/* Policy */

/* The parts of what a process says was denied: a word per line, in this order. */
enum { DENIED_KIND, DENIED_DESTINATION, DENIED_PATH, DENIED_INTERFACE, DENIED_MEMBER, DENIED_OWNS, _DENIED_N };

void hub_denied(struct hub_link *link, const struct control *control) {
        char copy[CONTROL_TEXT_MAX], *rest = copy;
        const char *parts[_DENIED_N] = { NULL };
        struct xcp_bridge_message message = { .domain = link->domain };
        struct timespec now;
        uint64_t usec;

        clock_gettime(CLOCK_MONOTONIC, &now);
        usec = (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
        if (usec - link->denied_usec >= 1000000) {
                link->denied_usec = usec;
                link->n_denied = 0;
        }
        link->n_not_told++;
        if (++link->n_denied > DENIED_PER_SECOND)
                return;
        strcpy(copy, control->first);
        for (size_t i = 0; i < _DENIED_N && rest; i++) {
                const char *part = strsep(&rest, "\n");

                parts[i] = *part ? part : NULL;
        }
        message.direction = control->value == GUARD_IN ? XCP_DIRECTION_IN : XCP_DIRECTION_OUT;
        message.kind = parts[DENIED_KIND] && strcmp(parts[DENIED_KIND], "signal") == 0 ? XCP_MESSAGE_KIND_SIGNAL : XCP_MESSAGE_KIND_METHOD_CALL;
        message.destination = parts[DENIED_DESTINATION];
        message.path = parts[DENIED_PATH];
        message.interface = parts[DENIED_INTERFACE];
        message.member = parts[DENIED_MEMBER];
        message.owns = parts[DENIED_OWNS];
        bridge1_manager_emit_denied(link->hub->bus, service_path(link->hub->service), &message, control->second, link->n_not_told);
        link->n_not_told = 0;
}

static int refuse_field(struct idl_error *error, const char *field, const char *value, const char *wrong) {
        char name[32];

        snprintf(name, sizeof name, "message.%s", field);
        return idl_error_set_invalid_argument(error, name, value, wrong);
}

static int on_check_policy(void *object, struct idl_call *call, const struct xcp_bridge_message *message, struct idl_error *error) {
        struct hub *hub = object;
        struct hub_link *link = table_get_number(hub->by_domain, message->domain);
        const char *const name = message->owns ? message->owns : message->destination;
        struct bridge_query query = {
                .domain = { .id = message->domain },
                .direction = message->direction == XCP_DIRECTION_IN ? BRIDGE_IN : BRIDGE_OUT,
                .kind = message->owns ? BRIDGE_OWN : message->kind == XCP_MESSAGE_KIND_SIGNAL ? BRIDGE_SIGNAL : BRIDGE_CALL,
                .names = &name,
                .n_names = name ? 1 : 0,
                .path = message->path,
                .interface = message->interface,
                .member = message->member,
        };
        struct bridge_decision decision;
        const char *field, *value, *wrong;
        char place[300] = "", id[16];

        if (!link) {
                snprintf(id, sizeof id, "%u", message->domain);
                return idl_error_set_does_not_exist(error, "link to domain", id);
        }
        if (message->kind == XCP_MESSAGE_KIND_ANY)
                return refuse_field(error, "kind", "Any", "a message is a MethodCall or a Signal");
        field = bridge_query_fault(&query, &value, &wrong);
        if (field)
                return refuse_field(error, field, value, wrong);
        query.domain.uuid = link->uuid;
        query.domain.name = link->name;
        query.domain.type = link->type;
        bridge_policy_decide(hub->policy, &query, &decision);
        if (decision.rule)
                snprintf(place, sizeof place, "%s:%u", bridge_rule_file(decision.rule), bridge_rule_line(decision.rule));
        return bridge1_manager_reply_check_policy(call, decision.allowed ? XCP_POLICY_ACTION_ALLOW : XCP_POLICY_ACTION_DENY, place);
}

static int on_reload_policy(void *object, struct idl_call *call, struct idl_error *error) {
        return hub_policy_reload(object, call, error);
}

static int on_move_service(void *object, struct idl_call *call, const char *name, uint32_t domain, struct idl_error *error) {
        return hub_move_service(object, call, name, domain, error);
}

static int get_own_domain(void *object, struct idl_arena *arena, uint32_t *ret_domain) {
        struct hub *hub = object;

        *ret_domain = hub->own_domain;
        return 0;
}

static int get_policy_generation(void *object, struct idl_arena *arena, uint32_t *ret_generation) {
        struct hub *hub = object;

        *ret_generation = hub->policy_generation;
        return 0;
}

static const struct bridge1_manager_handlers manager_handlers = {
        .get_connection_domain = on_get_connection_domain,
        .get_service_domain = on_get_service_domain,
        .start_service = on_start_service,
        .check_policy = on_check_policy,
        .reload_policy = on_reload_policy,
        .move_service = on_move_service,
        .get_domain = get_own_domain,
        .get_policy_generation = get_policy_generation,
};

int hub_objects_export(struct hub *hub) {
        AUTO_FREE char *prefix = NULL;
        int r;

        if (asprintf(&prefix, "%s/link", service_path(hub->service)) < 0) {
                prefix = NULL;
                return -ENOMEM;
        }
        r = objects_new(&hub->links, hub->bus, prefix);
        if (r < 0)
                return r;
        r = bridge1_link_export_tree(hub->bus, NULL, prefix, &link_handlers, objects_find, hub->links);
        return r < 0 ? r : bridge1_manager_export(hub->bus, NULL, service_path(hub->service), &manager_handlers, hub);
}
