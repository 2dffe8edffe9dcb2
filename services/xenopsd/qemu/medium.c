/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Media of a QEMU guest's drives: a drive is opened, emptied, filled and closed. Whoever does that again begins with what is left of the last time. */

#include <errno.h>

#include <json-c/json.h>

#include "devices.h"
#include "operations.h"
#include "source.h"

static void tell(const struct qemu_action *action, const char *command, const char *name, const char *value) {
        if (action->guest->qmp)
                (void) qmp_execute(action->guest->qmp, command, arguments_1(name, value), -1, NULL, NULL, NULL);
}

/* A medium that was to be inserted is not to be there later, either: QEMU does what it is told here after what it was told last. */
static void leave_empty(const struct qemu_action *action) {
        if (!action->flag)
                return;
        tell(action, "blockdev-remove-medium", "id", action->id);
        tell(action, "blockdev-del", "node-name", action->node);
        tell(action, "blockdev-close-tray", "id", action->id);
}

static void fail_to_change(struct qemu_action *action, const char *why) {
        leave_empty(action);
        action_fail(action, why);
}

static void give_up_changing(struct qemu_action *action) {
        leave_empty(action);
        action_end(action, -ECANCELED, NULL);
}

/* It is done before that, if QEMU answers at all. */
static void cancel_change(struct qemu_action *action) {
        action_wait(action, ACTION_CANCEL_MS, give_up_changing);
}

static void on_closed(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                fail_to_change(action, why);
        else
                action_end(action, 0, NULL);
}

static void close_tray(struct qemu_action *action) {
        action_execute(action, "blockdev-close-tray", arguments_1("id", action->id), -1, on_closed);
}

static void on_inserted(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                fail_to_change(action, why);
        else
                close_tray(action);
}

static void on_medium_added(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                fail_to_change(action, why);
        else
                action_execute(action, "blockdev-insert-medium", arguments_2("id", action->id, "node-name", action->node), -1, on_inserted);
}

static void on_old_deleted(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct json_object *node = action->first;

        action->first = NULL;           /* r: there need not have been one */
        if (node)
                action_execute(action, "blockdev-add", node, -1, on_medium_added);
        else
                close_tray(action);
}

static void on_emptied(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                fail_to_change(action, why);
        else
                action_execute(action, "blockdev-del", arguments_1("node-name", action->node), -1, on_old_deleted);
}

static void on_opened(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                fail_to_change(action, why);
        else
                action_execute(action, "blockdev-remove-medium", arguments_1("id", action->id), -1, on_emptied);
}

int medium_change(void *userdata, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error) {
        struct qemu_guest *guest = userdata;
        struct qemu_action *action;
        struct json_object *arguments;
        int r;

        if (!guest->qmp)
                return idl_error_set_backend_failed(error, "qemu", "change a medium", "its monitor is not connected");
        r = source_check(disk->path, error);
        if (r >= 0)
                r = action_begin(guest, call, "change a medium", &action);
        if (r < 0)
                return r;
        device_id(true, disk->spec->name, action->id);
        source_node(disk->spec->name, action->node);
        action->on_cancel = cancel_change;
        action->flag = disk->path;
        action->first = disk->path ? source_describe_node(disk) : NULL;
        arguments = arguments_1("id", action->id);
        if (arguments)
                json_object_object_add(arguments, "force", json_object_new_boolean(true));
        action_execute(action, "blockdev-open-tray", arguments, -1, on_opened);
        return 0;
}
