/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Devices of a QEMU guest that come and go while it is there. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "cleanup.h"
#include "devices.h"
#include "operations.h"
#include "reconcile.h"
#include "source.h"
#include "tap.h"

static int has_machine(const struct qemu_guest *guest, struct idl_error *error) {
        if (!guest->qmp)
                return idl_error_set_backend_failed(error, "qemu", "change its guest's devices", "its monitor is not connected");
        if (guest->facts.machine == QEMU_MICROVM)
                return idl_error_set_not_supported(error, "Plugging devices into a microvm");
        return 0;
}

/* Plugging. action->first is what is behind the device, action->second the device. */

static void forget_slot(struct qemu_action *action) {
        int slot = facts_find_slot(&action->guest->facts, action->id);

        if (slot >= 0)
                action->guest->facts.slots[slot].device[0] = '\0';
        facts_set_unplugged(&action->guest->facts, action->id, true);
}

static void end_plug(struct qemu_action *action, const char *why) {
        struct idl_error error = IDL_ERROR_NULL;
        int r = 0;

        if (why)
                forget_slot(action);
        r = guest_save(action->guest, &error);
        if (why && action->is_cancelled) {
                idl_error_done(&error);
                r = -ECANCELED;
        } else if (why) {
                idl_error_done(&error);
                r = idl_error_set_backend_failed(&error, "qemu", action->what, why);
        }
        action_end(action, r, &error);
        idl_error_done(&error);
}

/* What QEMU has not answered may be done yet. Whether it was is looked at when it answers again, and then there is nobody who is at it. */
static void give_up(struct qemu_action *action, const char *why) {
        struct idl_error error = IDL_ERROR_NULL;
        int r = -ECANCELED;

        reconcile_devices(action->guest);
        if (why)
                r = idl_error_set_backend_failed(&error, "qemu", action->what, why);
        action_end(action, r, &error);
        idl_error_done(&error);
}

static void give_up_cancelled(struct qemu_action *action) {
        give_up(action, NULL);
}

/* What was told last is answered first: until the device is there, all is taken back then; from there on, it is plugged. */
static void cancel_plug(struct qemu_action *action) {
        action_wait(action, ACTION_CANCEL_MS, give_up_cancelled);
}

static void end_take_back(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        AUTO_FREE char *reason = action->first ? strdup(json_object_get_string(action->first)) : NULL;

        end_plug(action, reason ?: "the device was refused");
}

/* A disk's limits go after what is kept to them. Whether there are any, QEMU knows. */
static void remove_limits(struct qemu_action *action, action_reply_t reply) {
        char id[QEMU_ID_SIZE];

        if (strncmp(action->id, "disk-", 5) != 0) {
                reply(action, 0, NULL, "");
                return;
        }
        source_limits(action->id + strlen("disk-"), id);
        action_execute(action, "object-del", arguments_1("id", id), -1, reply);
}

static void on_taken_back(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        remove_limits(action, end_take_back);
}

/* What is behind a device tells by its name what it is. */
static void execute_removal(struct qemu_action *action, action_reply_t reply) {
        if (strncmp(action->node, "node-", 5) == 0)
                action_execute(action, "blockdev-del", arguments_1("node-name", action->node), -1, reply);
        else
                action_execute(action, strncmp(action->node, "vhost-", 6) == 0 ? "chardev-remove" : "netdev_del",
                               arguments_1("id", action->node), -1, reply);
}

static void keep_reason(struct qemu_action *action, const char *why) {
        json_object_put(action->first);
        action->first = json_object_new_string(why);
}

/* The device was refused: what is behind it goes too. */
static void take_back(struct qemu_action *action, const char *why) {
        keep_reason(action, why);
        execute_removal(action, on_taken_back);
}

static void on_linked(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        end_plug(action, NULL);
}

static void on_device(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct json_object *arguments;

        if (r == -ETIMEDOUT) {
                give_up(action, why);
                return;
        }
        if (r < 0) {
                take_back(action, why);
                return;
        }
        facts_set_unplugged(&action->guest->facts, action->id, false);
        if (!action->flag) {
                end_plug(action, NULL);
                return;
        }
        arguments = arguments_1("name", action->id);
        if (arguments)
                json_object_object_add(arguments, "up", json_object_new_boolean(false));
        action_execute(action, "set_link", arguments, -1, on_linked);
}

/* Of one that QEMU has not made a network device of, it may have the descriptor. */
static void close_tap(struct qemu_action *action) {
        if (strncmp(action->node, "netdev-", 7) == 0 && action->guest->qmp)
                (void) qmp_execute(action->guest->qmp, "closefd", arguments_1("fdname", action->id), -1, NULL, NULL, NULL);
}

static void on_behind(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r == -ETIMEDOUT)
                give_up(action, why);
        else if (r < 0) {
                keep_reason(action, why);
                close_tap(action);
                remove_limits(action, end_take_back);
        } else if (action->is_cancelled)
                take_back(action, "");
        else
                action_execute(action, "device_add", json_object_get(action->second), -1, on_device);
}

/* A slot, which is written down before there is something in it. */
static int take_slot(struct qemu_guest *guest, const char *id, struct device_place *ret_place, struct idl_error *error) {
        struct facts *facts = &guest->facts;
        int slot, r;

        slot = facts_find_slot(facts, id);
        if (slot < 0)
                slot = facts_find_slot(facts, "");
        if (slot < 0)
                return idl_error_set_limit_exceeded(error, "disks and network interfaces of the machine", facts->n_slots + 1,
                                                    facts->n_slots);
        snprintf(facts->slots[slot].device, QEMU_ID_SIZE, "%s", id);
        facts_set_unplugged(facts, id, true);
        r = guest_save(guest, error);
        if (r < 0)
                facts->slots[slot].device[0] = '\0';
        *ret_place = (struct device_place) { facts->machine, slot, facts->n_queues };
        return r;
}

static int begin_plug(struct qemu_guest *guest, struct hypervisor_call *call, const char *what, const char *id,
                      struct qemu_action **ret_action, struct device_place *ret_place, struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = has_machine(guest, error);
        if (r >= 0)
                r = take_slot(guest, id, ret_place, error);
        if (r >= 0)
                r = action_begin(guest, call, what, &action);
        if (r < 0)
                return r;
        snprintf(action->id, sizeof action->id, "%s", id);
        action->changes_device = true;
        action->on_cancel = cancel_plug;
        *ret_action = action;
        return 0;
}

static void on_limits(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct json_object *node = action->first;

        action->first = NULL;
        if (r >= 0 && !action->is_cancelled) {
                action_execute(action, "blockdev-add", node, -1, on_behind);
                return;
        }
        json_object_put(node);
        if (r == -ETIMEDOUT)
                give_up(action, why);
        else
                on_behind(action, r < 0 ? r : -ECANCELED, NULL, why);
}

/* Commands without memory for their arguments are refused by QEMU, and taken back. */
int hotplug_plug_disk(void *guest, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error) {
        struct qemu_action *action;
        struct device_place place;
        char id[QEMU_ID_SIZE];
        int r;

        if (disk->spec->kind != XCP_DISK_KIND_DISK)
                return idl_error_set_not_supported(error, "Plugging a CD drive into a machine that is there");
        device_id(true, disk->spec->name, id);
        r = source_check(disk->path, error);
        if (r >= 0)
                r = begin_plug(guest, call, "plug a disk", id, &action, &place, error);
        if (r < 0)
                return r;
        action->second = device_describe_disk(disk, place);
        if (source_is_socket(disk->path)) {
                source_chardev(disk->spec->name, action->node);
                action_execute(action, "chardev-add", source_describe_chardev(disk), -1, on_behind);
        } else {
                source_node(disk->spec->name, action->node);
                action->first = source_describe_node(disk);
                if (source_has_limits(disk->spec))
                        action_execute(action, "object-add", source_describe_limits(disk->spec), -1, on_limits);
                else
                        on_limits(action, 0, NULL, "");
        }
        return 0;
}

static void on_tap(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r == -ETIMEDOUT || action->is_cancelled)
                give_up(action, action->is_cancelled ? NULL : why);
        else if (r < 0)
                end_plug(action, why);
        else
                action_execute(action, "netdev_add", json_object_get(action->first), -1, on_behind);
}

int hotplug_plug_network(void *userdata, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec,
                         struct idl_error *error) {
        struct qemu_guest *guest = userdata;
        struct qemu_action *action;
        struct device_place place;
        AUTO_CLOSE int tap = -1;
        char id[QEMU_ID_SIZE];
        int r = 0;

        device_id(false, spec->name, id);
        if (!device_is_user_network(spec))
                r = tap_open(guest->uuid, spec, &tap, error);
        if (r >= 0)
                r = begin_plug(guest, call, "plug a network interface", id, &action, &place, error);
        if (r < 0)
                return r;
        facts_set_mac(&guest->facts, spec->name, spec->mac);
        device_netdev(spec->name, action->node);
        action->flag = !spec->carrier;
        action->first = device_describe_netdev(spec, id);
        action->second = device_describe_network(spec, place);
        if (tap >= 0)
                action_execute(action, "getfd", arguments_1("fdname", id), tap, on_tap);
        else
                on_tap(action, 0, NULL, "");
        return 0;
}

/* Unplugging */

static void on_all_gone(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct idl_error error = IDL_ERROR_NULL;

        forget_slot(action);
        r = guest_save(action->guest, &error);
        action_end(action, r, &error);
        idl_error_done(&error);
}

static void on_behind_gone(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                action_fail(action, why);
        else
                remove_limits(action, on_all_gone);
}

/* A disk that is over no socket has a node. */
static void on_no_socket(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0) {
                source_node(action->id + strlen("disk-"), action->node);
                execute_removal(action, on_behind_gone);
        } else
                on_behind_gone(action, r, value, why);
}

static void remove_behind(struct qemu_action *action) {
        bool is_disk = strncmp(action->id, "disk-", 5) == 0;

        execute_removal(action, is_disk ? on_no_socket : on_behind_gone);
}

static void end_refused(struct qemu_action *action) {
        action_fail(action, "the guest's kernel does not let go of it");
}

static bool hear_deleted(struct qemu_action *action, const char *event, struct json_object *data) {
        bool is_deleted = strcmp(event, "DEVICE_DELETED") == 0;
        struct json_object *device;

        if ((!is_deleted && strcmp(event, "DEVICE_UNPLUG_GUEST_ERROR") != 0) || !data ||
            !json_object_object_get_ex(data, "device", &device) || strcmp(json_object_get_string(device) ?: "", action->id) != 0)
                return false;
        action->hear = NULL;
        action_wait(action, 0, is_deleted ? remove_behind : end_refused);
        return true;
}

static void on_not_deleted(struct qemu_action *action) {
        action_end(action, -ETIMEDOUT, NULL);
}

static void on_devices(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        AUTO_FREE char *reason = strdup(json_object_get_string(action->first) ?: "");

        if (r >= 0 && json_object_is_type(value, json_type_array) && !reconcile_has_device(value, action->id))
                remove_behind(action);
        else
                action_fail(action, reason ?: "");
}

/* The guest may have been asked before, and not have let go of it yet; or have, when nobody was there. */
static void on_delete_begun(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r >= 0 || !action->hear || strstr(why, "in the process of unplug"))
                return;
        action->hear = NULL;
        action_stop_waiting(action);
        keep_reason(action, why);
        action_execute(action, "qom-list", arguments_1("path", RECONCILE_DEVICES), -1, on_devices);
}

/* The guest cannot be told that it may keep it, and may have let go of it already. */
static void cancel_unplug(struct qemu_action *action) {
        action->hear = NULL;
        action_wait(action, 0, give_up_cancelled);
}

static int unplug(struct qemu_guest *guest, struct hypervisor_call *call, const char *what, bool is_disk, const char *name, bool force,
                  struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = has_machine(guest, error);
        if (r >= 0)
                r = action_begin(guest, call, what, &action);
        if (r < 0)
                return r;
        device_id(is_disk, name, action->id);
        (is_disk ? source_chardev : device_netdev)(name, action->node);
        action->timeout_ms = force ? HYPERVISOR_FORCED_UNPLUG_MS : HYPERVISOR_UNPLUG_MS;
        action->changes_device = true;
        action->on_cancel = cancel_unplug;
        action->hear = hear_deleted;
        action_wait(action, action->timeout_ms, on_not_deleted);
        action_execute(action, "device_del", arguments_1("id", action->id), -1, on_delete_begun);
        return 0;
}

int hotplug_unplug_disk(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error) {
        return unplug(guest, call, "unplug a disk", true, name, force, error);
}

int hotplug_unplug_network(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error) {
        return unplug(guest, call, "unplug a network interface", false, name, force, error);
}

/* Network interfaces */

static void end_well(struct qemu_action *action) {
        action_end(action, 0, NULL);
}

int hotplug_move_network(void *userdata, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec,
                         struct idl_error *error) {
        struct qemu_guest *guest = userdata;
        char name[TAP_NAME_SIZE];
        struct qemu_action *action;
        int r;

        tap_name(guest->uuid, spec->name, name);
        if (device_is_user_network(spec) || !tap_exists(name))
                return idl_error_set_not_supported(error, "Moving a network interface to or from QEMU's own network");
        r = tap_move(guest->uuid, spec, error);
        if (r >= 0)
                r = action_begin(guest, call, "move a network interface", &action);
        if (r >= 0)
                action_wait(action, 0, end_well);
        return r;
}

int hotplug_set_network(void *userdata, const struct xcp_network_interface_spec *spec, struct idl_error *error) {
        struct qemu_guest *guest = userdata;
        struct json_object *arguments;
        char id[QEMU_ID_SIZE];
        int r = -ENOTCONN;

        device_id(false, spec->name, id);
        arguments = arguments_1("name", id);
        if (arguments)
                json_object_object_add(arguments, "up", json_object_new_boolean(spec->carrier));
        if (guest->qmp)
                r = qmp_execute(guest->qmp, "set_link", arguments, -1, NULL, NULL, NULL);
        else
                json_object_put(arguments);
        return r < 0 ? idl_error_set_backend_failed(error, "qemu", "set a network interface", strerrordesc_np(-r)) : 0;
}
