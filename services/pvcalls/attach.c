/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How a domain comes to be attached, and how it ends. domain.h has the way. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "database-error.h"
#include "domain.h"
#include "idl-errors.h"
#include "records.h"
#include "rules.h"

#define DOMAIN_ID_MAX 32751u            /* Xen's DOMID_FIRST_RESERVED - 1 */
#define CANCEL_BOUND_USEC UINT64_C(5000000)     /* org.xen.xcp.pvcalls1.Manager.xml */
#define GOODBYE_USEC UINT64_C(5000000)  /* org.xen.xcp.pvcalls1.Domain.xml; half of what libxl allows */

static const char *caller_of(struct idl_call *call) {
        return sd_bus_message_get_sender(idl_call_message(call));
}

/* The end */

void domain_finish(struct domain *domain) {
        struct pvcalls *pvcalls = domain->pvcalls;
        struct work *work = domain->work;
        struct idl_error error = IDL_ERROR_NULL;
        char name[32];
        int r = domain->r;

        if (domain->goodbye)
                nodes_watch_frontend(&pvcalls->nodes, domain->id, false);
        if (domain->made_nodes)
                nodes_remove(&pvcalls->nodes, domain->id, domain->backend_id);
        snprintf(name, sizeof name, "%u.policy", domain->id);
        unlinkat(pvcalls->state_fd, name, 0);
        snprintf(name, sizeof name, "%u.control", domain->id);
        unlinkat(pvcalls->state_fd, name, 0);
        if (records_remove(domain) < 0)
                log_event(LOG_ERR, LOG_FIELDS({ "XCP_DOMAIN", domain->text }), "Domain %u cannot be forgotten: %s", domain->id,
                          database_why(pvcalls->db));
        if (domain->path) {
                pvcalls->n_detached++;
                audit(domain, "detached", NULL, "Domain %u is detached", domain->id);
                objects_remove(pvcalls->objects, domain->path);
        }
        idl_error_move(&error, &domain->error);
        domain_free(domain);
        if (work && r < 0)
                work_fail(work, r, &error);
        else if (work)
                work_succeed(work, NULL);
        idl_error_done(&error);
}

static int on_goodbye_over(sd_event_source *timer, uint64_t usec, void *userdata) {
        domain_finish(userdata);
        return 0;
}

void domain_seat_closed(struct domain *domain) {
        const struct nodes *nodes = &domain->pvcalls->nodes;

        if (domain->work && domain->r == 0)
                work_advance(domain->work, 0.5);
        domain->seat = domain->seat->kind->free(domain->seat);
        /* Whoever made the nodes removes them; until then the frontend can see there that its backend has closed. */
        if (domain->made_nodes && domain->path && nodes_domain_lives(nodes, domain->id) && nodes_frontend_holds(nodes, domain->id) &&
            sd_event_add_time_relative(domain->pvcalls->event, &domain->timer, CLOCK_MONOTONIC, GOODBYE_USEC, 0, on_goodbye_over,
                                       domain) >= 0) {
                domain->goodbye = true;
                nodes_watch_frontend(nodes, domain->id, true);
                return;
        }
        domain_finish(domain);
}

static int on_nothing_to_close(sd_event_source *timer, uint64_t usec, void *userdata) {
        domain_finish(userdata);
        return 0;
}

void domain_end(struct domain *domain, int r, struct idl_error *error) {
        if (domain->phase == DOMAIN_ENDING)
                return;
        domain->phase = DOMAIN_ENDING;
        domain->r = r;
        if (error)
                idl_error_move(&domain->error, error);
        domain->timer = sd_event_source_disable_unref(domain->timer);
        records_set_phase(domain);      /* if it fails, the same is found again after a crash, and ended then */
        if (domain->made_nodes)
                nodes_set_offline(&domain->pvcalls->nodes, domain->id, domain->backend_id);
        domain_set_state(domain, XCP_PVCALLS_STATE_CLOSING, "");
        if (domain->seat)
                domain->seat->kind->close(domain->seat);
        else
                sd_event_add_time(domain->pvcalls->event, &domain->timer, CLOCK_MONOTONIC, 0, 0, on_nothing_to_close, domain);
}

/* Attaching */

static void attached(struct domain *domain) {
        struct pvcalls *pvcalls = domain->pvcalls;
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *result = NULL;
        struct xcp_pvcalls_attached value;
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        domain->phase = DOMAIN_ATTACHED;
        domain->timer = sd_event_source_disable_unref(domain->timer);
        r = records_set_phase(domain);
        if (r < 0)
                database_set_error(pvcalls->db, r, &error);
        if (r >= 0)
                r = objects_add_number(pvcalls->objects, domain->id, domain, &domain->path);
        if (r >= 0 && domain->work)
                r = work_result_new(domain->work, &result);
        value.domain = domain->path;
        if (r >= 0 && domain->work)
                r = xcp_pvcalls_attached_append(result, &value);
        if (r < 0) {
                domain_end(domain, r, &error);
                idl_error_done(&error);
                return;
        }
        pvcalls->n_attached++;
        audit(domain, "attached", NULL, "Domain %u is attached; its sockets are in domain %u", domain->id, domain->backend_id);
        if (domain->work)
                work_succeed(domain->work, result);
        domain->work = NULL;
}

void domain_seat_progress(struct domain *domain, double progress) {
        if (domain->work && domain->phase == DOMAIN_ATTACHING)
                work_advance(domain->work, 0.1 + 0.9 * progress);
}

void domain_seat_state(struct domain *domain, enum xcp_pvcalls_state state, const char *reason) {
        if (domain->phase == DOMAIN_ENDING)
                return;
        domain_set_state(domain, state, reason);
        if (domain->phase != DOMAIN_ATTACHING)
                return;
        if (state == XCP_PVCALLS_STATE_CONNECTED || (state == XCP_PVCALLS_STATE_WAITING && domain->wait_ms == 0))
                attached(domain);
        else
                domain_seat_progress(domain, 0.5);
}

void domain_seat_failed(struct domain *domain, int r, struct idl_error *error) {
        if (domain->phase == DOMAIN_ATTACHED)
                domain_set_state(domain, XCP_PVCALLS_STATE_FAILED, error->message ?: "there is no memory");
        else
                domain_end(domain, r, error);
        idl_error_done(error);
}

static void on_cancel(void *userdata) {
        struct domain *domain = userdata;
        struct idl_error error = IDL_ERROR_NULL;

        domain_end(domain, idl_error_set_cancelled(&error, "Attach"), &error);
}

static void on_interrupt(void *userdata) {
        struct domain *domain = userdata;

        domain->work = NULL;            /* the database has it: the next start goes on */
}

static int on_late(sd_event_source *timer, uint64_t usec, void *userdata) {
        struct domain *domain = userdata;
        struct idl_error error = IDL_ERROR_NULL;
        char what[64];

        snprintf(what, sizeof what, "The PV Calls frontend of domain %u", domain->id);
        domain_end(domain, idl_error_set_timed_out(&error, what, domain->wait_ms), &error);
        return 0;
}

/* Makes what has to be there, and leaves the rest to the seat. */
static int begin(struct domain *domain, struct idl_error *error) {
        const struct pvcalls *pvcalls = domain->pvcalls;
        int r = 0;

        if (domain->made_nodes)
                r = nodes_make(&pvcalls->nodes, domain->id, domain->backend_id);
        if (r < 0)
                return idl_error_set_backend_failed(error, "xenstored", "make the device's nodes", strerrordesc_np(-r) ?: "unknown error");
        work_advance(domain->work, 0.1);
        if (domain->wait_ms > 0) {
                r = sd_event_add_time_relative(pvcalls->event, &domain->timer, CLOCK_MONOTONIC, domain->wait_ms * UINT64_C(1000), 0,
                                               on_late, domain);
                if (r < 0)
                        return r;
        }
        return domain_seat_kind(domain)->open(&domain->seat, domain, error);
}

int domain_set_absent(struct idl_error *error, uint32_t id) {
        char text[12];

        snprintf(text, sizeof text, "%u", id);
        return idl_error_set_does_not_exist(error, "domain", text);
}

static int check_ids(struct pvcalls *pvcalls, uint32_t id, uint32_t backend_id, struct idl_error *error) {
        const struct domain *other = domain_find(pvcalls, id);
        char text[12];

        snprintf(text, sizeof text, "%u", id);
        if (!pvcalls->nodes.xs)
                return idl_error_set_unreachable(error, "store", "xenstored", "it did not answer when this service was started");
        if (id > DOMAIN_ID_MAX)
                return idl_error_set_invalid_argument(error, "domain", text, "is no domain's id");
        if (id == backend_id)
                return idl_error_set_invalid_argument(error, "options.backend_domain", text, "has to be another domain than the frontend's");
        if (other && other->phase == DOMAIN_ENDING)
                return idl_error_set_busy(error, "domain", text, "what ends its PV Calls device");
        if (other)
                return idl_error_set_already_exists(error, "PV Calls device of domain", text);
        if (pvcalls->n_domains >= DOMAINS_MAX)
                return idl_error_set_limit_exceeded(error, "attached domains", pvcalls->n_domains + 1, DOMAINS_MAX);
        if (backend_id > DOMAIN_ID_MAX || !nodes_domain_lives(&pvcalls->nodes, backend_id))
                return domain_set_absent(error, backend_id);
        if (backend_id != pvcalls->nodes.own_domain && pvcalls->nodes.own_domain != 0)
                return idl_error_set_not_supported(error, "A backend in another domain, from any domain but 0,");
        return nodes_domain_lives(&pvcalls->nodes, id) ? 0 : domain_set_absent(error, id);
}

/* Whose are the nodes? Those that a toolstack has made are used as they are. */
static int check_nodes(struct domain *domain, struct idl_error *error) {
        const struct nodes *nodes = &domain->pvcalls->nodes;
        uint32_t backend = 0;

        if (nodes_backend_of(nodes, domain->id, &backend) >= 0 && backend != domain->backend_id)
                return idl_error_set_already_exists(error, "PV Calls device with another backend, of domain", domain->text);
        if (nodes_have(nodes, domain->id, domain->backend_id))
                return 0;
        if (nodes->own_domain != 0)
                return idl_error_set_does_not_exist(error, "PV Calls device, which domain 0 would have made, of domain", domain->text);
        domain->made_nodes = true;
        return 0;
}

static int prepare(struct domain *domain, const struct xcp_pvcalls_options *options, struct idl_error *error) {
        int r;

        domain->wait_ms = options->wait_ms;
        if (options->has_limits)
                domain->limits = options->limits;
        r = rules_check_limits(&domain->limits, error);
        if (r >= 0)
                r = domain_set_policy(domain, options->policy, options->n_policy, error);
        if (r >= 0)
                r = check_nodes(domain, error);
        if (r >= 0)
                r = domain_seat_kind(domain)->check(domain, error);
        if (r < 0)
                return r;
        nodes_domain_uuid(&domain->pvcalls->nodes, domain->id, domain->uuid);
        nodes_domain_uuid(&domain->pvcalls->nodes, domain->backend_id, domain->backend_uuid);
        r = records_add(domain);
        return r < 0 ? database_set_error(domain->pvcalls->db, r, error) : 0;
}

int domain_attach(struct pvcalls *pvcalls, struct idl_call *call, uint32_t id, const struct xcp_pvcalls_options *options,
                  const char **ret_task, struct idl_error *error) {
        const struct work_kind kind = {
                .description = idl_arena_printf(idl_call_arena(call), "Attach domain %u", id),
                .cancel = on_cancel,
                .cancel_bound_usec = CANCEL_BOUND_USEC,
                .interrupt = on_interrupt,
        };
        __attribute__((cleanup(domain_freep))) struct domain *new_domain = NULL;
        struct idl_error failure = IDL_ERROR_NULL;
        struct domain *domain;
        int r;

        r = check_ids(pvcalls, id, options->backend_domain, error);
        if (r >= 0)
                r = domain_new(&new_domain, pvcalls, id, options->backend_domain, options->network_namespace);
        if (r >= 0)
                r = prepare(new_domain, options, error);
        if (r < 0)
                return r;
        r = work_begin(service_tasks(pvcalls->service), call, &kind, new_domain, error, &new_domain->work);
        if (r < 0) {
                records_remove(new_domain);
                return r;
        }
        domain = new_domain;
        new_domain = NULL;
        *ret_task = work_path(domain->work);
        audit(domain, "attach", caller_of(call), "Domain %u is to be attached, with %zu rules", id, domain->n_policy);
        r = work_run(domain->work);
        if (r >= 0)
                r = begin(domain, &failure);
        if (r < 0)
                domain_end(domain, r, &failure);
        idl_error_done(&failure);
        return 0;
}

int domain_detach(struct domain *domain, struct idl_call *call, const char **ret_task, struct idl_error *error) {
        const struct work_kind kind = {
                .description = idl_arena_printf(idl_call_arena(call), "Detach domain %u", domain->id),
                .interrupt = on_interrupt,
        };
        int r;

        if (domain->phase == DOMAIN_ENDING)
                return idl_error_set_bad_state(error, "domain", domain->text, "attached", "being detached");
        r = work_begin(service_tasks(domain->pvcalls->service), call, &kind, domain, error, &domain->work);
        if (r < 0)
                return r;
        *ret_task = work_path(domain->work);
        audit(domain, "detach", caller_of(call), "Domain %u is to be detached", domain->id);
        work_run(domain->work);
        domain_end(domain, 0, NULL);
        return 0;
}
