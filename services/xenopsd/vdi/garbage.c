/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "garbage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "job.h"
#include "storage-service.h"

#define DESTROY_TIMEOUT_USEC (60 * UINT64_C(1000000))

struct wait {
        struct wait *next;
        garbage_done_t done;
        void *userdata;
};

struct garbage {
        struct xenopsd *xenopsd;
        struct idl_arena arena;         /* of the current one */
        struct store_garbage current;
        char *after;                    /* the name of the one before */
        bool runs, again;               /* somebody came while it ran */
        bool left;                      /* something could not be destroyed */
        struct remote_task *remote;
        sd_bus_slot *slot;
        sd_bus_message *srs;            /* those that are still to be looked through for the current one */
        bool unsure;                    /* not all of them could be */
        sd_event_source *defer;
        struct storage_retry later;
        struct wait *waits;
};

static void next(struct garbage *garbage);

/* The end of a round */

static void finish(struct garbage *garbage) {
        struct wait *waits = garbage->waits;

        garbage->runs = false;
        if (garbage->again) {
                garbage_collect(garbage->xenopsd);
                return;
        }
        garbage->waits = NULL;
        if (garbage->left)
                storage_retry_later(&garbage->later);
        while (waits) {
                struct wait *wait = waits;

                waits = wait->next;
                wait->done(wait->userdata);
                free(wait);
        }
}

/* One that is done with, or is left for another time. */
static void go_on(struct garbage *garbage, bool gone) {
        if (gone)
                store_remove_garbage(garbage->xenopsd->store, garbage->current.name);
        else
                garbage->left = true;
        next(garbage);
}

/* Destroying one */

static void on_destroyed(void *userdata, int r, sd_bus_message *result, struct idl_error *error) {
        struct garbage *garbage = userdata;
        bool gone = r >= 0 || r == -ENOENT;

        garbage->remote = NULL;
        if (!gone && (garbage->current.is_patient || r != -EBUSY))
                log_event(LOG_INFO, LOG_FIELDS({ "XCP_VDI", garbage->current.vdi }), "Cannot destroy %s, and will try again: %s",
                          garbage->current.vdi, error->message ?: strerrordesc_np(-r) ?: "unknown error");
        else if (!gone) {
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VDI", garbage->current.vdi }), "%s is left, as somebody else uses it",
                          garbage->current.vdi);
                gone = true;
        }
        idl_error_done(error);
        go_on(garbage, gone);
}

static void destroy(struct garbage *garbage) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        struct xenopsd *xenopsd = garbage->xenopsd;
        int r;

        r = sd_bus_message_new_method_call(xenopsd->bus, &call, STORAGE, garbage->current.vdi, STORAGE_VDI_INTERFACE, "Destroy");
        if (r >= 0)
                r = remote_task_begin(xenopsd->remote, call, STORAGE_TASKS, DESTROY_TIMEOUT_USEC, on_destroyed, garbage,
                                      &garbage->remote);
        if (r < 0)
                go_on(garbage, false);
}

/* Finding one whose making was interrupted: by its name, in all storage repositories */

static void look_into_next_sr(struct garbage *garbage);

static const char *find_in(struct garbage *garbage, sd_bus_message *reply) {
        const char *path, *uuid, *name;
        uint64_t size;

        if (sd_bus_message_enter_container(reply, 'a', "(osst)") <= 0)
                return NULL;
        while (sd_bus_message_read(reply, "(osst)", &path, &uuid, &name, &size) > 0)
                if (strcmp(name, garbage->current.name) == 0)
                        return idl_arena_strdup(&garbage->arena, path);
        return NULL;
}

static int on_vdis(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct garbage *garbage = userdata;

        garbage->slot = sd_bus_slot_unref(garbage->slot);
        if (sd_bus_message_is_method_error(reply, NULL))
                garbage->unsure = true;
        else
                garbage->current.vdi = find_in(garbage, reply);
        if (garbage->current.vdi)
                destroy(garbage);
        else
                look_into_next_sr(garbage);
        return 0;
}

static void not_found(struct garbage *garbage) {

        go_on(garbage, !garbage->unsure && clock_now_usec(CLOCK_REALTIME) > garbage->current.since_usec + GARBAGE_UNFOUND_USEC);
}

static void look_into_next_sr(struct garbage *garbage) {
        const char *path, *uuid, *name, *driver, *state;

        if (sd_bus_message_read(garbage->srs, "(ossss)", &path, &uuid, &name, &driver, &state) <= 0) {
                not_found(garbage);
                return;
        }
        if (sd_bus_call_method_async(garbage->xenopsd->bus, &garbage->slot, STORAGE, path, STORAGE_SR_INTERFACE, "ListVDIs", on_vdis,
                                     garbage, NULL) < 0)
                go_on(garbage, false);
}

static int on_srs(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct garbage *garbage = userdata;

        garbage->slot = sd_bus_slot_unref(garbage->slot);
        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_enter_container(reply, 'a', "(ossss)") <= 0) {
                go_on(garbage, false);
                return 0;
        }
        garbage->srs = sd_bus_message_ref(reply);
        look_into_next_sr(garbage);
        return 0;
}

static void look_for(struct garbage *garbage) {
        garbage->unsure = false;
        if (sd_bus_call_method_async(garbage->xenopsd->bus, &garbage->slot, STORAGE, STORAGE_ROOT, STORAGE_MANAGER_INTERFACE, "ListSRs",
                                     on_srs, garbage, NULL) < 0)
                go_on(garbage, false);
}

/* One after another */

static bool is_under_way(const struct xenopsd *xenopsd, const char *owner) {
        for (const struct vm *vm = xenopsd->first; vm; vm = vm->next)
                if (vm->job && strcmp(vm->job->owner, owner) == 0)
                        return true;
        return false;
}

static int take_next(struct garbage *garbage) {
        int r;

        do {
                idl_arena_done(&garbage->arena);
                r = store_next_garbage(garbage->xenopsd->store, garbage->after ?: "", &garbage->arena, &garbage->current);
                if (r <= 0)
                        return r;
                free(garbage->after);
                garbage->after = strdup(garbage->current.name);
                if (!garbage->after)
                        return -ENOMEM;
        } while (is_under_way(garbage->xenopsd, garbage->current.owner));
        return 1;
}

static void next(struct garbage *garbage) {
        int r;

        garbage->srs = sd_bus_message_unref(garbage->srs);
        r = take_next(garbage);
        if (r <= 0) {
                garbage->left |= r < 0;
                finish(garbage);
        } else if (garbage->current.vdi)
                destroy(garbage);
        else
                look_for(garbage);
}

static int on_begin(sd_event_source *source, void *userdata) {
        next(userdata);
        return 0;
}

/* Not from within: who calls may be about to change what is garbage. */
void garbage_collect(struct xenopsd *xenopsd) {
        struct garbage *garbage = xenopsd->garbage;

        garbage->again = garbage->runs;
        if (garbage->runs)
                return;
        garbage->runs = true;
        garbage->left = false;
        free(garbage->after);
        garbage->after = NULL;
        if (sd_event_source_set_enabled(garbage->defer, SD_EVENT_ONESHOT) < 0) {
                garbage->runs = false;
                storage_retry_later(&garbage->later);
        }
}

int garbage_wait(struct xenopsd *xenopsd, garbage_done_t done, void *userdata) {
        struct wait *wait = malloc(sizeof *wait);

        if (!wait)
                return -ENOMEM;
        *wait = (struct wait) { xenopsd->garbage->waits, done, userdata };
        xenopsd->garbage->waits = wait;
        garbage_collect(xenopsd);
        return 0;
}

void garbage_forget_wait(struct xenopsd *xenopsd, void *userdata) {
        if (!xenopsd->garbage)
                return;
        for (struct wait **p = &xenopsd->garbage->waits; *p; p = &(*p)->next)
                if ((*p)->userdata == userdata) {
                        struct wait *wait = *p;

                        *p = wait->next;
                        free(wait);
                        return;
                }
}

static void on_retry(void *userdata) {
        garbage_collect(userdata);
}

int garbage_new(struct xenopsd *xenopsd) {
        struct garbage *garbage = calloc(1, sizeof *garbage);
        int r;

        if (!garbage)
                return -ENOMEM;
        garbage->xenopsd = xenopsd;
        xenopsd->garbage = garbage;
        r = sd_event_add_defer(xenopsd->event, &garbage->defer, on_begin, garbage);
        if (r >= 0)
                r = sd_event_source_set_enabled(garbage->defer, SD_EVENT_OFF);
        if (r >= 0)
                r = storage_retry_start(&garbage->later, xenopsd->event, xenopsd->bus, on_retry, xenopsd);
        return r;
}

void garbage_free(struct xenopsd *xenopsd) {
        struct garbage *garbage = xenopsd->garbage;

        if (!garbage)
                return;
        while (garbage->waits)
                garbage_forget_wait(xenopsd, garbage->waits->userdata);
        remote_task_free(garbage->remote);
        sd_bus_slot_unref(garbage->slot);
        sd_bus_message_unref(garbage->srs);
        storage_retry_stop(&garbage->later);
        sd_event_source_disable_unref(garbage->defer);
        idl_arena_done(&garbage->arena);
        free(garbage->after);
        free(garbage);
        xenopsd->garbage = NULL;
}
