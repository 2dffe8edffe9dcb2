/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lateness.h"

#include <time.h>

#include "action.h"
#include "log.h"

#define LATE_USEC (60 * UINT64_C(1000000))

static uint64_t now_usec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * UINT64_C(1000000) + (uint64_t) ts.tv_nsec / 1000;
}

void xen_lateness_expect(struct xen_guest *guest, bool is_expected) {
        guest->late_usec = is_expected ? now_usec() + LATE_USEC : 0;
}

/* In order, so that it does not get in the way of what the manager does to it next. */
static void go_on(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = xen_domain_find(tools->ctx, &action->id, &action->info);
        if (action->rc == 0 && action->info.shutdown && action->info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND)
                action->rc = libxl_domain_resume(tools->ctx, action->id.domid, 1, NULL);
}

static void on_gone_on(struct xen_action *action) {
        struct xen_guest *guest = action->guest;

        if (action->rc == 0) {
                log_event(LOG_NOTICE, LOG_FIELDS({ "XCP_VM", guest->uuid }), "The guest of %s suspended for a save that was given up, and goes on",
                          guest->uuid);
                if (guest->facts.domid == action->id.domid)
                        xen_guest_take_domain(guest, action->id.domid);     /* libxl tells of one end of a domain only */
        } else
                xen_guest_tell(guest, HYPERVISOR_TAKEN, "its domain has shut down to be saved");
        xen_action_end_with_work(action);
}

void xen_lateness_hear(struct xen_guest *guest) {
        struct xen_action *action;

        if (xen_actions_suspend(guest))
                return;
        if (guest->late_usec == 0 || now_usec() > guest->late_usec || xen_action_begin(guest, NULL, "have its guest go on", &action) < 0) {
                xen_guest_tell(guest, HYPERVISOR_TAKEN, "its domain has shut down to be saved");
                return;
        }
        guest->late_usec = 0;
        xen_action_work(action, true, go_on, on_gone_on);
}
