/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Whether the two domains of a device are there, and the device: looked at when the service starts, and when something has changed in
 * the store.
 *
 * If the domain with the sockets is gone, such as a driver domain that restarts, the device waits for it: it is known by its UUID, and
 * comes back with another id. Then the device is made anew for that id, as a toolstack would do it, and attached there with the same
 * policy. A device that another toolstack has made is that one's to make again, and ends.
 */

#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "domain.h"
#include "idl-errors.h"
#include "pvcalls1-domain.h"
#include "records.h"

/* The domain that was attached, and no other that has got its id. */
static bool frontend_lives(const struct domain *domain) {
        const struct nodes *nodes = &domain->pvcalls->nodes;
        char uuid[NODES_UUID_SIZE];

        nodes_domain_uuid(nodes, domain->id, uuid);
        return nodes_domain_lives(nodes, domain->id) && (!*uuid || !*domain->uuid || strcmp(uuid, domain->uuid) == 0);
}

/* One that is being destroyed may still live, but the store says no longer which it is. */
static bool backend_lives(const struct domain *domain) {
        const struct nodes *nodes = &domain->pvcalls->nodes;
        char uuid[NODES_UUID_SIZE];

        if (!nodes_domain_lives(nodes, domain->backend_id))
                return false;
        if (!*domain->backend_uuid || domain->backend_id == nodes->own_domain)
                return true;
        nodes_domain_uuid(nodes, domain->backend_id, uuid);
        return strcmp(uuid, domain->backend_uuid) == 0;
}

static bool is_there(const struct domain *domain) {
        return frontend_lives(domain) && backend_lives(domain) && nodes_have(&domain->pvcalls->nodes, domain->id, domain->backend_id);
}

/* Whether its backend's domain is all that is missing, and would be known again. */
static bool can_wait(const struct domain *domain) {
        return domain->phase == DOMAIN_ATTACHED && domain->made_nodes && *domain->backend_uuid &&
               domain->backend_id != domain->pvcalls->nodes.own_domain && frontend_lives(domain) && !backend_lives(domain);
}

static void fail(struct domain *domain, const char *reason) {
        domain_set_state(domain, XCP_PVCALLS_STATE_FAILED, reason);
}

/*
 * Opens a device in the domain that has come back, if it has. That it has is written down when the nodes are there: after a crash before, all
 * of this is done again.
 */
static void follow(struct domain *domain) {
        struct pvcalls *pvcalls = domain->pvcalls;
        struct idl_error error = IDL_ERROR_NULL;
        uint32_t id, before = domain->backend_id;
        int r;

        if (nodes_find_domain(&pvcalls->nodes, domain->backend_uuid, &id) < 0 || id == domain->id)
                return;
        r = nodes_make(&pvcalls->nodes, domain->id, id);
        if (r < 0) {
                fail(domain, "the device's nodes cannot be made anew");
                return;
        }
        domain->backend_id = id;
        domain->abandoned = false;
        if (records_set_backend(domain) < 0)
                log_event(LOG_ERR, LOG_FIELDS({ "XCP_DOMAIN", domain->text }),
                          "It cannot be written down where the sockets of domain %u are: %s", domain->id, database_why(pvcalls->db));
        audit(domain, "backend-back", NULL, "Domain %u, which has the sockets of domain %u, is back as domain %u", before, domain->id, id);
        pvcalls1_domain_emit_changed(pvcalls->bus, domain->path, PVCALLS1_DOMAIN_PROPERTY_BACKEND_DOMAIN);
        domain_set_state(domain, XCP_PVCALLS_STATE_WAITING, "");
        r = domain_seat_kind(domain)->open(&domain->seat, domain, &error);
        if (r < 0)
                domain_seat_failed(domain, r, &error);
}

/* Its backend is gone with its domain, and so is all that it had of the frontend's: nothing is there to be closed. */
static void abandon(struct domain *domain) {
        char reason[80];

        if (domain->seat)
                domain->seat = domain->seat->kind->free(domain->seat);
        nodes_remove(&domain->pvcalls->nodes, domain->id, domain->backend_id);
        domain->abandoned = true;
        audit(domain, "backend-gone", NULL, "Domain %u, which has the sockets of domain %u, is gone", domain->backend_id, domain->id);
        snprintf(reason, sizeof reason, "domain %u, which has its sockets, is gone; it is waited for", domain->backend_id);
        fail(domain, reason);
        follow(domain);
}

/* In a driver domain: what it had in an earlier life, with another id. Domain 0 has it attached anew, with what is to hold now. */
static bool is_of_an_earlier_life(const struct domain *domain) {
        uint32_t own = domain->pvcalls->nodes.own_domain;

        return own != 0 && domain->backend_id != own;
}

int domain_resume(struct domain *domain) {
        struct idl_error error = IDL_ERROR_NULL;
        bool ends = domain->phase != DOMAIN_ATTACHED || (!is_there(domain) && !can_wait(domain));
        int r;

        if (is_of_an_earlier_life(domain)) {
                domain_finish(domain);
                return 0;
        }
        if (domain->phase != DOMAIN_ATTACHING) {         /* a client has seen it */
                r = objects_add_number(domain->pvcalls->objects, domain->id, domain, &domain->path);
                if (r < 0)
                        return r;
        }
        domain->phase = DOMAIN_ATTACHED;
        if (!ends && can_wait(domain)) {
                abandon(domain);
                return 0;
        }
        r = domain_seat_kind(domain)->open(&domain->seat, domain, &error);
        if (r < 0)
                domain_seat_failed(domain, r, &error);
        if (ends)
                domain_end(domain, 0, NULL);
        return 0;
}

/* One whose frontend says goodbye. */
static void look_for_goodbye(struct domain *domain) {
        const struct nodes *nodes = &domain->pvcalls->nodes;

        if (!nodes_domain_lives(nodes, domain->id) || !nodes_frontend_holds(nodes, domain->id))
                domain_finish(domain);
}

void domain_look(struct domain *domain) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;

        if (domain->goodbye) {
                look_for_goodbye(domain);
                return;
        }
        if (domain->phase == DOMAIN_ENDING || (!domain->abandoned && is_there(domain)))
                return;
        if (domain->abandoned && frontend_lives(domain)) {
                follow(domain);
                return;
        }
        if (!domain->abandoned && can_wait(domain)) {
                abandon(domain);
                return;
        }
        log_event(LOG_INFO, LOG_FIELDS({ "XCP_DOMAIN", domain->text }), "Domain %u, its backend's domain %u, or its device is gone",
                  domain->id, domain->backend_id);
        if (domain->phase == DOMAIN_ATTACHED)
                domain_end(domain, 0, NULL);
        else
                domain_end(domain, domain_set_absent(&error, backend_lives(domain) ? domain->id : domain->backend_id), &error);
}
