/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Memory and virtual CPUs of a QEMU guest while it runs. Memory is what its balloon leaves it, of all that the machine has: that takes the
 * guest's kernel, and what it does not do in time is taken back. Virtual CPUs are plugged in order. None is unplugged: QEMU 7.2 destroys
 * its own memory by that in software emulation, and is lost with its guest at the next that is plugged.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "operations.h"

#define MEMORY_MS 60000u                /* for the balloon to be as it should be: memory has to be found, page by page */
#define BALLOON_SLACK (UINT64_C(1) << 20)       /* bytes: what a balloon cannot get or give at once is no failure */
#define CPU_ID_SIZE 64u

static void end_late(struct qemu_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        int r = -ECANCELED;

        if (!action->is_cancelled)
                r = idl_error_set_timed_out(&error, "Until the guest's balloon is as large as it should be, it", action->timeout_ms);
        action_end(action, r, &error);
        idl_error_done(&error);
}

/* Memory */

static bool is_near(struct qemu_action *action, struct json_object *value) {
        struct json_object *actual;
        uint64_t bytes;

        if (!json_object_is_type(value, json_type_object) || !json_object_object_get_ex(value, "actual", &actual))
                return false;
        bytes = json_object_get_uint64(actual);
        return bytes < action->amount + BALLOON_SLACK && action->amount < bytes + BALLOON_SLACK;
}

static void on_taken_back(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        end_late(action);
}

static void take_back(struct qemu_action *action) {
        action->hear = NULL;
        action->on_cancel = NULL;
        action_execute(action, "balloon", arguments_number("value", action->before), -1, on_taken_back);
}

static void end_well(struct qemu_action *action) {
        action_end(action, 0, NULL);
}

static bool hear_balloon(struct qemu_action *action, const char *event, struct json_object *data) {
        if (strcmp(event, "BALLOON_CHANGE") != 0)
                return false;
        if (is_near(action, data)) {
                action->hear = NULL;
                action_wait(action, 0, end_well);
        }
        return true;
}

/* Events come only when something changes. */
static void on_balloon_now(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                action_fail(action, why);
        else if (is_near(action, value))
                action_end(action, 0, NULL);
}

static void on_balloon_set(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                action_fail(action, why);
        else
                action_execute(action, "query-balloon", NULL, -1, on_balloon_now);
}

static void on_balloon_before(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct json_object *actual;

        if (r < 0 || !json_object_is_type(value, json_type_object) || !json_object_object_get_ex(value, "actual", &actual)) {
                action_fail(action, r < 0 ? why : "its balloon does not say how large it is");
                return;
        }
        action->before = json_object_get_uint64(actual);
        action->on_cancel = take_back;
        action->hear = hear_balloon;
        action_wait(action, action->timeout_ms, take_back);
        action_execute(action, "balloon", arguments_number("value", action->amount), -1, on_balloon_set);
}

int resize_set_memory(void *guest, struct hypervisor_call *call, uint64_t memory, struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = action_begin(guest, call, "change its guest's memory", &action);
        if (r < 0)
                return r;
        action->amount = memory;
        action->timeout_ms = MEMORY_MS;
        action_execute(action, "query-balloon", NULL, -1, on_balloon_before);
        return 0;
}

/* Virtual CPUs */

static void look_at_cpus(struct qemu_action *action);

static uint64_t number(struct json_object *object, const char *name) {
        struct json_object *value;

        return json_object_object_get_ex(object, name, &value) && json_object_is_type(value, json_type_int)
                       ? json_object_get_uint64(value) : 0;
}

/* Where it is among the others: the order in which QEMU plugs those that are there from the start. */
static uint64_t rank(struct json_object *props) {
        return ((number(props, "socket-id") * 512 + number(props, "die-id")) * 512 + number(props, "core-id")) * 512 + number(props, "thread-id");
}

/* How many are plugged, and the first of those that are not. NULL: there is none. */
static struct json_object *pick(struct json_object *cpus, size_t *ret_n_plugged) {
        size_t n = json_object_is_type(cpus, json_type_array) ? json_object_array_length(cpus) : 0;
        struct json_object *found = NULL, *found_props = NULL;

        *ret_n_plugged = 0;
        for (size_t i = 0; i < n; i++) {
                struct json_object *cpu = json_object_array_get_idx(cpus, i), *props;

                if (!json_object_is_type(cpu, json_type_object) || !json_object_object_get_ex(cpu, "props", &props) ||
                    !json_object_is_type(props, json_type_object))
                        continue;
                if (json_object_object_get_ex(cpu, "qom-path", NULL))
                        (*ret_n_plugged)++;
                else if (!found || rank(props) < rank(found_props)) {
                        found = cpu;
                        found_props = props;
                }
        }
        return found;
}

static void end_changed(struct qemu_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = guest_save(action->guest, &error);
        action_end(action, r, &error);
        idl_error_done(&error);
}

static void on_plugged(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                action_fail(action, why);
        else
                look_at_cpus(action);
}

static void plug(struct qemu_action *action, struct json_object *cpu) {
        struct json_object *props = json_object_object_get(cpu, "props"), *type = json_object_object_get(cpu, "type"), *arguments;
        char id[CPU_ID_SIZE];

        arguments = arguments_1("driver", json_object_get_string(type) ?: "");
        if (arguments) {
                snprintf(id, sizeof id, "cpu-%" PRIu64, rank(props));
                json_object_object_add(arguments, "id", json_object_new_string(id));
                json_object_object_foreach(props, name, value)
                        json_object_object_add(arguments, name, json_object_get(value));
        }
        action_execute(action, "device_add", arguments, -1, on_plugged);
}

static void on_cpus(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct json_object *next;
        size_t n;

        if (r < 0) {
                action_fail(action, why);
                return;
        }
        next = pick(value, &n);
        action->guest->facts.vcpus = (uint32_t) n;
        if (n >= action->amount)
                end_changed(action);
        else if (next)
                plug(action, next);
        else
                action_fail(action, "the machine has no more of them");
}

static void look_at_cpus(struct qemu_action *action) {
        action_execute(action, "query-hotpluggable-cpus", NULL, -1, on_cpus);
}

int resize_set_vcpus(void *userdata, struct hypervisor_call *call, uint32_t vcpus, struct idl_error *error) {
        struct qemu_guest *guest = userdata;
        struct qemu_action *action;
        int r;

        if (guest->facts.machine == QEMU_MICROVM)
                return idl_error_set_not_supported(error, "Plugging virtual CPUs into a microvm");
        if (vcpus < guest->facts.vcpus)
                return idl_error_set_not_supported(error, "Taking virtual CPUs from a guest that runs");
        r = action_begin(guest, call, "change its guest's virtual CPUs", &action);
        if (r < 0)
                return r;
        action->amount = vcpus;
        look_at_cpus(action);
        return 0;
}
