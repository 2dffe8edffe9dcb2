/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.xen.xcp.xenopsd1.Disk */

#include <errno.h>

#include "job.h"
#include "spec.h"
#include "xenopsd1-disk.h"

typedef int (*reply_t)(struct idl_call *call, const char *task);

static int begin(struct device *device, enum operation_id id, bool flag, const char *text, struct idl_call *call, reply_t reply,
                 struct idl_error *error) {
        const struct job_arguments arguments = { .flag = flag, .text = text, .device = device };
        struct vm *vm = device->vm;
        const char *task;
        int r;

        r = job_add(vm, id, &arguments, call, &task, error);
        if (r < 0)
                return r;
        r = reply(call, task);
        job_next(vm);                   /* which may be the end of the device */
        return r;
}

static int on_plug(void *disk, struct idl_call *call, struct idl_error *error) {
        return begin(disk, OPERATION_PLUG, false, NULL, call, xenopsd1_disk_reply_plug, error);
}

static int on_unplug(void *disk, struct idl_call *call, bool force, struct idl_error *error) {
        return begin(disk, OPERATION_UNPLUG, force, NULL, call, xenopsd1_disk_reply_unplug, error);
}

static int on_insert(void *disk, struct idl_call *call, const char *vdi, struct idl_error *error) {
        int r;

        r = spec_check_vdi("vdi", vdi, error);
        return r < 0 ? r : begin(disk, OPERATION_INSERT, false, vdi, call, xenopsd1_disk_reply_insert, error);
}

static int on_eject(void *disk, struct idl_call *call, struct idl_error *error) {
        return begin(disk, OPERATION_EJECT, false, NULL, call, xenopsd1_disk_reply_eject, error);
}

static int on_refresh(void *disk, struct idl_call *call, struct idl_error *error) {
        return begin(disk, OPERATION_REFRESH, false, NULL, call, xenopsd1_disk_reply_refresh, error);
}

static int on_remove(void *disk, struct idl_call *call, struct idl_error *error) {
        return begin(disk, OPERATION_REMOVE, false, NULL, call, xenopsd1_disk_reply_remove, error);
}

/* A question to the backend, and who asked it. */
struct question {
        struct idl_call *call;
        const char *name;               /* the disk's, in the call's arena */
};

static int ask(struct vm *vm, struct hypervisor_call *call, void *userdata, struct idl_error *error) {
        struct question *question = userdata;

        if (!vm->backend->hypervisor->disk_statistics)
                return idl_error_set_not_supported(error, "GetStatistics");
        return vm->backend->hypervisor->disk_statistics(vm->guest, call, question->name, error);
}

static void drop(void *userdata) {
        struct question *question = userdata;

        idl_call_unref(question->call);         /* and the question, which is in its arena */
}

static void answer(struct vm *vm, int r, const struct hypervisor_call *from, void *userdata, struct idl_error *error) {
        struct question *question = userdata;

        if (r < 0) {
                idl_error_set_errno(error, r, "the backend");
                idl_call_fail(question->call, error);
                idl_error_done(error);
        } else
                xenopsd1_disk_reply_get_statistics(question->call, &from->disk_statistics);
        drop(question);
}

static int on_get_statistics(void *object, struct idl_call *call, struct idl_error *error) {
        static const struct xcp_disk_statistics none;
        struct device *disk = object;
        struct question *question;
        int r;

        if (!lifecycle_is_alive(disk->vm->state) || !disk->plugged)
                return xenopsd1_disk_reply_get_statistics(call, &none);
        question = idl_arena_alloc(idl_call_arena(call), 1, sizeof *question);
        if (!question)
                return -ENOMEM;
        *question = (struct question) { idl_call_ref(call), idl_arena_strdup(idl_call_arena(call), disk->name) };
        r = question->name ? vm_ask(disk->vm, ask, answer, drop, question, error) : -ENOMEM;
        if (r < 0)
                idl_call_unref(call);
        return r;
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
