/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "rebuild.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libxl_utils.h>

#include "clock.h"

/* First: what it is made of, as libxl keeps it with changes since */

static void retrieve(struct xen_action *action, const struct worker_tools *tools) {
        libxl_domain_config config;

        libxl_domain_config_init(&config);
        action->rc = xen_domain_find(tools->ctx, &action->id, NULL);
        if (action->rc == 0)
                action->rc = libxl_retrieve_domain_configuration(tools->ctx, action->id.domid, &config, NULL);
        if (action->rc == 0) {
                action->json = libxl_domain_config_to_json(tools->ctx, &config);
                action->rc = action->json ? 0 : ERROR_NOMEM;
        }
        libxl_domain_config_dispose(&config);
}

/* Then the one goes and the other comes */

static int replace(struct xen_action *action, libxl_ctx *ctx, libxl_domain_config *config) {
        struct domain_id old = action->id;
        int rc;

        rc = libxl_domain_config_from_json(ctx, config, action->json);
        if (rc == 0)
                rc = xen_domain_remove(ctx, &old);
        old.domid = FACTS_NO_DOMAIN;    /* and what an earlier manager has left of the new one */
        if (rc == 0)
                rc = xen_domain_remove(ctx, &old);
        if (rc == 0)
                rc = xen_domain_create(ctx, config, &action->id);
        return rc == 0 && !action->flag ? libxl_domain_unpause(ctx, action->id.domid, NULL) : rc;
}

void xen_rebuild_work(struct xen_action *action, const struct worker_tools *tools) {
        libxl_domain_config config;

        libxl_domain_config_init(&config);
        action->rc = replace(action, tools->ctx, &config);
        libxl_domain_config_dispose(&config);
}

int xen_rebuild_end(struct xen_action *action, struct idl_error *error) {
        struct xen_guest *guest = action->guest;
        struct xen_facts facts = guest->facts;

        facts.phase = FACTS_STARTED;
        if (action->rc != 0) {          /* then it is one whose domain is gone */
                (void) xen_guest_save(guest, &facts, NULL);
                return idl_error_set_backend_failed(error, "xen", action->what, action->work.why);
        }
        facts.domid = action->id.domid;
        facts.started_usec = clock_now_usec(CLOCK_REALTIME);
        for (size_t i = 0; i < facts.n_devices; i++)
                facts.devices[i].is_left = false;       /* it has another device model */
        xen_guest_take_domain(guest, facts.domid);
        return xen_guest_save(guest, &facts, error);
}

static void on_replaced(struct xen_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = xen_rebuild_end(action, &error);
        xen_action_end(action, r, &error);
        idl_error_done(&error);
}

static void on_retrieved(struct xen_action *action) {
        struct xen_guest *guest = action->guest;
        struct idl_error error = IDL_ERROR_NULL;
        struct xen_facts facts = guest->facts;
        int r;

        if (action->rc != 0) {
                xen_action_fail(action, NULL);
                return;
        }
        if (action->is_cancelled) {
                xen_action_end(action, -ECANCELED, NULL);
                return;
        }
        facts.phase = FACTS_REBUILDING;
        r = xen_guest_save_config(guest, action->json);
        r = r < 0 ? idl_error_set_backend_failed(&error, "xen", action->what, strerrordesc_np(-r)) : xen_guest_save(guest, &facts, &error);
        if (r < 0)
                xen_action_end(action, r, &error);
        else {
                xen_guest_leave_domain(guest);
                xen_action_work(action, true, xen_rebuild_work, on_replaced);
        }
        idl_error_done(&error);
}

void xen_rebuild(struct xen_action *action) {
        action->is_quiet = true;
        action->flag = false;
        xen_action_work(action, true, retrieve, on_retrieved);
}
