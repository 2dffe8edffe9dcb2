/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Revert: a VM becomes what it was.
 *
 * Each disk is a clone of what the snapshot has of it, under the name of the one that it replaces, which is destroyed when the VM has the
 * new one, and nobody else uses it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "garbage.h"
#include "making.h"
#include "operations.h"
#include "snapshot.h"
#include "spec.h"
#include "steps.h"
#include "storage-service.h"
#include "xenopsd1-disk.h"
#include "xenopsd1-vm.h"

#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"

/* What a snapshot is not about stays. */
static int step_check(struct job *job, struct idl_error *error) {
        const struct snapshot *snapshot = snapshot_find(job->vm, job->text);
        const struct xcp_vm_spec *now = &job->vm->spec;
        struct xcp_vm_spec spec;
        int r;

        if (!snapshot)
                return idl_error_set_does_not_exist(error, "snapshot", job->text);
        r = store_get_snapshot_spec(job->vm->xenopsd->store, job->vm->xenopsd->bus, snapshot->uuid, &job->arena, &spec, error);
        if (r < 0)
                return r;
        spec.name = now->name;
        spec.description = now->description;
        spec.labels = now->labels;
        spec.n_labels = now->n_labels;
        spec.autostart = now->autostart;
        spec.autostart_order = now->autostart_order;
        spec.autostart_delay_ms = now->autostart_delay_ms;
        r = making_copy_spec(job, &spec);
        if (r >= 0)
                r = making_begin(job);
        if (r >= 0 && snapshot->memory)
                r = (job->memory = idl_arena_strdup(&job->arena, snapshot->memory)) ? 0 : -ENOMEM;
        return r < 0 ? r : 1;
}

/* Disks: the name of the old one is asked for, a clone is made, and gets the name */

static int go_on_cloning(struct job *job, struct idl_error *error);

static void next_disk(struct job *job, int r, struct idl_error *error) {
        if (r >= 0 && job->cancelled && !job->committed)
                r = -ECANCELED;
        if (r >= 0) {
                job->next_disk++;
                r = go_on_cloning(job, error);
                if (r == 0)
                        return;
        }
        job_done(job, r, error);
}

/* What it is called is no reason to fail. */
static int on_named(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct job *job = userdata;
        struct idl_error error = IDL_ERROR_NULL;

        job->slot = sd_bus_slot_unref(job->slot);
        next_disk(job, 0, &error);
        idl_error_done(&error);
        return 0;
}

static void on_cloned(void *userdata, int r, sd_bus_message *result, struct idl_error *error) {
        struct job *job = userdata;
        const char *vdi;

        r = making_end(job, r, result, &vdi, error);
        if (r >= 0)
                making_set_vdi(job, job->next_disk, vdi);
        if (r >= 0 && job->place) {
                r = sd_bus_call_method_async(job->vm->xenopsd->bus, &job->slot, STORAGE, vdi, PROPERTIES_INTERFACE, "Set", on_named, job,
                                             "ssv", STORAGE_VDI_INTERFACE, "Name", "s", job->place);
                if (r >= 0)
                        return;
        }
        next_disk(job, r, error);
}

static int clone_disk(struct job *job, struct idl_error *error) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        const struct xcp_disk_spec *disk = job->spec.disks + job->next_disk;
        const char *name = making_name(job, "revert", disk->name);
        int r;

        if (!name)
                return -ENOMEM;
        r = sd_bus_message_new_method_call(job->vm->xenopsd->bus, &call, STORAGE, disk->vdi, STORAGE_VDI_INTERFACE, "Clone");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", name);
        return r < 0 ? r : making_call(job, name, call, on_cloned, error);
}

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct job *job = userdata;
        struct idl_error error = IDL_ERROR_NULL;
        const char *name;
        int r = 0;

        job->slot = sd_bus_slot_unref(job->slot);
        job->place = NULL;
        if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "v", "s", &name) > 0)
                r = (job->place = idl_arena_strdup(&job->arena, name)) ? 0 : -ENOMEM;
        if (r >= 0)
                r = job->cancelled ? -ECANCELED : clone_disk(job, &error);
        if (r < 0)
                job_done(job, r, &error);
        idl_error_done(&error);
        return 0;
}

static int begin_disk(struct job *job, struct idl_error *error) {
        const struct xcp_disk_spec *old = vm_disk_spec(job->vm, job->spec.disks[job->next_disk].name);
        int r;

        job->place = NULL;
        if (!old || !spec_is_kept(old))
                return clone_disk(job, error);
        r = sd_bus_call_method_async(job->vm->xenopsd->bus, &job->slot, STORAGE, old->vdi, PROPERTIES_INTERFACE, "Get", on_name, job, "ss",
                                     STORAGE_VDI_INTERFACE, "Name");
        return r < 0 ? r : 0;
}

/* 1 when there is a clone for each, 0 while one is made. */
static int go_on_cloning(struct job *job, struct idl_error *error) {
        for (; job->next_disk < job->spec.n_disks; job->next_disk++)
                if (spec_is_kept(job->spec.disks + job->next_disk))
                        return begin_disk(job, error);
        return 1;
}

static int step_clone(struct job *job, struct idl_error *error) {
        job->next_disk = 0;
        return go_on_cloning(job, error);
}

/* The VM */

static bool is_used_by_others(const struct vm *vm, const char *vdi) {
        for (const struct vm *other = vm->xenopsd->first; other; other = other->next)
                for (size_t i = 0; i < other->spec.n_disks && other != vm; i++)
                        if (other->spec.disks[i].vdi && strcmp(other->spec.disks[i].vdi, vdi) == 0)
                                return true;
        return false;
}

/* Disks that the snapshot has another of. */
static size_t replaced(struct job *job, const char **ret_vdis) {
        size_t n = 0;

        for (size_t i = 0; i < job->spec.n_disks; i++) {
                const struct xcp_disk_spec *old = vm_disk_spec(job->vm, job->spec.disks[i].name);

                if (spec_is_kept(job->spec.disks + i) && old && spec_is_kept(old) && !is_used_by_others(job->vm, old->vdi))
                        ret_vdis[n++] = old->vdi;
        }
        return n;
}

static void tell_reverted(const struct vm *vm) {
        xenopsd1_vm_emit_changed(vm->xenopsd->bus, vm->path,
                                 XENOPSD1_VM_PROPERTY_MEMORY | XENOPSD1_VM_PROPERTY_VCPUS | XENOPSD1_VM_PROPERTY_ON_CRASH |
                                         XENOPSD1_VM_PROPERTY_ON_REBOOT);
        for (const struct device *device = vm->devices; device; device = device->next)
                if (device->is_disk && device->path)
                        xenopsd1_disk_emit_changed(vm->xenopsd->bus, device->path, XENOPSD1_DISK_PROPERTY_VDI);
}

static int take_memory(struct vm *vm, const char *memory) {
        struct attachment *attachment = attachment_find(vm, ATTACHMENT_SAVED);
        char *copy = memory ? strdup(memory) : NULL;

        if (memory && !copy)
                return -ENOMEM;
        if (attachment)                 /* of what was Saved before */
                attachment_drop(attachment);
        free(vm->saved_vdi);
        vm->saved_vdi = copy;
        vm->is_away = false;
        vm_set_state(vm, memory ? XCP_VM_STATE_SAVED : XCP_VM_STATE_HALTED, XCP_VM_STATE_REASON_REQUESTED, "");
        return 0;
}

static int step_revert(struct job *job, struct idl_error *error) {
        const struct store_fate fate = { .saved_vdi = job->memory };
        struct idl_arena arena = IDL_ARENA_NULL;
        const char *vdis[SPEC_DISKS_MAX];
        struct vm *vm = job->vm;
        struct xcp_vm_spec spec;
        int r;

        r = xcp_vm_spec_copy(&arena, &spec, &job->spec);
        if (r >= 0)
                r = store_revert_vm(vm->xenopsd->store, vm->xenopsd->bus, &spec, &fate, job->owner, vdis, replaced(job, vdis), error);
        if (r < 0) {
                idl_arena_done(&arena);
                return r;
        }
        r = vm_take_spec(vm, &arena, &spec);
        if (r >= 0)
                r = take_memory(vm, job->memory);
        tell_reverted(vm);
        return r < 0 ? r : 1;
}

static void on_collected(void *userdata) {
        struct idl_error none = IDL_ERROR_NULL;

        job_done(userdata, 0, &none);
}

/* What the job owns now are the disks that it has replaced. */
static int step_collect(struct job *job, struct idl_error *error) {
        int r;

        job->owner[0] = '\0';
        r = garbage_wait(job->vm->xenopsd, on_collected, job);
        return r < 0 ? r : 0;
}

const struct step revert_steps[] = {
        { step_check },
        { step_clone },
        { step_revert, .final = true },
        { step_collect },
        { NULL },
};
