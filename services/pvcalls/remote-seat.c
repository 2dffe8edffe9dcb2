/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Seats in driver domains: the backend is run by that domain's own controller, which this one calls by the same interfaces that anybody
 * calls this one by. It is org.xen.xcp.pvcalls.domainN on this bus, and comes over the bridge.
 *
 *         verify ──► look up, if it may be attached there ──► attach ──► set policy and limits ──► state
 *
 * and again whenever that name has a new owner. A bridge's policy says who may own the name; verify asks the bridge whether it really is
 * that domain, because a policy with a * in it would let one driver domain pose as another.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "domain.h"
#include "idl-errors.h"
#include "pvcalls1-domain.h"
#include "pvcalls1-manager.h"
#include "remote-error.h"

#define CALL_USEC UINT64_C(10000000)    /* of a call that does not take long there */
#define ATTACH_USEC UINT64_C(30000000)  /* without waiting for a frontend */
#define CLOSE_USEC UINT64_C(4500000)    /* seat.h promises 5 s */
#define MANAGER_PATH "/org/xen/xcp/pvcalls"
#define TASK_PREFIX MANAGER_PATH "/task"
#define PROPERTIES "org.freedesktop.DBus.Properties"

struct remote {
        struct seat seat;
        char name[48];                  /* the service's */
        char path[64];                  /* the domain's object, there as here */
        sd_bus_slot *owner, *signals;   /* what is listened to */
        sd_bus_slot *call;              /* the step that is being taken */
        sd_bus_slot *set_policy, *set_limits;
        struct remote_task *task;
        sd_event_source *timer;
        bool stale;                     /* a signal came in the middle of a step: look again */
        bool closing;
};

static void detach(struct remote *remote);

static sd_bus *bus_of(const struct remote *remote) {
        return remote->seat.domain->pvcalls->bus;
}

static void fail(struct remote *remote, int r, struct idl_error *error) {
        domain_seat_failed(remote->seat.domain, r, error);
}

static void fail_errno(struct remote *remote, int r) {
        struct idl_error error = IDL_ERROR_NULL;

        fail(remote, idl_error_set_unreachable(&error, "service", remote->name, strerrordesc_np(-r) ?: "unknown error"), &error);
}

static bool is_error(struct remote *remote, sd_bus_message *reply) {
        struct idl_error error = IDL_ERROR_NULL;

        if (!sd_bus_message_is_method_error(reply, NULL))
                return false;
        fail(remote, remote_error_from_reply(&error, remote->name, sd_bus_message_get_error(reply)), &error);
        return true;
}

/* State */

/* An answer to GetAll: the two properties that count. */
static int read_state(sd_bus_message *reply, enum xcp_pvcalls_state *ret_state, const char **ret_reason) {
        const char *name, *state = NULL;
        int r;

        *ret_reason = "";
        r = sd_bus_message_enter_container(reply, 'a', "{sv}");
        while (r > 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                r = sd_bus_message_read(reply, "s", &name);
                if (r > 0 && strcmp(name, "State") == 0)
                        r = sd_bus_message_read(reply, "v", "s", &state);
                else if (r > 0 && strcmp(name, "StateReason") == 0)
                        r = sd_bus_message_read(reply, "v", "s", ret_reason);
                else if (r > 0)
                        r = sd_bus_message_skip(reply, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        return r < 0 ? r : state ? xcp_pvcalls_state_from_string(state, ret_state) : -EBADMSG;
}

static int look(struct remote *remote);

static int on_state(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct remote *remote = userdata;
        enum xcp_pvcalls_state state;
        const char *reason;
        int r;

        remote->call = sd_bus_slot_unref(remote->call);
        if (remote->closing || is_error(remote, reply))
                return 0;
        if (remote->stale)
                return look(remote);
        r = read_state(reply, &state, &reason);
        if (r < 0)
                fail_errno(remote, r);
        else
                domain_seat_state(remote->seat.domain, state, reason);
        return 0;
}

/* Asks for the state. One question at a time: what comes meanwhile is asked about afterwards. */
static int look(struct remote *remote) {
        int r;

        remote->stale = false;
        r = sd_bus_call_method_async(bus_of(remote), &remote->call, remote->name, remote->path, PROPERTIES, "GetAll", on_state, remote, "s",
                                     PVCALLS1_DOMAIN_INTERFACE);
        if (r < 0)
                fail_errno(remote, r);
        return 0;
}

static int on_signal(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error) {
        struct remote *remote = userdata;
        struct report_denied denied;
        const char *call, *family;

        if (remote->closing)
                return 0;
        if (sd_bus_message_is_signal(signal, PROPERTIES, "PropertiesChanged")) {
                remote->stale = true;
                return remote->call || remote->task ? 0 : look(remote);
        }
        if (sd_bus_message_is_signal(signal, PVCALLS1_DOMAIN_INTERFACE, "Denied") &&
            sd_bus_message_read(signal, "sssqiu", &call, &family, &denied.address, &denied.port, &denied.rule, &denied.count) > 0 &&
            xcp_pvcalls_call_from_string(call, &denied.call) >= 0 && xcp_address_family_from_string(family, &denied.family) >= 0)
                domain_seat_denied(remote->seat.domain, &denied);
        return 0;
}

/* Policy and limits */

static int on_set(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct remote *remote = userdata;

        if (!remote->closing)
                is_error(remote, reply);
        return 0;
}

static int append_value(const struct remote *remote, sd_bus_message *message, bool limits) {
        const struct domain *domain = remote->seat.domain;
        int r;

        r = sd_bus_message_open_container(message, 'v', limits ? "a{sv}" : "aa{sv}");
        if (r >= 0)
                r = limits ? xcp_pvcalls_limits_append(message, &domain->limits)
                           : xcp_array_pvcalls_rule_append(message, domain->policy, domain->n_policy);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

/* If it is not set, the domain is Failed, and it is set when the service is there again. */
static void set(struct remote *remote, sd_bus_slot **slot, const char *property) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        *slot = sd_bus_slot_unref(*slot);
        r = sd_bus_message_new_method_call(bus_of(remote), &message, remote->name, remote->path, PROPERTIES, "Set");
        if (r >= 0)
                r = sd_bus_message_append(message, "ss", PVCALLS1_DOMAIN_INTERFACE, property);
        if (r >= 0)
                r = append_value(remote, message, *property == 'L');
        if (r >= 0)
                r = sd_bus_call_async(bus_of(remote), slot, message, on_set, remote, CALL_USEC);
        if (r < 0)
                fail_errno(remote, r);
}

static void remote_set_policy(struct seat *seat) {
        struct remote *remote = (struct remote *) seat;

        set(remote, &remote->set_policy, "Policy");
}

static void remote_set_limits(struct seat *seat) {
        struct remote *remote = (struct remote *) seat;

        set(remote, &remote->set_limits, "Limits");
}

/* Calls that are passed on: the object there has the same interface as the one here. */

struct passing {
        struct idl_call *call;
        const char *signature;          /* of the answer */
        char name[48];
};

static int on_passed(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct passing *passing = userdata;
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        AUTO(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
        int r = 0;

        if (sd_bus_message_is_method_error(reply, NULL))
                r = remote_error_from_reply(&error, passing->name, sd_bus_message_get_error(reply));
        else if (!sd_bus_message_has_signature(reply, passing->signature))
                r = idl_error_set_unreachable(&error, "service", passing->name, "its answer is not what it should be");
        if (r >= 0)
                r = idl_call_reply_new(passing->call, &answer);
        if (r >= 0 && *passing->signature)
                r = sd_bus_message_copy(answer, reply, true);
        if (r >= 0)
                r = idl_call_reply_send(passing->call, answer);
        if (r < 0 && !error.name)
                idl_error_set_errno(&error, r, "passing an answer on");
        if (r < 0)
                idl_call_fail(passing->call, &error);
        idl_call_unref(passing->call);
        free(passing);
        return 0;
}

/* The slot floats: the call is answered, or times out, even if the seat is gone by then. */
static int pass(struct seat *seat, struct idl_call *call, const char *signature) {
        struct remote *remote = (struct remote *) seat;
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        sd_bus_message *original = idl_call_message(call);
        struct passing *passing = malloc(sizeof *passing);
        int r;

        if (!passing)
                return -ENOMEM;
        *passing = (struct passing) { .call = idl_call_ref(call), .signature = signature };
        memcpy(passing->name, remote->name, sizeof passing->name);
        r = sd_bus_message_new_method_call(bus_of(remote), &message, remote->name, remote->path, PVCALLS1_DOMAIN_INTERFACE,
                                           sd_bus_message_get_member(original));
        if (r >= 0)
                r = sd_bus_message_rewind(original, true);
        if (r >= 0)
                r = sd_bus_message_copy(message, original, true);
        if (r >= 0)
                r = sd_bus_call_async(bus_of(remote), NULL, message, on_passed, passing, CALL_USEC);
        if (r < 0) {
                idl_call_unref(call);
                free(passing);
        }
        return r < 0 ? r : 0;
}

static int remote_list_sockets(struct seat *seat, struct idl_call *call, struct idl_error *error) {
        return pass(seat, call, "aa{sv}");
}

static int remote_close_socket(struct seat *seat, struct idl_call *call, uint64_t id, struct idl_error *error) {
        return pass(seat, call, "");
}

static int remote_close_all_sockets(struct seat *seat, struct idl_call *call, struct idl_error *error) {
        return pass(seat, call, "u");
}

static int remote_get_counters(struct seat *seat, struct idl_call *call, struct idl_error *error) {
        return pass(seat, call, "a{st}");
}

/* Attaching there */

static int found(struct remote *remote) {
        domain_seat_progress(remote->seat.domain, 0.3);
        remote_set_policy(&remote->seat);
        remote_set_limits(&remote->seat);
        return look(remote);
}

static void on_attached(void *userdata, int r, sd_bus_message *result, struct idl_error *error) {
        struct remote *remote = userdata;

        remote->task = NULL;
        if (remote->closing && r == 0) {
                detach(remote);         /* the request to cancel came too late */
                return;
        }
        if (remote->closing) {
                domain_seat_closed(remote->seat.domain);
                return;
        }
        if (r < 0)
                fail(remote, r, error);
        else
                found(remote);
}

static int append_options(sd_bus_message *message, const struct domain *domain) {
        const struct xcp_pvcalls_options options = {
                .policy = domain->policy,
                .n_policy = domain->n_policy,
                .has_limits = true,
                .limits = domain->limits,
                .network_namespace = domain->network_namespace,
                .backend_domain = domain->backend_id,
                .wait_ms = 0,           /* we do that */
        };
        int r;

        r = sd_bus_message_append(message, "u", domain->id);
        return r < 0 ? r : xcp_pvcalls_options_append(message, &options);
}

static int attach(struct remote *remote, struct idl_error *error) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus_of(remote), &message, remote->name, MANAGER_PATH, PVCALLS1_MANAGER_INTERFACE, "Attach");
        if (r >= 0)
                r = append_options(message, remote->seat.domain);
        if (r >= 0)
                r = remote_task_begin(remote->seat.domain->pvcalls->remote_tasks, message, TASK_PREFIX, ATTACH_USEC, on_attached, remote,
                                      &remote->task);
        return r < 0 ? idl_error_set_unreachable(error, "service", remote->name, strerrordesc_np(-r) ?: "unknown error") : 0;
}

static int on_lookup(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct remote *remote = userdata;
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        remote->call = sd_bus_slot_unref(remote->call);
        if (remote->closing)
                return 0;
        if (!sd_bus_message_is_method_error(reply, NULL))
                return found(remote);
        if (!sd_bus_message_is_method_error(reply, IDL_ERROR_DOES_NOT_EXIST)) {
                is_error(remote, reply);
                return 0;
        }
        r = attach(remote, &error);
        if (r < 0)
                fail(remote, r, &error);
        return 0;
}

static int on_verified(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct remote *remote = userdata;
        struct idl_error error = IDL_ERROR_NULL;
        uint32_t domain;
        char text[64];
        int r;

        remote->call = sd_bus_slot_unref(remote->call);
        if (remote->closing || is_error(remote, reply))
                return 0;
        r = sd_bus_message_read(reply, "u", &domain);
        if (r <= 0) {
                fail_errno(remote, r < 0 ? r : -EBADMSG);
                return 0;
        }
        if (domain != remote->seat.domain->backend_id) {
                snprintf(text, sizeof text, "it is in domain %u", domain);
                fail(remote, idl_error_set_unreachable(&error, "service", remote->name, text), &error);
                return 0;
        }
        r = sd_bus_call_method_async(bus_of(remote), &remote->call, remote->name, MANAGER_PATH, PVCALLS1_MANAGER_INTERFACE, "LookupDomain",
                                     on_lookup, remote, "u", remote->seat.domain->id);
        if (r < 0)
                fail_errno(remote, r);
        return 0;
}

static int verify(struct remote *remote) {
        remote->task = remote_task_free(remote->task);
        remote->call = sd_bus_slot_unref(remote->call);
        return sd_bus_call_method_async(bus_of(remote), &remote->call, "org.xen.xcp.bridge", "/org/xen/xcp/bridge",
                                        "org.xen.xcp.bridge1.Manager", "GetConnectionDomain", on_verified, remote, "s", remote->name);
}

static int on_owner(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error) {
        struct remote *remote = userdata;
        const char *name, *before, *now;
        int r;

        if (remote->closing || sd_bus_message_read(signal, "sss", &name, &before, &now) <= 0)
                return 0;
        r = *now ? verify(remote) : -ENOTCONN;
        if (r < 0)
                fail_errno(remote, r);
        return 0;
}

static int listen_to(struct remote *remote) {
        char match[256];
        int r;

        snprintf(match, sizeof match, "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'", remote->name);
        r = sd_bus_add_match_async(bus_of(remote), &remote->owner, match, on_owner, NULL, remote);
        if (r < 0)
                return r;
        snprintf(match, sizeof match, "type='signal',sender='%s',path='%s'", remote->name, remote->path);
        return sd_bus_add_match_async(bus_of(remote), &remote->signals, match, on_signal, NULL, remote);
}

/* The seat */

static int remote_check(struct domain *domain, struct idl_error *error) {
        return 0;                       /* whether it is there, only a call can tell */
}

static struct seat *remote_free(struct seat *seat) {
        struct remote *remote = (struct remote *) seat;

        remote_task_free(remote->task);
        sd_bus_slot_unref(remote->call);
        sd_bus_slot_unref(remote->set_policy);
        sd_bus_slot_unref(remote->set_limits);
        sd_bus_slot_unref(remote->owner);
        sd_bus_slot_unref(remote->signals);
        sd_event_source_disable_unref(remote->timer);
        free(remote);
        return NULL;
}

static int remote_open(struct seat **ret_seat, struct domain *domain, struct idl_error *error) {
        struct remote *remote = calloc(1, sizeof *remote);
        int r;

        if (!remote)
                return -ENOMEM;
        *remote = (struct remote) { .seat = { .kind = &remote_seat, .domain = domain } };
        snprintf(remote->name, sizeof remote->name, "org.xen.xcp.pvcalls.domain%u", domain->backend_id);
        snprintf(remote->path, sizeof remote->path, MANAGER_PATH "/domain/%u", domain->id);
        *ret_seat = &remote->seat;      /* also if it fails: what there is by then is closed as always */
        r = listen_to(remote);
        if (r >= 0)
                r = verify(remote);
        return r < 0 ? idl_error_set_unreachable(error, "service", remote->name, strerrordesc_np(-r) ?: "unknown error") : 0;
}

static void on_detached(void *userdata, int r, sd_bus_message *result, struct idl_error *error) {
        struct remote *remote = userdata;

        remote->task = NULL;
        if (r < 0)
                log_event(LOG_INFO, LOG_FIELDS({ "XCP_DOMAIN", remote->seat.domain->text }), "%s has not detached domain %u: %s",
                          remote->name, remote->seat.domain->id, error->message ?: "unknown error");
        idl_error_done(error);
        domain_seat_closed(remote->seat.domain);
}

static int on_close_late(sd_event_source *timer, uint64_t usec, void *userdata) {
        domain_seat_closed(((struct remote *) userdata)->seat.domain);
        return 0;
}

static void end_by(struct remote *remote, uint64_t usec) {
        remote->timer = sd_event_source_disable_unref(remote->timer);
        if (sd_event_add_time_relative(remote->seat.domain->pvcalls->event, &remote->timer, CLOCK_MONOTONIC, usec, 0, on_close_late,
                                       remote) < 0)
                log_event(LOG_ERR, NULL, "There is no memory for a timer");
}

static void detach(struct remote *remote) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus_of(remote), &message, remote->name, remote->path, PVCALLS1_DOMAIN_INTERFACE, "Detach");
        if (r >= 0)
                r = remote_task_begin(remote->seat.domain->pvcalls->remote_tasks, message, TASK_PREFIX, CLOSE_USEC, on_detached, remote,
                                      &remote->task);
        if (r < 0)
                end_by(remote, 0);
}

/* A task that attaches is cancelled first; nothing was attached then. */
static void remote_close(struct seat *seat) {
        struct remote *remote = (struct remote *) seat;

        remote->closing = true;
        remote->call = sd_bus_slot_unref(remote->call);
        end_by(remote, CLOSE_USEC);
        if (remote->task)
                remote_task_cancel(remote->task);
        else
                detach(remote);
}

const struct seat_kind remote_seat = {
        .check = remote_check,
        .open = remote_open,
        .close = remote_close,
        .free = remote_free,
        .set_policy = remote_set_policy,
        .set_limits = remote_set_limits,
        .list_sockets = remote_list_sockets,
        .close_socket = remote_close_socket,
        .close_all_sockets = remote_close_all_sockets,
        .get_counters = remote_get_counters,
};
