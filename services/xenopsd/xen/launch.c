/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "config.h"
#include "screen.h"

int xen_launch_begin(struct xen_action *action, const struct hypervisor_config *config, const char *name, struct idl_error *error) {
        struct xen_guest *guest = action->guest;
        struct xen_facts facts = guest->facts;
        libxl_domain_config *made;
        int r;

        if (facts.phase != FACTS_NONE)
                return idl_error_set_backend_failed(error, "xen", action->what, "there is one");
        made = malloc(sizeof *made);
        if (!made)
                return -ENOMEM;
        r = xen_config_make(made, config, name, &facts, error);
        if (r < 0) {
                free(made);
                return r;
        }
        action->config = made;
        if (xen_screen_is_wanted(config->spec))
                r = xen_screen_add(guest, &made->b_info, error);
        if (r < 0)
                return r;
        action->is_quiet = true;
        facts.phase = FACTS_BEGUN;
        facts.domid = FACTS_NO_DOMAIN;
        return xen_guest_save(guest, &facts, error);
}

/* Two domains of one UUID would be taken for each other. */
void xen_launch_work(struct xen_action *action, const struct worker_tools *tools) {
        struct domain_id there = action->id;

        there.domid = FACTS_NO_DOMAIN;
        if (xen_domain_find(tools->ctx, &there, NULL) == 0) {
                snprintf(action->work.why, sizeof action->work.why, "domain %u has its UUID", there.domid);
                action->rc = ERROR_FAIL;
        } else
                action->rc = xen_domain_create(tools->ctx, action->config, &action->id);
}

static void clear(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = xen_domain_remove(tools->ctx, &action->id);
}

static void on_cleared(struct xen_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        int r = (int) (int64_t) action->number;

        if (action->rc == 0)
                xen_guest_forget(action->guest);
        idl_error_move(&error, &action->error);
        xen_action_end(action, r, &error);
        idl_error_done(&error);
}

/* What libxl has not made is not there. */
void xen_launch_give_up(struct xen_action *action, int r, struct idl_error *error) {
        if (action->id.domid != FACTS_NO_DOMAIN) {
                idl_error_move(&action->error, error);
                action->number = (uint64_t) (int64_t) r;
                xen_action_work(action, true, clear, on_cleared);
                return;
        }
        xen_guest_forget(action->guest);
        xen_action_end(action, r, error);
}

void xen_launch_end(struct xen_action *action) {
        struct xen_guest *guest = action->guest;
        struct idl_error error = IDL_ERROR_NULL;
        struct xen_facts facts = guest->facts;
        int r = 0;

        if (action->rc != 0)
                r = idl_error_set_backend_failed(&error, "xen", action->what,
                                                 action->work.why[0] ? action->work.why : "libxl does not say why");
        else if (action->is_cancelled)
                r = -ECANCELED;
        if (r >= 0) {
                facts.phase = action->flag ? FACTS_STARTED : FACTS_PREPARED;
                facts.started_usec = action->flag ? clock_now_usec(CLOCK_REALTIME) : 0;
                facts.domid = action->id.domid;
                xen_guest_take_domain(guest, facts.domid);
                r = xen_guest_save(guest, &facts, &error);
        }
        if (r < 0)
                xen_launch_give_up(action, r, &error);
        else
                xen_action_end(action, 0, NULL);
        idl_error_done(&error);
}
