/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "pace.h"

#include <json-c/json.h>

#include "clock.h"

#define LOOK_MS 1000u                   /* from one look to the next */

static void look(struct qemu_action *action);

static uint64_t number(struct json_object *object, const char *name) {
        struct json_object *value;

        return json_object_is_type(object, json_type_object) && json_object_object_get_ex(object, name, &value) ? json_object_get_uint64(value) : 0;
}

/* Memory that has changed goes again, so that this is a guess. */
static void tell_progress(struct hypervisor_call *call, struct json_object *untrusted_ram) {
        uint64_t total = number(untrusted_ram, "total"), remaining = number(untrusted_ram, "remaining");

        if (call->progress && remaining <= total && total > 0)
                call->progress(call, (double) (total - remaining) / (double) total);
}

static void on_look(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        uint64_t limit_ms = action->guest->qemu->host.stall_ms, now = clock_now_usec(CLOCK_MONOTONIC), gone;
        struct json_object *ram = NULL;

        if (json_object_is_type(value, json_type_object))
                json_object_object_get_ex(value, "ram", &ram);
        gone = number(ram, "transferred");
        if (gone != action->reached) {
                action->reached = gone;
                action->moved_usec = now;
                tell_progress(action->call, ram);
        }
        if (now - action->moved_usec >= limit_ms * 1000)
                action->on_stalled(action);
        else
                action_wait(action, limit_ms < LOOK_MS ? limit_ms : LOOK_MS, look);
}

static void look(struct qemu_action *action) {
        action_execute(action, "query-migrate", NULL, -1, on_look);
}

void pace_watch(struct qemu_action *action, action_step_t on_stalled) {
        action->on_stalled = on_stalled;
        action->moved_usec = clock_now_usec(CLOCK_MONOTONIC);
        look(action);
}
