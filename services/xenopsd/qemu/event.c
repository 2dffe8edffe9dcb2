/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "event.h"

#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "action.h"
#include "operations.h"
#include "reconcile.h"
#include "source.h"
#include "utf8.h"
#include "watch.h"

static const char *string_of(struct json_object *data, const char *name) {
        struct json_object *value;

        return data && json_object_object_get_ex(data, name, &value) && json_object_is_type(value, json_type_string)
                       ? json_object_get_string(value) : "";
}

static bool is_stop(struct json_object *data, const char *action) {
        return strcmp(string_of(data, "action"), action) == 0;
}

/* Shutdown: who has asked for it hears of it as the operation that did. */
static void on_shutdown(struct qemu_guest *guest, struct json_object *data) {
        enum hypervisor_event event;

        guest->shutdown = qemu_shutdown_from_string(string_of(data, "reason"));
        if (actions_hear(guest, "SHUTDOWN", data))
                return;
        event = qemu_shutdown_event(guest->shutdown);
        if (event != HYPERVISOR_NO_EVENT && event != HYPERVISOR_PANICKED)       /* of that, GUEST_PANICKED has told */
                guest_tell(guest, event, "");
}

/* A disk by its node's name. */
static void name_disk(const struct qemu_guest *guest, const char *untrusted_node, char *text, size_t size) {
        char node[QEMU_ID_SIZE];

        for (size_t i = 0; i < guest->facts.n_slots; i++) {
                const char *device = guest->facts.slots[i].device;

                if (strncmp(device, "disk-", 5) != 0)
                        continue;
                source_node(device + 5, node);
                if (strcmp(node, untrusted_node) == 0) {
                        snprintf(text, size, "%s", device + 5);
                        return;
                }
        }
        snprintf(text, size, "a disk");
}

static void on_io_error(struct qemu_guest *guest, struct json_object *data) {
        bool is_write = strcmp(string_of(data, "operation"), "write") == 0;
        char detail[HYPERVISOR_DETAIL_MAX], disk[QEMU_ID_SIZE];

        if (!is_stop(data, "stop"))
                return;
        name_disk(guest, string_of(data, "node-name"), disk, sizeof disk);
        snprintf(detail, sizeof detail, "%s could not be %s: %.100s", disk, is_write ? "written" : "read", string_of(data, "reason"));
        for (char *p = detail; *p; p++)
                if (*p < ' ' || *p > '~')
                        *p = '?';
        guest_tell(guest, HYPERVISOR_DISK_FAILED, detail);
}

/* It stopped. Of an internal error nothing else tells. */
static void on_stopped_status(void *userdata, int r, struct json_object *value, const char *why) {
        struct qemu_guest *guest = userdata;
        struct hypervisor_status status = {};

        if (r < 0)
                return;
        qemu_status_read(&status, string_of(value, "status"), true, guest->shutdown);
        if (status.state == HYPERVISOR_ENDED && status.event == HYPERVISOR_BROKEN)
                guest_tell(guest, HYPERVISOR_BROKEN, status.detail);
}

static void on_agent(struct qemu_guest *guest, struct json_object *data) {
        struct json_object *open;

        guest->is_agent_open = data && json_object_object_get_ex(data, "open", &open) && json_object_get_boolean(open);
        if (guest->watch)
                watch_set_agent(guest->watch, guest->is_agent_open);
        guest_tell(guest, HYPERVISOR_CHANGED, "");
}

static void on_deleted(struct qemu_guest *guest, struct json_object *data) {
        if (vcpus_is_one(data)) {
                guest->counts_vcpus = true;
                guest_tell(guest, HYPERVISOR_CHANGED, "");
        } else
                reconcile_hear_deleted(guest, data);
}

static bool is_by_guest(struct json_object *data) {
        struct json_object *value;

        return data && json_object_object_get_ex(data, "guest", &value) && json_object_get_boolean(value);
}

static void on_event(void *userdata, const char *untrusted_name, struct json_object *data) {
        struct qemu_guest *guest = userdata;

        if (guest->watch && strcmp(untrusted_name, "RESET") == 0)
                watch_forget(guest->watch);
        if (strcmp(untrusted_name, "SHUTDOWN") == 0)
                on_shutdown(guest, data);
        else if (actions_hear(guest, untrusted_name, data))
                return;
        else if (strcmp(untrusted_name, "GUEST_PANICKED") == 0)
                guest_tell(guest, HYPERVISOR_PANICKED, "its kernel panicked");
        else if (strcmp(untrusted_name, "WATCHDOG") == 0 && is_stop(data, "pause"))
                guest_tell(guest, HYPERVISOR_WATCHDOG, "its watchdog ran out");
        else if (strcmp(untrusted_name, "BLOCK_IO_ERROR") == 0)
                on_io_error(guest, data);
        else if (strcmp(untrusted_name, "STOP") == 0)
                (void) qmp_execute(guest->qmp, "query-status", NULL, -1, on_stopped_status, guest, NULL);
        else if (strcmp(untrusted_name, "RESUME") == 0 && !guest->actions)      /* as after a migration that an earlier manager had begun */
                guest_tell(guest, HYPERVISOR_CHANGED, "");
        else if (strcmp(untrusted_name, "RESET") == 0 && guest->reset_window && is_by_guest(data))
                guest_open_reset_window(guest);
        else if (strcmp(untrusted_name, "VSERPORT_CHANGE") == 0)
                on_agent(guest, data);
        else if (strcmp(untrusted_name, "DEVICE_DELETED") == 0)         /* nobody has waited for that any more */
                on_deleted(guest, data);
}

static void on_late_status(void *userdata, int r, struct json_object *value, const char *why) {
        struct qemu_guest *guest = userdata;
        struct hypervisor_status status = {};

        if (r < 0)
                return;
        qemu_status_read(&status, string_of(value, "status"), guest->facts.phase == FACTS_STARTED, guest->shutdown);
        if (status.state == HYPERVISOR_SUSPENDED)
                guest_tell(guest, HYPERVISOR_TAKEN, "its monitor was late");
        else
                guest_tell(guest, HYPERVISOR_CHANGED, "");
}

/*
 * Who had asked for something was told that it was not done, and now it may be: a guest that stands still is not to be taken for one that runs, or the other way round,
 * and devices that were given up are not to be there.
 */
static void on_late(void *userdata) {
        struct qemu_guest *guest = userdata;

        (void) qmp_execute(guest->qmp, "query-status", NULL, -1, on_late_status, guest, NULL);
        reconcile_devices(guest);
}

/* The end of the monitor */

static void break_guest(struct qemu_guest *guest, const char *why) {
        guest->is_broken = true;
        snprintf(guest->words, sizeof guest->words, "%s", why);
        if (!action_are_quiet(guest))
                guest_tell(guest, HYPERVISOR_BROKEN, guest->words);
}

static int on_no_end(sd_event_source *source, uint64_t usec, void *userdata) {
        struct qemu_guest *guest = userdata;

        guest->timer = sd_event_source_disable_unref(guest->timer);
        if (guest->process)
                break_guest(guest, "its monitor has hung up");
        return 0;
}

static void on_gone(void *userdata, bool violated, const char *why) {
        struct qemu_guest *guest = userdata;

        guest->watch = watch_free(guest->watch);
        guest->qmp = qmp_free(guest->qmp);
        if (violated)
                break_guest(guest, why);
        else if (sd_event_add_time_relative(guest->qemu->host.event, &guest->timer, CLOCK_MONOTONIC, ACTION_END_MS * UINT64_C(1000), 1,
                                            on_no_end, guest) < 0)
                break_guest(guest, why);
}

const struct qmp_listener event_listener = { on_event, on_late, on_gone, GUEST_ANSWER_MS };
