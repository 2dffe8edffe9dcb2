/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Virtual CPUs of a QEMU guest while it runs. They are plugged in order, and those that were plugged are unplugged in the opposite one, which takes the guest's
 * kernel (ACPI's eject); those that were there when QEMU was started stay. In software emulation none is unplugged: QEMU 7.2 destroys its own memory by that, and is
 * lost with its guest at the next that is plugged.
 *
 * How many there are is what QEMU says. Where that may have changed unseen, as in a request that the guest has not heeded in time but may heed later, the next query
 * counts them.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "operations.h"

#define CPU_PREFIX "cpu-"               /* identifiers of those that are plugged */
#define PLUGGED_PATH "/machine/peripheral/"

/* What a guest says to a request to eject: ACPI 6.4, 6.3.5 "_OST" */
#define OST_EJECT_REQUEST 3
#define OST_OSPM_EJECT 0x103
#define OST_SUCCESS 0
#define OST_IN_PROGRESS 0x84            /* and 0x85 to 0x8f are of insertion */

static void look_at_cpus(struct qemu_action *action);

static uint64_t number(struct json_object *object, const char *name) {
        struct json_object *value;

        return json_object_object_get_ex(object, name, &value) && json_object_is_type(value, json_type_int)
                       ? json_object_get_uint64(value) : 0;
}

static const char *text(struct json_object *object, const char *name) {
        struct json_object *value;

        return object && json_object_object_get_ex(object, name, &value) && json_object_is_type(value, json_type_string)
                       ? json_object_get_string(value) : "";
}

/* Where it is among the others: the order in which QEMU plugs those that are there from the start. */
static uint64_t rank(struct json_object *props) {
        return ((number(props, "socket-id") * 512 + number(props, "die-id")) * 512 + number(props, "core-id")) * 512 + number(props, "thread-id");
}

struct found {
        size_t n_plugged;
        struct json_object *next;       /* the first that is not plugged; NULL: there is none */
        struct json_object *last;       /* the last that is plugged and can be unplugged; NULL: there is none */
};

static struct json_object *better(struct json_object *cpu, struct json_object *than, bool is_first) {
        uint64_t one = rank(json_object_object_get(cpu, "props")), other;

        if (!than)
                return cpu;
        other = rank(json_object_object_get(than, "props"));
        return (is_first ? one < other : one > other) ? cpu : than;
}

static struct found find(struct json_object *cpus) {
        size_t n = json_object_is_type(cpus, json_type_array) ? json_object_array_length(cpus) : 0;
        struct found found = {};

        for (size_t i = 0; i < n; i++) {
                struct json_object *cpu = json_object_array_get_idx(cpus, i), *props;

                if (!json_object_is_type(cpu, json_type_object) || !json_object_object_get_ex(cpu, "props", &props) ||
                    !json_object_is_type(props, json_type_object))
                        continue;
                if (!json_object_object_get_ex(cpu, "qom-path", NULL)) {
                        found.next = better(cpu, found.next, true);
                        continue;
                }
                found.n_plugged++;
                if (strncmp(text(cpu, "qom-path"), PLUGGED_PATH CPU_PREFIX, strlen(PLUGGED_PATH CPU_PREFIX)) == 0)
                        found.last = better(cpu, found.last, false);
        }
        return found;
}

uint32_t vcpus_count(struct json_object *cpus) {
        return (uint32_t) find(cpus).n_plugged;
}

bool vcpus_is_one(struct json_object *data) {
        return strncmp(text(data, "device"), CPU_PREFIX, strlen(CPU_PREFIX)) == 0;
}

static void end_changed(struct qemu_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        action->guest->counts_vcpus = false;
        r = guest_save(action->guest, &error);
        action_end(action, r, &error);
        idl_error_done(&error);
}

static void end_with(struct qemu_action *action, int r, struct idl_error *error) {
        action_end(action, r, error);
        idl_error_done(error);
}

/* Plugging */

static void on_plugged(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                action_fail(action, why);
        else
                look_at_cpus(action);
}

static void plug(struct qemu_action *action, struct json_object *cpu) {
        struct json_object *props = json_object_object_get(cpu, "props"), *arguments;
        char id[QEMU_ID_SIZE];

        arguments = arguments_1("driver", text(cpu, "type"));
        if (arguments) {
                snprintf(id, sizeof id, CPU_PREFIX "%" PRIu64, rank(props));
                json_object_object_add(arguments, "id", json_object_new_string(id));
                json_object_object_foreach(props, name, value)
                        json_object_object_add(arguments, name, json_object_get(value));
        }
        action->guest->counts_vcpus = true;     /* if nobody waits for the answer, it may be there all the same */
        action_execute(action, "device_add", arguments, -1, on_plugged);
}

/* Unplugging */

static void end_unheeded(struct qemu_action *action) {
        action->hear = NULL;
        action_end(action, action->is_cancelled ? -ECANCELED : -ETIMEDOUT, NULL);
}

/* The guest cannot be told that it may keep it. */
static void stop_waiting(struct qemu_action *action) {
        action->hear = NULL;
        action_wait(action, 0, end_unheeded);
}

static void end_refused(struct qemu_action *action) {
        char why[QEMU_ID_SIZE + 64];

        snprintf(why, sizeof why, "the guest's kernel does not let go of the virtual CPU %s", action->id);
        action_fail(action, why);
}

static void unplugged(struct qemu_action *action) {
        action->on_cancel = NULL;
        look_at_cpus(action);
}

static bool is_refusal(struct json_object *info) {
        uint64_t source = number(info, "source"), status = number(info, "status");

        return (source == OST_EJECT_REQUEST || source == OST_OSPM_EJECT) && status != OST_SUCCESS && status != OST_IN_PROGRESS;
}

static bool hear_unplug(struct qemu_action *action, const char *event, struct json_object *data) {
        struct json_object *info = data ? json_object_object_get(data, "info") : NULL;
        action_step_t next;

        if (strcmp(event, "DEVICE_DELETED") == 0 && strcmp(text(data, "device"), action->id) == 0)
                next = unplugged;
        else if (strcmp(event, "DEVICE_UNPLUG_GUEST_ERROR") == 0 && strcmp(text(data, "device"), action->id) == 0)
                next = end_refused;
        else if (strcmp(event, "ACPI_DEVICE_OST") == 0 && info && strcmp(text(info, "device"), action->id) == 0 && is_refusal(info))
                next = end_refused;
        else
                return false;
        action->hear = NULL;
        action_wait(action, 0, next);
        return true;
}

static void on_unplug_begun(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0 && action->hear) {
                action->hear = NULL;
                action_fail(action, why);
        }
}

/* One that has been asked for already is asked for again: QEMU says so to the guest. */
static void unplug(struct qemu_action *action, struct json_object *cpu) {
        snprintf(action->id, sizeof action->id, "%s", text(cpu, "qom-path") + strlen(PLUGGED_PATH));
        action->guest->counts_vcpus = true;
        action->hear = hear_unplug;
        action->on_cancel = stop_waiting;
        action_wait(action, action->timeout_ms, end_unheeded);
        action_execute(action, "device_del", arguments_1("id", action->id), -1, on_unplug_begun);
}

static void refuse(struct qemu_action *action, const char *what) {
        struct idl_error error = IDL_ERROR_NULL;

        end_with(action, idl_error_set_not_supported(&error, what), &error);
}

static void on_kvm(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct json_object *enabled;

        if (r < 0)
                action_fail(action, why);
        else if (!json_object_is_type(value, json_type_object) || !json_object_object_get_ex(value, "enabled", &enabled) ||
                 !json_object_get_boolean(enabled))
                refuse(action, "Taking virtual CPUs from a guest that runs in software emulation, which QEMU does not survive,");
        else {
                action->flag = true;
                look_at_cpus(action);
        }
}

/* Both */

static void on_cpus(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct found found;

        if (r < 0) {
                action_fail(action, why);
                return;
        }
        found = find(value);
        action->guest->facts.vcpus = (uint32_t) found.n_plugged;
        if (found.n_plugged == action->amount)
                end_changed(action);
        else if (found.n_plugged < action->amount && found.next)
                plug(action, found.next);
        else if (found.n_plugged < action->amount)
                action_fail(action, "the machine has no more of them");
        else if (!action->flag)
                action_execute(action, "query-kvm", NULL, -1, on_kvm);
        else if (found.last)
                unplug(action, found.last);
        else
                refuse(action, "Taking virtual CPUs from a guest that were there when its QEMU was started");
}

static void look_at_cpus(struct qemu_action *action) {
        action_execute(action, "query-hotpluggable-cpus", NULL, -1, on_cpus);
}

int vcpus_set(void *userdata, struct hypervisor_call *call, uint32_t vcpus, struct idl_error *error) {
        struct qemu_guest *guest = userdata;
        struct qemu_action *action;
        int r;

        if (guest->facts.machine == QEMU_MICROVM)
                return idl_error_set_not_supported(error, "Plugging virtual CPUs into a microvm");
        r = action_begin(guest, call, "change its guest's virtual CPUs", &action);
        if (r < 0)
                return r;
        action->amount = vcpus;
        action->timeout_ms = HYPERVISOR_VCPU_MS;
        look_at_cpus(action);
        return 0;
}
