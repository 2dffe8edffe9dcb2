/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Save and Restore: a VM's memory goes to a disk of the storage service, and comes back. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "garbage.h"
#include "operations.h"
#include "save-steps.h"
#include "spec.h"
#include "steps.h"

#define SAVE_EXTRA (UINT64_C(16) << 20) /* org.xen.xcp.xenopsd1.VM.xml: beside the memory */

/* Ways to a disk that can be opened here. */
static const enum xcp_data_path_kind file_kinds[] = { XCP_DATA_PATH_KIND_FILE, XCP_DATA_PATH_KIND_BLOCK_DEVICE, 0 };

static void on_saved_attached(void *userdata, int r, struct idl_error *error) {
        struct job *job = userdata;

        if (r >= 0) {
                r = attachment_activate(job->attachment, job_attachment_done, job, error);
                if (r >= 0)
                        return;
        }
        job_done(job, r, error);
}

int save_attach(struct job *job, const char *vdi, struct idl_error *error) {
        int r;

        r = attachment_new(job->vm, ATTACHMENT_SAVED, vdi, NULL, &job->attachment, error);
        if (r >= 0)
                r = attachment_attach(job->attachment, XCP_DISK_MODE_READ_WRITE, file_kinds, on_saved_attached, job, error);
        if (r < 0)
                return r;
        job->cancel = job_cancel_attachment;
        return 0;
}

static int open_saved(struct job *job, int flags, uint64_t needed, struct idl_error *error) {
        const struct xcp_data_path *path = &job->attachment->path;

        if (path->kind != XCP_DATA_PATH_KIND_FILE && path->kind != XCP_DATA_PATH_KIND_BLOCK_DEVICE)
                return idl_error_set_not_supported(error, "A way to the disk other than a file or block device");
        if (path->size < needed)
                return idl_error_set_not_enough_space(error, needed, path->size);
        job->fd = open(path->path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (job->fd < 0)
                return idl_error_set_backend_failed(error, path->path, "be opened", strerrordesc_np(errno));
        return 1;
}

static void close_saved(struct job *job) {
        if (job->fd >= 0)
                close(job->fd);
        job->fd = -1;
}

int save_detach(struct job *job, struct idl_error *error) {
        close_saved(job);
        return step_detach_disk(job, ATTACHMENT_SAVED);
}

uint64_t save_size(const struct vm *vm) {
        return vm->spec.memory + SAVE_EXTRA;
}

/* Save */

static int step_save_attach(struct job *job, struct idl_error *error) {
        int r;

        if (!job->vm->backend->hypervisor->save)
                return job_not_supported(job, "Save", error);
        r = spec_check_is_new_vdi(&job->vm->spec, "vdi", job->text, error);     /* the memory would take the disk's place */
        return r < 0 ? r : save_attach(job, job->text, error);
}

int save_open(struct job *job, struct idl_error *error) {
        return open_saved(job, O_RDWR, save_size(job->vm), error);
}

int save_write(struct job *job, struct idl_error *error) {
        return job_begun(job, job->vm->backend->hypervisor->save(job->vm->guest, job_call(job), job->fd, error));
}

/* It goes on as if nothing had been. */
int save_undo_write(struct job *job, struct idl_error *error) {
        return job->before == XCP_VM_STATE_RUNNING ? step_resume(job, error) : 1;
}

/*
 * Deactivate() promises that what was written is on the disk. It stays attached while it is needed, so that nobody destroys it, and is
 * not written to.
 */
int save_deactivate(struct job *job, struct idl_error *error) {
        int r;

        close_saved(job);
        r = attachment_deactivate(job->attachment, job_attachment_done, job, error);
        if (r < 0)
                return r;
        job->cancel = job_cancel_attachment;
        return 0;
}

int save_keep(struct job *job, const char *vdi, enum store_passing passing, struct idl_error *error) {
        struct vm *vm = job->vm;
        char *copy = strdup(vdi);
        int r;

        r = copy ? store_set_fate(vm->xenopsd->store, vm->uuid, &(struct store_fate) { vdi, false, passing }, error) : -ENOMEM;
        if (r < 0) {
                free(copy);
                return r;
        }
        free(vm->saved_vdi);
        vm->saved_vdi = copy;
        vm->passing = passing;
        return 1;
}

static int step_save_keep(struct job *job, struct idl_error *error) {
        return save_keep(job, job->text, STORE_LASTING, error);
}

static int step_saved(struct job *job, struct idl_error *error) {
        vm_set_state(job->vm, XCP_VM_STATE_SAVED, XCP_VM_STATE_REASON_REQUESTED, "");
        return 1;
}

const struct step save_steps[] = {
        { step_save_attach, save_detach },
        { save_open },
        { save_write, save_undo_write },
        { save_deactivate },
        { step_save_keep, .final = true },
        { step_destroy },
        { step_saved },
        { step_detach_disks },
        { NULL },
};

/* Restore */

static int step_restore_attach(struct job *job, struct idl_error *error) {
        if (!job->vm->backend->hypervisor->restore)
                return job_not_supported(job, "Restore", error);
        return save_attach(job, job->vm->saved_vdi, error);
}

static int undo_restore_attach(struct job *job, struct idl_error *error) {
        struct attachment *attachment = attachment_find(job->vm, ATTACHMENT_SAVED);
        int r;

        close_saved(job);
        if (!attachment)
                return 1;
        r = attachment_deactivate(attachment, job_attachment_done, job, error);
        if (r < 0)
                return r;
        job->attachment = attachment;
        job->cancel = job_cancel_attachment;
        return 0;
}

int restore_open(struct job *job, struct idl_error *error) {
        return open_saved(job, O_RDONLY, 0, error);
}

int restore_read(struct job *job, struct idl_error *error) {
        struct hypervisor_config config;
        int r;

        r = steps_make_config(job, &config, error);
        if (r < 0)
                return r;
        return job_begun(job, job->vm->backend->hypervisor->restore(job->vm->guest, job_call(job), &config, job->fd, error));
}

int restore_resume(struct job *job, struct idl_error *error) {
        vm_connect_console(job->vm);
        return job->flag ? 1 : step_resume(job, error);
}

/* From here on the guest may have changed its disks: the old memory does not fit them any more. */
int restore_done(struct job *job, struct idl_error *error) {
        struct vm *vm = job->vm;
        int r;

        r = store_set_fate(vm->xenopsd->store, vm->uuid, &(struct store_fate) { NULL, false }, error);
        if (r < 0)
                return r;
        free(vm->saved_vdi);
        vm->saved_vdi = NULL;
        vm->passing = STORE_LASTING;
        vm->is_away = false;
        return 1;
}

/* It may have been kept for the memory alone. */
static int step_collect(struct job *job, struct idl_error *error) {
        garbage_collect(job->vm->xenopsd);
        return 1;
}

const struct step restore_steps[] = {
        { step_admit },
        { step_clean },
        { step_restore_attach, undo_restore_attach },
        { restore_open },
        { step_attach_disks, step_detach_disks },
        { restore_read, step_destroy },
        { restore_resume, .final = true },
        { restore_done },
        { step_look },
        { save_detach },
        { step_collect },
        { NULL },
};
