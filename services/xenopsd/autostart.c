/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "autostart.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "job.h"

static bool is_wanted(const struct vm *vm) {
        if (!vm->spec.autostart || vm->is_away || vm->state != XCP_VM_STATE_HALTED)
                return false;
        return vm->reason == XCP_VM_STATE_REASON_CREATED || vm->reason == XCP_VM_STATE_REASON_FOUND;
}

/* By order, then by name, so that it is the same each time. */
static int compare(const struct vm *a, const struct vm *b) {
        if (a->spec.autostart_order != b->spec.autostart_order)
                return a->spec.autostart_order < b->spec.autostart_order ? -1 : 1;
        return strcmp(a->spec.name, b->spec.name);
}

static int compare_items(const void *a, const void *b) {
        return compare(*(struct vm *const *) a, *(struct vm *const *) b);
}

struct autostart {
        struct xenopsd *xenopsd;
        sd_event_source *timer;
        size_t n, next;
        char uuids[][37];               /* VMs may go while others wait */
};

static void start(struct vm *vm) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        log_event(LOG_INFO, LOG_FIELDS({ "XCP_VM", vm->uuid }), "Starting VM %s, which is to start with the manager", vm->spec.name);
        r = job_add(vm, OPERATION_START, NULL, NULL, NULL, &error);
        if (r < 0)
                log_event(LOG_ERR, LOG_FIELDS({ "XCP_VM", vm->uuid }), "Cannot start VM %s: %s", vm->spec.name,
                          error.message ?: strerrordesc_np(-r));
        else
                job_next(vm);
        idl_error_done(&error);
}

static int on_timer(sd_event_source *timer, uint64_t usec, void *userdata) {
        struct autostart *autostart = userdata;

        while (autostart->next < autostart->n) {
                struct vm *vm = vm_find_uuid(autostart->xenopsd, autostart->uuids[autostart->next++]);
                uint32_t delay_ms;
                int r;

                if (!vm || !is_wanted(vm))
                        continue;
                delay_ms = vm->spec.autostart_delay_ms;
                start(vm);
                if (delay_ms == 0)
                        continue;
                r = sd_event_source_set_time_relative(timer, delay_ms * UINT64_C(1000));
                return r < 0 ? r : sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
        }
        return 0;
}

static struct autostart *collect(struct xenopsd *xenopsd) {
        struct vm **vms = calloc(xenopsd->n_vms + 1, sizeof *vms);
        struct autostart *autostart = NULL;
        size_t n = 0;

        for (struct vm *vm = xenopsd->first; vm && vms; vm = vm->next)
                if (is_wanted(vm))
                        vms[n++] = vm;
        if (vms)
                autostart = calloc(1, sizeof *autostart + n * sizeof autostart->uuids[0]);
        if (autostart) {
                qsort(vms, n, sizeof *vms, compare_items);
                *autostart = (struct autostart) { .xenopsd = xenopsd, .n = n };
                for (size_t i = 0; i < n; i++)
                        strcpy(autostart->uuids[i], vms[i]->uuid);
        }
        free(vms);
        return autostart;
}

int autostart_begin(struct xenopsd *xenopsd) {
        xenopsd->autostart = collect(xenopsd);
        if (!xenopsd->autostart)
                return -ENOMEM;
        if (xenopsd->autostart->n == 0)
                return 0;
        return sd_event_add_time_relative(xenopsd->event, &xenopsd->autostart->timer, CLOCK_MONOTONIC, 0, 1, on_timer,
                                          xenopsd->autostart);
}

void autostart_end(struct xenopsd *xenopsd) {
        if (xenopsd->autostart)
                sd_event_source_disable_unref(xenopsd->autostart->timer);
        free(xenopsd->autostart);
        xenopsd->autostart = NULL;
}
