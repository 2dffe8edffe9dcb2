/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "reconcile.h"

#include <string.h>

#include <json-c/json.h>

#include "action.h"
#include "devices.h"
#include "log.h"
#include "source.h"

static bool is_disk(const char *id) {
        return strncmp(id, "disk-", 5) == 0;
}

/* Facts may have come with a guest from elsewhere: their identifiers need not be any. */
static bool is_device(const char *id) {
        return is_disk(id) || strncmp(id, "net-", 4) == 0;
}

/* Nobody waits for it. Of what may be there QEMU knows what is, and refuses the rest. */
static void tell(const struct qemu_guest *guest, const char *command, const char *name, const char *value) {
        if (guest->qmp)
                (void) qmp_execute(guest->qmp, command, arguments_1(name, value), -1, NULL, NULL, NULL);
}

static void remove_behind(const struct qemu_guest *guest, const char *id) {
        const char *name = strchr(id, '-') + 1;         /* is_device() */
        char behind[QEMU_ID_SIZE];

        if (!is_disk(id)) {
                device_netdev(name, behind);
                tell(guest, "netdev_del", "id", behind);
                tell(guest, "closefd", "fdname", id);
                return;
        }
        source_node(name, behind);
        tell(guest, "blockdev-del", "node-name", behind);
        source_chardev(name, behind);
        tell(guest, "chardev-remove", "id", behind);
        source_limits(name, behind);
        tell(guest, "object-del", "id", behind);
}

/* The guest does not have it, whatever was meant to be. */
static void note_absence(struct qemu_guest *guest, int slot) {
        struct facts *facts = &guest->facts;
        char *id = facts->slots[slot].device;

        remove_behind(guest, id);
        facts_set_unplugged(facts, id, true);
        id[0] = '\0';
}

static void end(struct qemu_guest *guest) {
        struct idl_error error = IDL_ERROR_NULL;

        if (guest_save(guest, &error) < 0)      /* then the next manager has to find it out again */
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", guest->uuid }), "Cannot write down which devices the guest of %s has: %s", guest->uuid,
                          error.message ?: "unknown error");
        idl_error_done(&error);
        guest_tell(guest, HYPERVISOR_CHANGED, "");
}

bool reconcile_has_device(struct json_object *list, const char *id) {
        size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

        for (size_t i = 0; i < n; i++) {
                struct json_object *one = json_object_array_get_idx(list, i), *name;

                if (json_object_is_type(one, json_type_object) && json_object_object_get_ex(one, "name", &name) &&
                    json_object_is_type(name, json_type_string) && strcmp(json_object_get_string(name), id) == 0)
                        return true;
        }
        return false;
}

static bool is_busy(const struct qemu_guest *guest, const char *id) {
        for (const struct qemu_action *action = guest->actions; action; action = action->next)
                if (action->changes_device && strcmp(action->id, id) == 0)
                        return true;
        return false;
}

static void on_devices(void *userdata, int r, struct json_object *value, const char *why) {
        struct qemu_guest *guest = userdata;
        bool changed = false;

        if (r < 0 || !json_object_is_type(value, json_type_array))      /* one that is late is asked again: event.c */
                return;
        for (size_t i = 0; i < guest->facts.n_slots; i++) {
                const char *id = guest->facts.slots[i].device;

                if (!is_device(id) || is_busy(guest, id))
                        continue;
                if (!reconcile_has_device(value, id)) {
                        note_absence(guest, (int) i);
                        changed = true;
                } else if (facts_is_unplugged(&guest->facts, id)) {
                        log_event(LOG_NOTICE, LOG_FIELDS({ "XCP_VM", guest->uuid }), "The guest of %s has got %s, which was given up: it is taken back",
                                  guest->uuid, id);
                        tell(guest, "device_del", "id", id);
                }
        }
        if (changed)
                end(guest);
}

void reconcile_devices(struct qemu_guest *guest) {
        if (guest->qmp && guest->facts.machine != QEMU_MICROVM)         /* into which nothing is plugged */
                (void) qmp_execute(guest->qmp, "qom-list", arguments_1("path", RECONCILE_DEVICES), -1, on_devices, guest, NULL);
}

void reconcile_hear_deleted(struct qemu_guest *guest, struct json_object *data) {
        struct json_object *device;
        const char *id;
        int slot;

        if (!data || !json_object_object_get_ex(data, "device", &device) || !json_object_is_type(device, json_type_string))
                return;
        id = json_object_get_string(device);
        slot = is_device(id) ? facts_find_slot(&guest->facts, id) : -1;
        if (slot < 0)
                return;
        note_absence(guest, slot);
        end(guest);
}
