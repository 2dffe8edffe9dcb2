/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Snapshot and DeleteSnapshot.
 *
 * A disk that somebody writes to cannot be made a snapshot of, and what a guest has not written yet is in its memory. So a VM that is
 * not Halted is saved for the moment, and restored: that is the same with every backend and every way to a disk, and whenever the
 * manager is killed, the VM is there or Saved, and goes on when the manager starts again (snapshots_recover()).
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "garbage.h"
#include "making.h"
#include "operations.h"
#include "save-steps.h"
#include "snapshot.h"
#include "spec.h"
#include "steps.h"
#include "storage-service.h"

static bool has_memory(const struct job *job) {
        return job->before != XCP_VM_STATE_HALTED;
}

/* Before anything is done */

static int check_disks(const struct vm *vm, struct idl_error *error) {
        for (size_t i = 0; i < vm->spec.n_disks; i++) {
                const struct xcp_disk_spec *disk = vm->spec.disks + i;

                if (disk->path && disk->kind == XCP_DISK_KIND_DISK && disk->mode == XCP_DISK_MODE_READ_WRITE)
                        return idl_error_set_not_supported(error, "A snapshot of a VM with a disk that is not of the storage service");
        }
        return 0;
}

static int step_check(struct job *job, struct idl_error *error) {
        const struct hypervisor *hypervisor = job->vm->backend->hypervisor;
        const struct vm *vm = job->vm;
        int r;

        if (snapshot_find(vm, job->text))
                return idl_error_set_already_exists(error, "snapshot", job->text);
        if (snapshot_count(vm) >= SNAPSHOTS_MAX)
                return idl_error_set_limit_exceeded(error, "snapshots of this VM", SNAPSHOTS_MAX + 1, SNAPSHOTS_MAX);
        if (has_memory(job) && (!hypervisor->save || !hypervisor->restore))
                return job_not_supported(job, "A snapshot of a VM that is not Halted", error);
        r = check_disks(vm, error);
        if (r >= 0)
                r = making_copy_spec(job, &vm->spec);
        if (r >= 0)
                r = making_begin(job);
        return r < 0 ? r : 1;
}

/* Where the memory goes */

static int on_sr(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct job *job = userdata;
        struct idl_error error = IDL_ERROR_NULL;
        const char *path;
        int r = 0;

        job->slot = sd_bus_slot_unref(job->slot);
        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "v", "o", &path) <= 0)
                r = idl_error_set_unreachable(&error, "service", STORAGE, "it does not say where the VM's first disk is");
        else if (!(job->place = idl_arena_strdup(&job->arena, path)))
                r = -ENOMEM;
        job_done(job, r, &error);
        idl_error_done(&error);
        return 0;
}

static int step_find_place(struct job *job, struct idl_error *error) {
        const char *vdi = NULL;
        int r;

        if (!has_memory(job) || job->place)
                return 1;
        for (size_t i = 0; i < job->spec.n_disks && !vdi; i++)
                vdi = job->spec.disks[i].vdi;
        if (!vdi)
                return idl_error_set_invalid_argument(error, "options.sr", "",
                                                      "has to be given, as the VM has no disk of a storage repository");
        r = sd_bus_call_method_async(job->vm->xenopsd->bus, &job->slot, STORAGE, vdi, "org.freedesktop.DBus.Properties", "Get", on_sr, job,
                                     "ss", STORAGE_VDI_INTERFACE, "SR");
        return r < 0 ? r : 0;
}

static void on_memory_made(void *userdata, int r, sd_bus_message *result, struct idl_error *error) {
        struct job *job = userdata;

        r = making_end(job, r, result, &job->memory, error);
        job_done(job, r, error);
}

static int step_make_memory(struct job *job, struct idl_error *error) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        struct xcp_vdi_spec spec = { .has_size = true, .size = save_size(job->vm), .format = XCP_VDI_FORMAT_RAW, .description = "" };
        int r;

        if (!has_memory(job))
                return 1;
        spec.name = making_name(job, "snapshot", "memory");
        r = spec.name ? sd_bus_message_new_method_call(job->vm->xenopsd->bus, &call, STORAGE, job->place, STORAGE_SR_INTERFACE, "CreateVDI")
                      : -ENOMEM;
        if (r >= 0)
                r = xcp_vdi_spec_append(call, &spec);
        return r < 0 ? r : making_call(job, spec.name, call, on_memory_made, error);
}

/* The memory */

static int step_attach_memory(struct job *job, struct idl_error *error) {
        return has_memory(job) ? save_attach(job, job->memory, error) : 1;
}

static int undo_attach_memory(struct job *job, struct idl_error *error) {
        return has_memory(job) ? save_detach(job, error) : 1;
}

static int step_open(struct job *job, struct idl_error *error) {
        return has_memory(job) ? save_open(job, error) : 1;
}

static int set_passing(struct job *job, enum store_passing passing, struct idl_error *error) {
        struct vm *vm = job->vm;
        int r;

        r = store_set_fate(vm->xenopsd->store, vm->uuid, &(struct store_fate) { .is_away = vm->is_away, .passing = passing }, error);
        if (r < 0)
                return r;
        vm->passing = passing;
        return 1;
}

static enum store_passing passing_of(const struct job *job) {
        return job->before == XCP_VM_STATE_RUNNING ? STORE_PASSING_RUNNING : STORE_PASSING_SUSPENDED;
}

static int step_passing(struct job *job, struct idl_error *error) {
        return has_memory(job) ? set_passing(job, passing_of(job), error) : 1;
}

static int undo_passing(struct job *job, struct idl_error *error) {
        return has_memory(job) ? set_passing(job, STORE_LASTING, error) : 1;
}

static int step_write(struct job *job, struct idl_error *error) {
        job->flag = job->before == XCP_VM_STATE_SUSPENDED;      /* for restore_resume() */
        return has_memory(job) ? save_write(job, error) : 1;
}

static int undo_write(struct job *job, struct idl_error *error) {
        return has_memory(job) ? save_undo_write(job, error) : 1;
}

static int step_deactivate_memory(struct job *job, struct idl_error *error) {
        return has_memory(job) ? save_deactivate(job, error) : 1;
}

/* From here on the VM is Saved: there is a way forward from whatever happens, and none back. */
static int step_keep_memory(struct job *job, struct idl_error *error) {
        int r;

        if (!has_memory(job))
                return 1;
        r = save_keep(job, job->memory, passing_of(job), error);
        if (r >= 0)
                r = job_commit(job);
        return r;
}

static int undo_keep_memory(struct job *job, struct idl_error *error) {
        struct vm *vm = job->vm;

        if (!has_memory(job))
                return 1;
        free(vm->saved_vdi);
        vm->saved_vdi = NULL;
        return set_passing(job, passing_of(job), error);
}

static int step_give_up_guest(struct job *job, struct idl_error *error) {
        return has_memory(job) ? step_destroy(job, error) : 1;
}

static int step_give_up_disks(struct job *job, struct idl_error *error) {
        return has_memory(job) ? step_deactivate_disks(job, error) : 1;
}

/* The disks */

static int go_on_with_disks(struct job *job, struct idl_error *error);

static void on_disk_made(void *userdata, int r, sd_bus_message *result, struct idl_error *error) {
        struct job *job = userdata;
        const char *vdi;

        r = making_end(job, r, result, &vdi, error);
        if (r >= 0 && job->cancelled && !job->committed)
                r = -ECANCELED;
        if (r >= 0) {
                making_set_vdi(job, job->next_disk++, vdi);
                r = go_on_with_disks(job, error);
                if (r == 0)
                        return;
        }
        job_done(job, r, error);
}

static int make_disk(struct job *job, const struct xcp_disk_spec *disk, struct idl_error *error) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        const char *name = making_name(job, "snapshot", disk->name);
        int r;

        if (!name)
                return -ENOMEM;
        r = sd_bus_message_new_method_call(job->vm->xenopsd->bus, &call, STORAGE, disk->vdi, STORAGE_VDI_INTERFACE, "Snapshot");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", name);
        return r < 0 ? r : making_call(job, name, call, on_disk_made, error);
}

/* 1 when there is one of each, 0 while one is made. */
static int go_on_with_disks(struct job *job, struct idl_error *error) {
        for (; job->next_disk < job->spec.n_disks; job->next_disk++)
                if (spec_is_kept(job->spec.disks + job->next_disk))
                        return make_disk(job, job->spec.disks + job->next_disk, error);
        return 1;
}

static int step_disks(struct job *job, struct idl_error *error) {
        if (job->r < 0)                 /* of a step before, which is kept */
                return 1;
        job->next_disk = 0;
        return go_on_with_disks(job, error);
}

/* Going on */

static int step_take_disks(struct job *job, struct idl_error *error) {
        return has_memory(job) ? step_activate_disks(job, error) : 1;
}

static int step_take_memory(struct job *job, struct idl_error *error) {
        int r;

        if (!has_memory(job))
                return 1;
        job->attachment = attachment_find(job->vm, ATTACHMENT_SAVED);
        r = attachment_activate(job->attachment, job_attachment_done, job, error);
        return r < 0 ? r : 0;
}

static int step_open_again(struct job *job, struct idl_error *error) {
        return has_memory(job) ? restore_open(job, error) : 1;
}

static int step_read(struct job *job, struct idl_error *error) {
        return has_memory(job) ? restore_read(job, error) : 1;
}

static int step_go_on(struct job *job, struct idl_error *error) {
        return has_memory(job) ? restore_resume(job, error) : 1;
}

static int step_gone_on(struct job *job, struct idl_error *error) {
        return has_memory(job) ? restore_done(job, error) : 1;
}

static int step_see(struct job *job, struct idl_error *error) {
        return has_memory(job) ? step_look(job, error) : 1;
}

static int step_detach_memory(struct job *job, struct idl_error *error) {
        return has_memory(job) ? save_detach(job, error) : 1;
}

static int step_add(struct job *job, struct idl_error *error) {
        struct store_snapshot snapshot = { .uuid = job->owner, .vm = job->vm->uuid, .name = job->text, .memory = job->memory };
        struct vm *vm = job->vm;
        int r;

        if (job->kept)
                return 1;
        snapshot.created_usec = clock_now_usec(CLOCK_REALTIME);
        r = store_add_snapshot(vm->xenopsd->store, vm->xenopsd->bus, &snapshot, &job->spec, error);
        if (r >= 0)
                r = snapshot_load(vm, &snapshot);
        if (r < 0)
                return r;
        snapshots_tell(vm);
        return 1;
}

const struct step snapshot_steps[] = {
        { step_check },
        { step_find_place },
        { step_make_memory },
        { step_attach_memory, undo_attach_memory },
        { step_open },
        { step_passing, undo_passing },
        { step_write, undo_write },
        { step_deactivate_memory },
        { step_keep_memory, undo_keep_memory },
        { step_give_up_guest },
        { step_give_up_disks, .keeps = true },
        { step_disks, .keeps = true },
        { step_take_disks },
        { step_take_memory },
        { step_open_again },
        { step_admit },
        { step_read },
        { step_go_on },
        { step_gone_on },
        { step_see },
        { step_detach_memory },
        { step_add },
        { NULL },
};

/* DeleteSnapshot */

static int step_delete(struct job *job, struct idl_error *error) {
        struct vm *vm = job->vm;
        struct snapshot *snapshot = snapshot_find(vm, job->text);
        int r;

        if (!snapshot)
                return idl_error_set_does_not_exist(error, "snapshot", job->text);
        if (snapshot->memory && vm->saved_vdi && strcmp(snapshot->memory, vm->saved_vdi) == 0)
                return idl_error_set_busy(error, "snapshot", job->text, "the VM, which is Saved as it says");
        r = snapshot_remove(vm, snapshot, error);
        if (r < 0)
                return r;
        snapshots_tell(vm);
        return 1;
}

static void on_collected(void *userdata) {
        struct idl_error none = IDL_ERROR_NULL;

        job_done(userdata, 0, &none);
}

static int step_collect(struct job *job, struct idl_error *error) {
        int r;

        r = garbage_wait(job->vm->xenopsd, on_collected, job);
        return r < 0 ? r : 0;
}

const struct step delete_snapshot_steps[] = {
        { step_delete, .final = true },
        { step_collect },
        { NULL },
};

/* When the service starts */

static int go_on(struct vm *vm, struct idl_error *error) {
        bool stays = vm->passing == STORE_PASSING_SUSPENDED;

        if (vm->state == XCP_VM_STATE_SAVED)
                return job_add(vm, OPERATION_RESTORE, &(struct job_arguments) { .flag = stays }, NULL, NULL, error);
        if (vm->state == XCP_VM_STATE_SUSPENDED && !stays)
                return job_add(vm, OPERATION_RESUME, NULL, NULL, NULL, error);
        return 0;
}

/* What was Saved, or stood still, for a snapshot alone. It is said that it goes on before it does: afterwards nobody would know. */
static void recover(struct vm *vm) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = go_on(vm, &error);
        if (r >= 0 && vm->state != XCP_VM_STATE_SAVED) {
                r = store_set_fate(vm->xenopsd->store, vm->uuid, &(struct store_fate) { .is_away = vm->is_away }, &error);
                vm->passing = STORE_LASTING;
                free(vm->saved_vdi);
                vm->saved_vdi = NULL;
        }
        if (r < 0)
                log_event(LOG_ERR, LOG_FIELDS({ "XCP_VM", vm->uuid }), "VM %s cannot go on after its snapshot was interrupted: %s",
                          vm->spec.name, error.message ?: strerrordesc_np(-r) ?: "unknown error");
        idl_error_done(&error);
        job_next(vm);
}

void snapshots_recover(struct xenopsd *xenopsd) {
        for (struct vm *vm = xenopsd->first; vm; vm = vm->next)
                if (vm->passing != STORE_LASTING)
                        recover(vm);
        garbage_collect(xenopsd);
}
