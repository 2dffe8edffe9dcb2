/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Domains that are attached, or on their way to that or from it.
 *
 *         attaching ──► attached ──► ending ──► (gone)
 *             └── failed, cancelled ──┘
 *
 * A domain whose backend's domain is gone stays attached, abandoned, until that is back (presence.c) or it is detached.
 *
 * There is one way out, whatever leads to it: the seat is closed, the frontend is waited for, then nodes, database and object go. What
 * exists is in the database before it is made and until it is gone, so that after a crash the same way is taken.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pvcalls.h"
#include "report.h"
#include "seat.h"
#include "xcp-types.h"

enum domain_phase {
        DOMAIN_ATTACHING,
        DOMAIN_ATTACHED,
        DOMAIN_ENDING,
};

struct domain {
        struct pvcalls *pvcalls;
        struct domain *next;
        uint32_t id, backend_id;
        char text[12];                  /* the id, for the log */
        char uuid[NODES_UUID_SIZE];     /* another domain may get the id; empty: not known */
        char backend_uuid[NODES_UUID_SIZE];     /* the same, and that domain may come back with another id */
        char *network_namespace;
        bool made_nodes;                /* and not another toolstack, whose they stay */
        enum domain_phase phase;
        const char *path;               /* NULL: not on the bus */
        struct idl_arena arena;         /* of the policy */
        const struct xcp_pvcalls_rule *policy;
        size_t n_policy;
        char *policy_text;
        struct xcp_pvcalls_limits limits;
        enum xcp_pvcalls_state state;
        char *reason;
        char features[NODES_FEATURES_MAX][NODES_FEATURE_SIZE];
        size_t n_features;
        struct seat *seat;
        struct work *work;              /* that attaches or detaches it; NULL: nobody waits */
        sd_event_source *timer;         /* for a frontend: to come, or to say goodbye */
        uint32_t wait_ms;
        bool goodbye;                   /* the seat is closed, the frontend not */
        bool abandoned;                 /* attached, and its backend's domain is gone: it has neither a seat nor a device until that is back */
        int r;                          /* why it could not be attached, with error */
        struct idl_error error;
};

struct domain *domain_find(struct pvcalls *pvcalls, uint32_t id);
int domain_new(struct domain **ret_domain, struct pvcalls *pvcalls, uint32_t id, uint32_t backend_id, const char *network_namespace);
struct domain *domain_free(struct domain *domain);

/* InvalidArgument, LimitExceeded. Neither tells the database or the backend. */
int domain_set_policy(struct domain *domain, const struct xcp_pvcalls_rule *policy, size_t n, struct idl_error *error);

/* Announces it. */
void domain_set_state(struct domain *domain, enum xcp_pvcalls_state state, const char *reason);

/* attach.c */
int domain_attach(struct pvcalls *pvcalls, struct idl_call *call, uint32_t id, const struct xcp_pvcalls_options *options,
                  const char **ret_task, struct idl_error *error);
int domain_detach(struct domain *domain, struct idl_call *call, const char **ret_task, struct idl_error *error);

/* Which kind of seat its backend's domain is. */
const struct seat_kind *domain_seat_kind(const struct domain *domain);

/* Begins the way out. r and error: why, if somebody waits for the domain to be attached; error is moved. */
void domain_end(struct domain *domain, int r, struct idl_error *error);

/* The end of that way, which frees it; and what is said of a domain that is not there. */
void domain_finish(struct domain *domain);
int domain_set_absent(struct idl_error *error, uint32_t id);

/* presence.c: one that the database knows, at the start of the service: found again, or ended, or forgotten (it is freed then). */
int domain_resume(struct domain *domain);

/* Something has changed in the store. */
void domain_look(struct domain *domain);

/* What a seat tells. */
void domain_seat_state(struct domain *domain, enum xcp_pvcalls_state state, const char *reason);
void domain_seat_progress(struct domain *domain, double progress);
void domain_seat_denied(struct domain *domain, const struct report_denied *denied);
void domain_seat_failed(struct domain *domain, int r, struct idl_error *error);         /* there is no backend, and will be none */
void domain_seat_closed(struct domain *domain);

/* audit.c: what was done to whom, by whom, in the log. caller may be NULL: nobody asked. */
void audit(const struct domain *domain, const char *action, const char *caller, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

static inline void domain_freep(struct domain **domain) {
        domain_free(*domain);
}
