/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "operations.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl_utils.h>
#include <xenstore.h>

#include "action.h"
#include "addresses.h"
#include "clock.h"
#include "config.h"
#include "firmware.h"
#include "launch.h"
#include "rebuild.h"
#include "status.h"
#include "vcpus.h"

/* Query */

/*
 * Whoever destroys a domain pauses it first, and takes its nodes in xenstore away before it goes (libxl 4.17, libxl_domain.c): nobody has
 * suspended such a guest, and its end is told soon.
 */
static bool is_going(struct xs_handle *store, const libxl_dominfo *info) {
        char path[64], *home;
        bool has_no_home;
        unsigned n;

        snprintf(path, sizeof path, "/local/domain/%" PRIu32, info->domid);
        home = xs_read(store, XBT_NULL, path, &n);
        has_no_home = !home && errno == ENOENT;
        free(home);
        return info->dying || has_no_home;
}

static void ask(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = xen_domain_find(tools->ctx, &action->id, &action->info);
        if (action->rc != 0 || !tools->store)
                return;
        if (is_going(tools->store, &action->info))
                action->info.paused = false;
        addresses_read(tools->store, action->id.domid, &action->addresses, &action->n_addresses);
        action->number = vcpus_read(tools->store, action->id.domid);
}

static void on_asked(struct xen_action *action) {
        struct hypervisor_status *status = &action->call->status;
        const struct xen_facts *facts = &action->guest->facts;
        const char *unplugged[HYPERVISOR_DEVICES_MAX];

        if (action->rc != 0 && action->rc != ERROR_DOMAIN_NOTFOUND) {
                xen_action_fail(action, NULL);
                return;
        }
        xen_status_read(status, facts, action->rc == 0 ? &action->info : NULL);
        if (action->flag)               /* when it is found, this answer tells */
                action->guest->is_end_known |= action->rc == 0 && action->info.shutdown;
        status->vcpus = (uint32_t) action->number;
        status->addresses = action->addresses;
        status->n_addresses = action->n_addresses;
        for (size_t i = 0; i < facts->n_devices; i++)
                if (!facts->devices[i].is_plugged)
                        unplugged[status->n_unplugged++] = facts->devices[i].name;
        status->unplugged = unplugged;
        xen_action_end(action, 0, NULL);    /* while the array is there */
}

int xen_query(void *userdata, struct hypervisor_call *call, struct idl_error *error) {
        struct xen_guest *guest = userdata;
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, call, "say what its guest is", &action);
        if (r < 0)
                return r;
        call->status = (struct hypervisor_status) { .state = HYPERVISOR_ABSENT };
        action->flag = guest->is_recovering;
        if (guest->is_recovering && (guest->facts.phase == FACTS_NONE || guest->facts.phase == FACTS_REBUILDING))
                action->id.domid = FACTS_NO_DOMAIN;     /* it will have another */
        xen_action_work(action, guest->is_recovering, ask, on_asked);
        return 0;
}

/* Prepare and start */

int xen_prepare(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, struct idl_error *error) {
        struct xen_action *action;
        int r;

        r = xen_firmware_check(config->spec, error);
        if (r >= 0)
                r = xen_action_begin(guest, call, "prepare a guest", &action);
        if (r < 0)
                return r;
        r = xen_launch_begin(action, config, config->spec->name, error);
        if (r < 0) {
                xen_action_free(action);
                return r;
        }
        xen_action_work(action, true, xen_launch_work, xen_launch_end);
        return 0;
}

static void unpause(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = libxl_domain_unpause(tools->ctx, action->id.domid, NULL);
}

static void end_well(struct xen_action *action) {
        xen_action_end(action, 0, NULL);
}

/* Written down first: a guest may be taken for one that has run, but not the other way round. */
int xen_start(void *userdata, struct hypervisor_call *call, bool paused, struct idl_error *error) {
        struct xen_guest *guest = userdata;
        struct xen_facts facts = guest->facts;
        struct xen_action *action;
        int r;

        if (facts.phase != FACTS_PREPARED)
                return idl_error_set_backend_failed(error, "xen", "start its guest", "there is none that is prepared");
        r = xen_action_begin(guest, call, "start its guest", &action);
        if (r < 0)
                return r;
        facts.phase = FACTS_STARTED;
        facts.started_usec = clock_now_usec(CLOCK_REALTIME);
        r = xen_guest_save(guest, &facts, error);
        if (r < 0) {
                xen_action_free(action);
                return r;
        }
        if (paused)
                xen_action_wait(action, 0, end_well);
        else
                xen_action_work(action, true, unpause, xen_action_end_with_work);
        return 0;
}

/* Destroy and stop */

static void remove_domain(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = xen_domain_remove(tools->ctx, &action->id);
}

static void on_removed(struct xen_action *action) {
        if (action->rc == ERROR_DOMAIN_NOTFOUND)
                action->rc = 0;
        if (action->rc == 0)
                xen_guest_forget(action->guest);
        xen_action_end_with_work(action);
}

/* Whatever is done to it before: which domain it is then, that knows best. */
static void begin_remove(struct xen_action *action) {
        struct xen_guest *guest = action->guest;

        action->id.domid = guest->facts.domid;
        xen_action_work(action, true, remove_domain, on_removed);
}

static void after_others(struct xen_action *action, const struct worker_tools *tools) {
}

int xen_destroy(void *userdata, struct hypervisor_call *call, struct idl_error *error) {
        struct xen_guest *guest = userdata;
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, call, "take its guest away", &action);
        if (r < 0)
                return r;
        action->is_quiet = true;
        xen_action_work(action, true, after_others, begin_remove);
        return 0;
}

static void on_switched_off(struct xen_action *action) {
        if (action->rc == 0)
                *action->ret_forced = true;
        on_removed(action);
}

static void switch_off(struct xen_action *action) {
        action->on_shutdown = NULL;
        action->is_quiet = true;
        xen_action_work(action, true, remove_domain, on_switched_off);
}

static void on_shut_down(struct xen_action *action) {
        *action->ret_forced = false;
        xen_action_end(action, 0, NULL);
}

int xen_stop(void *userdata, struct hypervisor_call *call, uint32_t timeout_ms, bool *ret_forced, struct idl_error *error) {
        struct xen_guest *guest = userdata;
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, call, "stop its guest", &action);
        if (r < 0)
                return r;
        action->ret_forced = ret_forced;
        if (timeout_ms == 0 || guest->facts.phase != FACTS_STARTED) {
                switch_off(action);
                return 0;
        }
        action->on_shutdown = on_shut_down;
        if (xen_loop_ask_poweroff(guest->xen->loop, guest->facts.domid) == 0)
                xen_action_wait(action, timeout_ms, switch_off);
        else                            /* then it is not to be asked */
                switch_off(action);
        return 0;
}

/* Reset and reboot */

int xen_reset(void *guest, struct hypervisor_call *call, struct idl_error *error) {
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, call, "reset its guest", &action);
        if (r >= 0)
                xen_rebuild(action);
        return r;
}

static void on_reboot_late(struct xen_action *action) {
        xen_action_end(action, -ETIMEDOUT, NULL);
}

int xen_reboot(void *userdata, struct hypervisor_call *call, uint32_t timeout_ms, struct idl_error *error) {
        struct xen_guest *guest = userdata;
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, call, "reboot its guest", &action);
        if (r < 0)
                return r;
        r = xen_loop_ask_reboot(guest->xen->loop, guest->facts.domid);
        if (r != 0) {
                xen_action_free(action);
                return idl_error_set_backend_failed(error, "xen", "reboot its guest", r == ERROR_NOPARAVIRT ? "it has no drivers for Xen"
                                                                                                            : "libxl cannot ask it");
        }
        action->on_shutdown = xen_rebuild;
        xen_action_wait(action, timeout_ms, on_reboot_late);
        return 0;
}

/* Suspend, resume, power button */

static void pause_domain(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = libxl_domain_pause(tools->ctx, action->id.domid, NULL);
}

int xen_suspend(void *guest, struct hypervisor_call *call, struct idl_error *error) {
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, call, "suspend its guest", &action);
        if (r >= 0)
                xen_action_work(action, true, pause_domain, xen_action_end_with_work);
        return r;
}

/* A guest that wants to boot anew does so now; one that was saved after all goes on. */
static void resume_domain(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = xen_domain_find(tools->ctx, &action->id, &action->info);
        if (action->rc == 0 && action->info.shutdown && action->info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND)
                action->rc = libxl_domain_resume(tools->ctx, action->id.domid, 1, NULL);
        if (action->rc == 0 && !action->info.shutdown)
                action->rc = libxl_domain_unpause(tools->ctx, action->id.domid, NULL);
}

static void on_resumed(struct xen_action *action) {
        if (action->rc == 0 && action->info.shutdown && xen_status_event((int) action->info.shutdown_reason) == HYPERVISOR_REBOOTED) {
                xen_rebuild(action);
                return;
        }
        if (action->rc == 0 && action->info.shutdown)
                xen_guest_take_domain(action->guest, action->id.domid);     /* libxl tells of one end of a domain only */
        xen_action_end_with_work(action);
}

int xen_resume(void *guest, struct hypervisor_call *call, struct idl_error *error) {
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, call, "resume its guest", &action);
        if (r >= 0)
                xen_action_work(action, true, resume_domain, on_resumed);
        return r;
}

int xen_power_button(void *userdata, struct idl_error *error) {
        struct xen_guest *guest = userdata;

        if (xen_loop_ask_poweroff(guest->xen->loop, guest->facts.domid) != 0)
                return idl_error_set_backend_failed(error, "xen", "press its guest's power button", "libxl cannot do it");
        return 0;
}

/* Memory and virtual CPUs */

static void set_memory(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = libxl_set_memory_target(tools->ctx, action->id.domid, (int64_t) (action->number / 1024), 0, 1);
}

int xen_set_memory(void *guest, struct hypervisor_call *call, uint64_t memory, struct idl_error *error) {
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, call, "change its guest's memory", &action);
        if (r < 0)
                return r;
        action->number = memory;
        xen_action_work(action, true, set_memory, xen_action_end_with_work);
        return 0;
}

static void set_vcpus(struct xen_action *action, const struct worker_tools *tools) {
        libxl_bitmap map;

        libxl_bitmap_init(&map);
        action->rc = libxl_cpu_bitmap_alloc(tools->ctx, &map, (int) action->number);
        for (int i = 0; i < (int) action->number && action->rc == 0; i++)
                libxl_bitmap_set(&map, i);
        if (action->rc == 0)
                action->rc = libxl_set_vcpuonline(tools->ctx, action->id.domid, &map, NULL);
        libxl_bitmap_dispose(&map);
}

int xen_set_vcpus(void *guest, struct hypervisor_call *call, uint32_t vcpus, struct idl_error *error) {
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, call, "change its guest's virtual CPUs", &action);
        if (r < 0)
                return r;
        action->number = vcpus;
        xen_action_work(action, true, set_vcpus, xen_action_end_with_work);
        return 0;
}
