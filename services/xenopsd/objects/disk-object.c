/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.xen.xcp.xenopsd1.Disk */

#include "device-call.h"
#include "spec.h"
#include "xenopsd1-disk.h"

static int on_plug(void *disk, struct idl_call *call, struct idl_error *error) {
        return device_begin(disk, OPERATION_PLUG, false, NULL, call, xenopsd1_disk_reply_plug, error);
}

static int on_unplug(void *disk, struct idl_call *call, bool force, struct idl_error *error) {
        return device_begin(disk, OPERATION_UNPLUG, force, NULL, call, xenopsd1_disk_reply_unplug, error);
}

static int on_insert(void *disk, struct idl_call *call, const char *vdi, struct idl_error *error) {
        int r;

        r = spec_check_vdi("vdi", vdi, error);
        return r < 0 ? r : device_begin(disk, OPERATION_INSERT, false, vdi, call, xenopsd1_disk_reply_insert, error);
}

static int on_eject(void *disk, struct idl_call *call, struct idl_error *error) {
        return device_begin(disk, OPERATION_EJECT, false, NULL, call, xenopsd1_disk_reply_eject, error);
}

static int on_refresh(void *disk, struct idl_call *call, struct idl_error *error) {
        return device_begin(disk, OPERATION_REFRESH, false, NULL, call, xenopsd1_disk_reply_refresh, error);
}

static int on_remove(void *disk, struct idl_call *call, struct idl_error *error) {
        return device_begin(disk, OPERATION_REMOVE, false, NULL, call, xenopsd1_disk_reply_remove, error);
}

static void answer_statistics(struct idl_call *call, const struct hypervisor_call *from) {
        xenopsd1_disk_reply_get_statistics(call, &from->disk_statistics);
}

static int on_get_statistics(void *object, struct idl_call *call, struct idl_error *error) {
        static const struct xcp_disk_statistics none;
        struct device *disk = object;

        if (!lifecycle_is_alive(disk->vm->state) || !disk->plugged)
                return xenopsd1_disk_reply_get_statistics(call, &none);
        return device_ask(disk, disk->vm->backend->hypervisor->disk_statistics, call, answer_statistics, error);
}

static const struct xcp_disk_spec *spec_of(const struct device *disk) {
        return vm_disk_spec(disk->vm, disk->name);
}

static int get_name(void *object, struct idl_arena *arena, const char **ret) {
        *ret = ((struct device *) object)->name;
        return 0;
}

static int get_vm(void *object, struct idl_arena *arena, const char **ret) {
        *ret = ((struct device *) object)->vm->path;
        return 0;
}

static int get_kind(void *object, struct idl_arena *arena, enum xcp_disk_kind *ret) {
        *ret = spec_of(object)->kind;
        return 0;
}

static int get_mode(void *object, struct idl_arena *arena, enum xcp_disk_mode *ret) {
        *ret = spec_of(object)->mode;
        return 0;
}

static int get_vdi(void *object, struct idl_arena *arena, const char **ret) {
        *ret = spec_of(object)->vdi ?: "/";
        return 0;
}

static int get_path(void *object, struct idl_arena *arena, const char **ret) {
        *ret = spec_of(object)->path ?: "";
        return 0;
}

static int get_plugged(void *object, struct idl_arena *arena, bool *ret) {
        *ret = ((struct device *) object)->plugged;
        return 0;
}

static const struct xenopsd1_disk_handlers handlers = {
        .plug = on_plug,
        .unplug = on_unplug,
        .insert = on_insert,
        .eject = on_eject,
        .refresh = on_refresh,
        .remove = on_remove,
        .get_statistics = on_get_statistics,
        .get_name = get_name,
        .get_vm = get_vm,
        .get_kind = get_kind,
        .get_mode = get_mode,
        .get_vdi = get_vdi,
        .get_path = get_path,
        .get_plugged = get_plugged,
};

int disk_objects_export(struct xenopsd *xenopsd) {
        return xenopsd1_disk_export_tree(xenopsd->bus, NULL, XENOPSD_VM_PREFIX, &handlers, objects_find, xenopsd->disks);
}
