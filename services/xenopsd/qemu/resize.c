/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Memory of a QEMU guest while it runs: what its balloon leaves it, of all that the machine has. That takes the guest's kernel, and what it
 * does not do in time is taken back.
 */

#include <errno.h>
#include <string.h>

#include <json-c/json.h>

#include "operations.h"

#define BALLOON_SLACK (UINT64_C(1) << 20)       /* bytes: what a balloon cannot get or give at once is no failure */

static void end_late(struct qemu_action *action) {
        action->call->memory = action->reached;
        action_end(action, action->is_cancelled ? -ECANCELED : -ETIMEDOUT, NULL);
}

/* Memory */

static bool is_near(struct qemu_action *action, struct json_object *value) {
        struct json_object *actual;
        uint64_t bytes;

        if (!json_object_is_type(value, json_type_object) || !json_object_object_get_ex(value, "actual", &actual))
                return false;
        bytes = action->reached = json_object_get_uint64(actual);
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
        if (r == -ETIMEDOUT && action->guest->qmp)      /* it may be done yet, and then is undone */
                (void) qmp_execute(action->guest->qmp, "balloon", arguments_number("value", action->before), -1, NULL, NULL, NULL);
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
        action->before = action->reached = json_object_get_uint64(actual);
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
        action->timeout_ms = HYPERVISOR_MEMORY_MS;
        action_execute(action, "query-balloon", NULL, -1, on_balloon_before);
        return 0;
}
