/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "action.h"
#include "clock.h"
#include "log.h"
#include "rebuild.h"

static void end(struct xen_action *action) {
        struct xen_guest *guest = action->guest;

        guest->is_recovering = false;
        xen_action_end(action, 0, NULL);
}

/* Is there a domain? */

static void look(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = xen_domain_find(tools->ctx, &action->id, &action->info);
}

/* When it was started, Xen does not tell; how long its CPUs have run, and that is the least. */
static void adopt(struct xen_action *action) {
        struct xen_guest *guest = action->guest;
        struct xen_facts facts = guest->facts;

        facts.phase = FACTS_STARTED;
        facts.is_adopted = true;
        facts.domid = action->id.domid;
        facts.started_usec = clock_now_usec(CLOCK_REALTIME) - action->info.cpu_time / 1000;
        if (xen_guest_save(guest, &facts, NULL) < 0)
                return;
        log_event(LOG_NOTICE, LOG_FIELDS({ "XCP_VM", guest->uuid }), "Adopted domain %" PRIu32 ", which is VM %s's", facts.domid,
                  guest->uuid);
}

static void on_looked(struct xen_action *action) {
        struct xen_guest *guest = action->guest;
        bool is_new = guest->facts.phase == FACTS_NONE;

        if (action->rc == 0 && is_new)
                adopt(action);
        if (action->rc == 0 && guest->facts.phase != FACTS_NONE)
                xen_guest_take_domain(guest, action->id.domid);
        guest->is_end_known = action->rc == 0 && action->info.shutdown;
        if (action->rc == 0 && is_new)
                xen_guest_tell(guest, HYPERVISOR_CHANGED, "");
        end(action);
}

/* What was begun */

static void clear(struct xen_action *action, const struct worker_tools *tools) {
        action->id.domid = FACTS_NO_DOMAIN;
        action->rc = xen_domain_remove(tools->ctx, &action->id);
}

static void on_cleared(struct xen_action *action) {
        log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", action->id.uuid }),
                  "The domain of %s was being made when the manager ended, and is gone", action->id.uuid);
        if (action->rc == 0)
                xen_guest_forget(action->guest);
        end(action);
}

static void on_rebuilt(struct xen_action *action) {
        struct xen_guest *guest = action->guest;

        if (xen_rebuild_end(action, NULL) < 0) {
                log_event(LOG_ERR, LOG_FIELDS({ "XCP_VM", guest->uuid }), "The domain of %s was being replaced when the manager ended, and "
                          "cannot be made again: %s", guest->uuid, action->work.why);
                xen_guest_forget(guest);
        }
        end(action);
}

int xen_recovery_begin(struct xen_guest *guest) {
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, NULL, "find its guest", &action);
        if (r < 0)
                return r;
        guest->is_recovering = true;
        if (guest->facts.phase == FACTS_BEGUN)
                xen_action_work(action, true, clear, on_cleared);
        else if (guest->facts.phase == FACTS_REBUILDING && xen_guest_load_config(guest, &action->json) >= 0)
                xen_action_work(action, true, xen_rebuild_work, on_rebuilt);
        else if (guest->facts.phase == FACTS_REBUILDING)
                xen_action_work(action, true, clear, on_cleared);
        else
                xen_action_work(action, true, look, on_looked);
        return 0;
}
