/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "action.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"

#define ABORT_AGAIN_MS 20u

int xen_action_begin(struct xen_guest *guest, struct hypervisor_call *call, const char *what, struct xen_action **ret_action) {
        struct xen_action *action = malloc(sizeof *action);

        if (!action)
                return -ENOMEM;
        *action = (struct xen_action) { .guest = guest, .next = guest->actions, .call = call, .what = what, .fd = -1,
                                        .id = { .domid = guest->facts.domid, .other = guest->facts.other },
                                        .error = { .name = NULL } };
        memcpy(action->id.uuid, guest->uuid, sizeof action->id.uuid);
        libxl_dominfo_init(&action->info);
        guest->actions = action;
        if (call)
                call->under_way = action;
        *ret_action = action;
        return 0;
}

static void take_off(struct xen_action *action) {
        for (struct xen_action **p = &action->guest->actions; *p; p = &(*p)->next)
                if (*p == action) {
                        *p = action->next;
                        break;
                }
        action->timer = sd_event_source_disable_unref(action->timer);
        if (action->call)
                action->call->under_way = NULL;
        action->call = NULL;
        action->guest = NULL;
}

static void free_addresses(struct xen_action *action) {
        for (size_t i = 0; i < action->n_addresses; i++) {
                free((char *) action->addresses[i].address);
                free((char *) action->addresses[i].mac);
        }
        free(action->addresses);
}

struct xen_action *xen_action_free(struct xen_action *action) {
        if (action->guest)
                take_off(action);
        if (action->config) {
                libxl_domain_config_dispose(action->config);
                free(action->config);
        }
        if (action->disk) {
                libxl_device_disk_dispose(action->disk);
                free(action->disk);
        }
        if (action->nic) {
                libxl_device_nic_dispose(action->nic);
                free(action->nic);
        }
        libxl_dominfo_dispose(&action->info);
        free_addresses(action);
        idl_error_done(&action->error);
        free(action->json);
        free(action->facts);
        free(action);
        return NULL;
}

/* Ends */

void xen_action_end(struct xen_action *action, int r, struct idl_error *error) {
        struct hypervisor_call *call = action->call;
        struct idl_error none = IDL_ERROR_NULL;

        take_off(action);
        if (call)
                call->done(call, r, error ?: &none);
        idl_error_done(&none);
        xen_action_free(action);            /* only now: the result may point into it */
}

void xen_action_fail(struct xen_action *action, const char *why) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        if (!why)
                why = action->work.why[0] ? action->work.why : "libxl does not say why";
        if (!action->call)
                log_event(LOG_ERR, LOG_FIELDS({ "XCP_VM", action->id.uuid }), "Xen could not %s: %s", action->what, why);
        r = idl_error_set_backend_failed(&error, "xen", action->what, why);
        xen_action_end(action, r, &error);
        idl_error_done(&error);
}

void xen_action_end_with_work(struct xen_action *action) {
        if (action->rc != 0)
                xen_action_fail(action, NULL);
        else
                xen_action_end(action, 0, NULL);
}

/* Work */

static void on_run(struct work *work, const struct worker_tools *tools) {
        struct xen_action *action = (struct xen_action *) work;

        if (!tools->ctx)
                action->rc = ERROR_FAIL;
        else
                action->do_work(action, tools);
}

static void on_end(struct work *work) {
        struct xen_action *action = (struct xen_action *) work;

        action->is_working = false;
        if (!action->guest) {
                xen_action_free(action);
                return;
        }
        xen_action_stop_waiting(action);
        action->then(action);
}

void xen_action_work(struct xen_action *action, bool in_order, xen_action_work_t do_work, xen_action_step_t then) {
        xen_action_stop_waiting(action);
        action->rc = 0;
        action->do_work = do_work;
        action->then = then;
        if (!action->guest->xen->workers) {     /* without Xen there is no domain */
                action->rc = ERROR_DOMAIN_NOTFOUND;
                snprintf(action->work.why, sizeof action->work.why, "%s", action->guest->xen->reason);
                xen_action_wait(action, 0, then);
                return;
        }
        action->is_working = true;
        action->work.run = on_run;
        action->work.end = on_end;
        action->work.lane = in_order ? action->guest : NULL;
        workers_add(action->guest->xen->workers, &action->work);
}

/* Time */

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        struct xen_action *action = userdata;

        xen_action_stop_waiting(action);
        action->on_time(action);
        return 0;
}

void xen_action_stop_waiting(struct xen_action *action) {
        action->timer = sd_event_source_disable_unref(action->timer);
}

void xen_action_wait(struct xen_action *action, uint64_t ms, xen_action_step_t on_time) {
        xen_action_stop_waiting(action);
        action->on_time = on_time;
        /* A timer that cannot be set leaves an operation that ends when it is cancelled. */
        (void) sd_event_add_time_relative(action->guest->xen->host.event, &action->timer, CLOCK_MONOTONIC, ms * 1000, 1, on_timer, action);
}

/* Its end before its time. What a thread is at comes to its end, or is given up, and then it is up to the step that follows. */

/* Never that of another that the context has under way. */
libxl_asyncop_how xen_action_how(struct xen_action *action) {
        return (libxl_asyncop_how) { .callback = NULL, .u = { .for_event = (uintptr_t) action } };
}

int xen_action_await(struct xen_action *action, libxl_ctx *ctx, int rc) {
        libxl_event *event;

        if (rc != 0)
                return rc;
        action->ctx = ctx;
        rc = libxl_event_wait(ctx, &event, UINT64_C(1) << LIBXL_EVENT_TYPE_OPERATION_COMPLETE, NULL, NULL);
        action->ctx = NULL;
        if (rc == 0) {
                rc = event->u.operation_complete.rc;
                libxl_event_free(ctx, event);
        }
        return rc;
}

/* Until it is over: its thread may be before it yet. */
static void give_up(struct xen_action *action) {
        libxl_asyncop_how how = xen_action_how(action);
        libxl_ctx *ctx = action->ctx;

        if (!ctx || libxl_ao_abort(ctx, &how) == ERROR_NOTFOUND)
                xen_action_wait(action, ABORT_AGAIN_MS, give_up);
}

static void end_cancelled(struct xen_action *action) {
        xen_action_end(action, -ECANCELED, NULL);
}

void xen_action_cancel(void *userdata, struct hypervisor_call *call) {
        struct xen_action *action = call->under_way;

        if (!action || action->is_cancelled)
                return;
        action->is_cancelled = true;
        if (action->is_working && !workers_take_back(action->guest->xen->workers, &action->work)) {
                if (action->reads_stream)       /* of a file it has an end anyway */
                        (void) shutdown(action->fd, SHUT_RDWR);
                if (action->is_abortable)
                        xen_action_wait(action, 0, give_up);
                return;
        }
        action->is_working = false;
        xen_action_wait(action, 0, end_cancelled);
}

/* For guests */

bool xen_actions_hear(struct xen_guest *guest) {
        bool is_quiet = false;

        for (struct xen_action *action = guest->actions; action; action = action->next) {
                is_quiet |= action->is_quiet;
                if (!action->on_shutdown)
                        continue;
                if (!action->is_working)        /* otherwise the step that follows sees it */
                        xen_action_wait(action, 0, action->on_shutdown);
                action->on_shutdown = NULL;
                return true;
        }
        return is_quiet;
}

bool xen_actions_suspend(const struct xen_guest *guest) {
        for (const struct xen_action *action = guest->actions; action; action = action->next)
                if (action->has_it_suspend)
                        return true;
        return false;
}

void xen_actions_drop(struct xen_guest *guest) {
        while (guest->actions) {
                struct xen_action *action = guest->actions;

                if (action->is_working && !workers_take_back(guest->xen->workers, &action->work))
                        take_off(action);       /* and its end frees it */
                else
                        xen_action_free(action);
        }
}
