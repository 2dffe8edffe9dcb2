/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Operations that are under way with a Xen guest: pieces of work for a thread, and waiting for what the guest does, one after the other.
 *
 * Work has copies of all that it needs in the action, and touches neither the guest nor the manager's things. Afterwards a step goes on,
 * from the event loop. A guest that goes away leaves its work to end by itself.
 */

#include <stdatomic.h>

#include "domain.h"
#include "guest.h"

struct xen_action;

typedef void (*xen_action_work_t)(struct xen_action *action, const struct worker_tools *tools);
typedef void (*xen_action_step_t)(struct xen_action *action);

struct xen_action {
        struct work work;               /* first, as workers know no more of it */
        _Atomic(libxl_ctx *) ctx;       /* that is at what may be given up; else NULL */
        struct xen_guest *guest;        /* NULL: it is gone, and so is the call */
        struct xen_action *next;
        struct hypervisor_call *call;   /* NULL: nobody has called, it is the backend's own */
        const char *what;               /* for errors: "xen could not WHAT" */
        xen_action_work_t do_work;
        xen_action_step_t then;             /* after the work */
        sd_event_source *timer;
        xen_action_step_t on_time;
        xen_action_step_t on_shutdown;      /* for the guest's end, which is told of as an event if it is NULL; NULL when it has come */
        bool is_working;
        bool is_quiet;                  /* what becomes of the domain is this operation's doing, and not told of */
        bool is_cancelled;
        bool is_abortable;              /* libxl gives up what it does for it, if it is cancelled */
        bool reads_stream;              /* of fd, which is shut down then: nothing comes any more to wait for */
        bool has_it_suspend;            /* that the domain shuts down so is its doing */

        /* What work is about, and what came of it */
        struct domain_id id;
        int rc;                         /* libxl's */
        libxl_domain_config *config;
        char *json;
        struct xen_facts *facts;            /* that came with a stream */
        libxl_dominfo info;
        struct xcp_guest_address *addresses;
        size_t n_addresses;
        struct xcp_disk_statistics disk_statistics;
        struct xcp_network_statistics network_statistics;
        libxl_device_disk *disk;
        libxl_device_nic *nic;
        char name[FACTS_NAME_SIZE];     /* of a device */
        bool flag;                      /* paused; force */
        bool may_suspend;               /* a guest that was asked to and is not to any more */
        bool is_disk;
        bool is_emulated;               /* by the guest's device model, too */
        bool *ret_forced;
        uint64_t number;
        int fd;
        struct idl_error error;         /* of a failure that is being cleared up */
};

/* Begins one. call: NULL for the backend's own. -ENOMEM */
int xen_action_begin(struct xen_guest *guest, struct hypervisor_call *call, const char *what, struct xen_action **ret_action);

/* Drops one that was not begun after all. */
struct xen_action *xen_action_free(struct xen_action *action);

/* Has a thread do something; then() goes on. in_order: after all else that is done in order to this guest. */
void xen_action_work(struct xen_action *action, bool in_order, xen_action_work_t do_work, xen_action_step_t then);

/*
 * For work that may be given up (is_abortable) when the action is cancelled: libxl does it with this `how`, and rc is what it said when it was
 * asked. Returns what comes of it, when it is over; ERROR_ABORTED if it was given up.
 */
libxl_asyncop_how xen_action_how(struct xen_action *action);
int xen_action_await(struct xen_action *action, libxl_ctx *ctx, int rc);

/* Goes on after that time; with 0, from the event loop. */
void xen_action_wait(struct xen_action *action, uint64_t ms, xen_action_step_t on_time);
void xen_action_stop_waiting(struct xen_action *action);

/* Ends it. Not from within the function that began it. error is moved; NULL: there is none. */
void xen_action_end(struct xen_action *action, int r, struct idl_error *error);
void xen_action_fail(struct xen_action *action, const char *why);   /* BackendFailed; NULL: with what libxl said */
void xen_action_end_with_work(struct xen_action *action);           /* as the work did */

void xen_action_cancel(void *guest, struct hypervisor_call *call);

/* For guest.c */
bool xen_actions_hear(struct xen_guest *guest);     /* whether it is some operation's */
bool xen_actions_suspend(const struct xen_guest *guest);    /* whether some operation has it suspend */
void xen_actions_drop(struct xen_guest *guest);
