/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hotplug.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl_utils.h>
#include <xenstore.h>

#include "action.h"
#include "cleanup.h"
#include "config.h"

#define BACKEND_INITIALISING "1"        /* xen/io/xenbus.h */
#define FRONTEND_CONNECTED 4

/* What kind of guest it is, the domain tells; and so what its disks are called. */
static int settle(struct xen_action *action, libxl_ctx *ctx) {
        char vdev[CONFIG_VDEV_SIZE];
        int rc;

        rc = xen_domain_find(ctx, &action->id, &action->info);
        if (rc != 0)
                return rc;
        if (action->disk) {
                xen_config_name_vdev(action->info.domain_type, (uint32_t) action->number, vdev);
                free(action->disk->vdev);
                action->disk->vdev = strdup(vdev);
                return action->disk->vdev ? 0 : ERROR_NOMEM;
        }
        return 0;
}

/* Facts */

static int note(struct xen_guest *guest, bool is_disk, const char *name, bool is_plugged, bool is_left, uint64_t *ret_index,
                struct idl_error *error) {
        struct xen_facts facts = guest->facts;
        struct xen_facts_device *device = xen_facts_find(&facts, is_disk, name);
        int r = device ? 0 : xen_facts_add(&facts, is_disk, name, &device);

        if (r < 0)
                return idl_error_set_limit_exceeded(error, "devices of a guest", HYPERVISOR_DEVICES_MAX + 1, HYPERVISOR_DEVICES_MAX);
        device->is_plugged = is_plugged;
        device->is_left = device->is_left || is_left;
        if (ret_index)
                *ret_index = device->index;
        return xen_guest_save(guest, &facts, error);
}

/* Plugging. It is written down first, so that the device is found whatever happens. */

static void add(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = settle(action, tools->ctx);
        if (action->rc == 0)
                action->rc = action->disk ? libxl_device_disk_add(tools->ctx, action->id.domid, action->disk, NULL)
                                          : libxl_device_nic_add(tools->ctx, action->id.domid, action->nic, NULL);
}

static void on_added(struct xen_action *action) {
        if (action->rc != 0)
                (void) note(action->guest, action->is_disk, action->name, false, false, NULL, NULL);
        else
                (void) xen_guest_watch_neighbours(action->guest);       /* without memory, fewer addresses are known */
        xen_action_end_with_work(action);
}

static int plug(struct xen_action *action, bool is_disk, const char *name, struct idl_error *error) {
        int r;

        action->is_disk = is_disk;
        snprintf(action->name, sizeof action->name, "%s", name);
        r = note(action->guest, is_disk, name, true, false, &action->number, error);
        if (r < 0) {
                xen_action_free(action);
                return r;
        }
        if (action->nic)
                action->nic->devid = (int) action->number;
        xen_action_work(action, true, add, on_added);
        return 0;
}

static int make_disk(struct xen_action *action, const struct hypervisor_disk *disk, struct idl_error *error) {
        libxl_device_disk *made = malloc(sizeof *made);
        int r = made ? xen_config_make_disk(made, LIBXL_DOMAIN_TYPE_PVH, disk, 0, error) : -ENOMEM;

        if (r < 0)
                free(made);
        else
                action->disk = made;
        return r;
}

int xen_hotplug_plug_disk(void *guest, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error) {
        struct xen_action *action;
        int r;

        if (disk->spec->kind == XCP_DISK_KIND_CD_ROM)
                return idl_error_set_not_supported(error, "plugging a drive with xen");
        r = xen_action_begin(guest, call, "plug a disk", &action);
        if (r < 0)
                return r;
        r = make_disk(action, disk, error);
        if (r < 0) {
                xen_action_free(action);
                return r;
        }
        return plug(action, true, disk->spec->name, error);
}

int xen_hotplug_plug_network(void *guest, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec,
                         struct idl_error *error) {
        struct xen_action *action;
        libxl_device_nic *made;
        int r;

        r = xen_config_check_network(spec, "network", error);
        if (r >= 0)
                r = xen_action_begin(guest, call, "plug a network interface", &action);
        if (r < 0)
                return r;
        made = malloc(sizeof *made);
        /* Also in an HVM guest it is for Xen's drivers only: its device model emulates what was there when it was started. */
        r = made ? xen_config_make_network(made, LIBXL_DOMAIN_TYPE_PVH, spec, 0) : -ENOMEM;
        if (r < 0) {
                free(made);
                xen_action_free(action);
                return r;
        }
        action->nic = made;
        return plug(action, false, spec->name, error);
}

/* Unplugging. The guest lets go of it, or it is forced; libxl gives a guest ten seconds. */

/*
 * One of the first disks of an HVM guest that does not use Xen's driver for it: the device model has it open, emulates it, and cannot be
 * told to let go of it. A guest that has the driver has told it so itself.
 */
static bool is_held(const struct xen_action *action, libxl_ctx *ctx, libxl_device_disk *disk) {
        libxl_diskinfo info;
        bool is_used_by_driver;

        if (action->info.domain_type != LIBXL_DOMAIN_TYPE_HVM || action->number >= CONFIG_DISKS_HVM_MAX)
                return false;
        libxl_diskinfo_init(&info);
        is_used_by_driver = libxl_device_disk_getinfo(ctx, action->id.domid, disk, &info) == 0 && info.state == FRONTEND_CONNECTED;
        libxl_diskinfo_dispose(&info);
        return !is_used_by_driver;
}

static int remove_disk(struct xen_action *action, libxl_ctx *ctx) {
        libxl_device_disk disk;
        char vdev[CONFIG_VDEV_SIZE];
        int rc;

        xen_config_name_vdev(action->info.domain_type, (uint32_t) action->number, vdev);
        rc = libxl_vdev_to_device_disk(ctx, action->id.domid, vdev, &disk);
        if (rc != 0)
                return rc;
        action->is_emulated = is_held(action, ctx, &disk);
        if (action->is_emulated)
                rc = ERROR_FAIL;
        else
                rc = action->flag ? libxl_device_disk_destroy(ctx, action->id.domid, &disk, NULL)
                                  : libxl_device_disk_remove(ctx, action->id.domid, &disk, NULL);
        libxl_device_disk_dispose(&disk);
        return rc;
}

static int remove_network(struct xen_action *action, libxl_ctx *ctx) {
        libxl_device_nic nic;
        int rc;

        rc = libxl_devid_to_device_nic(ctx, action->id.domid, (int) action->number, &nic);
        if (rc != 0)
                return rc;
        action->is_emulated = nic.nictype == LIBXL_NIC_TYPE_VIF_IOEMU;
        rc = action->flag ? libxl_device_nic_destroy(ctx, action->id.domid, &nic, NULL)
                          : libxl_device_nic_remove(ctx, action->id.domid, &nic, NULL);
        libxl_device_nic_dispose(&nic);
        return rc;
}

static void remove_device(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = xen_domain_find(tools->ctx, &action->id, &action->info);
        if (action->rc == 0)
                action->rc = action->is_disk ? remove_disk(action, tools->ctx) : remove_network(action, tools->ctx);
}

static void on_removed(struct xen_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        if (action->rc != 0 && !(action->is_disk && action->is_emulated)) {
                xen_action_fail(action, NULL);
                return;
        }
        if (action->rc != 0)
                r = idl_error_set_not_supported(&error, "Unplugging a disk that a guest without Xen's drivers has by its device model (Stop() the "
                                                        "guest, instead),");
        else
                r = note(action->guest, action->is_disk, action->name, false, action->is_emulated, NULL, &error);
        xen_action_end(action, r, &error);
        idl_error_done(&error);
}

static int unplug(struct xen_guest *guest, struct hypervisor_call *call, bool is_disk, const char *name, bool force,
                  struct idl_error *error) {
        const struct xen_facts_device *device = xen_facts_find(&guest->facts, is_disk, name);
        struct xen_action *action;
        int r;

        if (!device)                    /* of a domain that was adopted */
                return idl_error_set_does_not_exist(error, is_disk ? "disk" : "network interface", name);
        r = xen_action_begin(guest, call, "unplug a device", &action);
        if (r < 0)
                return r;
        action->is_disk = is_disk;
        action->flag = force;
        action->number = device->index;
        snprintf(action->name, sizeof action->name, "%s", name);
        xen_action_work(action, true, remove_device, on_removed);
        return 0;
}

int xen_hotplug_unplug_disk(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error) {
        return unplug(guest, call, true, name, force, error);
}

int xen_hotplug_unplug_network(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error) {
        return unplug(guest, call, false, name, force, error);
}

/* Media */

/*
 * Of a drive that is empty when its guest is made, QEMU has no device for Xen's drivers: its back-end stays in its first state. QEMU 7.2 ends by a
 * fault when libxl changes the medium of such a drive, as that writes no name first (hw/block/xen-block.c: "no params"), and with it the guest.
 */
static bool is_fragile(const struct xen_action *action, const struct worker_tools *tools) {
        libxl_diskinfo info;
        char path[128];
        AUTO_FREE char *state = NULL;
        unsigned n;

        libxl_diskinfo_init(&info);
        if (tools->store && libxl_device_disk_getinfo(tools->ctx, action->id.domid, action->disk, &info) == 0 &&
            (size_t) snprintf(path, sizeof path, "%s/state", info.backend) < sizeof path)
                state = xs_read(tools->store, XBT_NULL, path, &n);
        libxl_diskinfo_dispose(&info);
        return state && strcmp(state, BACKEND_INITIALISING) == 0;
}

static void insert(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = settle(action, tools->ctx);
        action->flag = action->rc == 0 && is_fragile(action, tools);
        if (action->rc == 0 && !action->flag)
                action->rc = libxl_cdrom_insert(tools->ctx, action->id.domid, action->disk, NULL);
}

static void on_inserted(struct xen_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        if (!action->flag) {
                xen_action_end_with_work(action);
                return;
        }
        r = idl_error_set_not_supported(&error, "A medium for a drive that was empty when the guest began (Stop() it, Insert(), and Start() it, instead),");
        xen_action_end(action, r, &error);
        idl_error_done(&error);
}

int xen_hotplug_change_medium(void *userdata, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error) {
        struct xen_guest *guest = userdata;
        const struct xen_facts_device *device = xen_facts_find(&guest->facts, true, disk->spec->name);
        struct xen_action *action;
        int r;

        if (!device)
                return idl_error_set_does_not_exist(error, "disk", disk->spec->name);
        r = xen_action_begin(guest, call, "change a medium", &action);
        if (r < 0)
                return r;
        r = make_disk(action, disk, error);
        if (r < 0) {
                xen_action_free(action);
                return r;
        }
        action->number = device->index;
        xen_action_work(action, true, insert, on_inserted);
        return 0;
}
