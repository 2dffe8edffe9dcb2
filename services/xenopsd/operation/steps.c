/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "steps.h"

#include <errno.h>
#include <string.h>

#define LOOKS_MAX 16u                   /* after one operation: a backend that has more news each time is not waited for */

static const struct hypervisor *hypervisor_of(const struct job *job) {
        return job->vm->backend->hypervisor;
}

/* What steps return, or are called back by */

int job_not_supported(struct job *job, const char *what, struct idl_error *error) {
        char text[128];

        snprintf(text, sizeof text, "%s with %s", what, job->vm->backend->hypervisor->name);
        return idl_error_set_not_supported(error, text);
}

void job_attachment_done(void *userdata, int r, struct idl_error *error) {
        struct job *job = userdata;
        struct idl_error none = IDL_ERROR_NULL;

        job_done(job, r, error ?: &none);
}

void job_cancel_attachment(struct job *job) {
        attachment_cancel(job->attachment);
}

/* Attaching */

static int go_on_attaching(struct job *job, struct idl_error *error);

/* After one disk, the next. */
static void on_disk(void *userdata, int r, struct idl_error *error) {
        struct job *job = userdata;

        if (r >= 0 && job->cancelled && !job->committed)
                r = -ECANCELED;
        if (r >= 0) {
                job->next_disk++;
                r = go_on_attaching(job, error);
                if (r == 0)
                        return;
        }
        job_done(job, r, error);
}

static void on_attached(void *userdata, int r, struct idl_error *error) {
        struct job *job = userdata;

        if (r >= 0 && job->cancelled && !job->committed)
                r = -ECANCELED;
        if (r >= 0 && job->activates) {
                r = attachment_activate(job->attachment, on_disk, job, error);
                if (r >= 0)
                        return;
        }
        on_disk(job, r, error);
}

static int begin_attach(struct job *job, struct idl_error *error);

/* What was in the way has been detached, or cannot be. */
static void on_made_way(void *userdata, int r, struct idl_error *error) {
        struct job *job = userdata;

        if (r >= 0 && job->cancelled && !job->committed)
                r = -ECANCELED;
        if (r >= 0)
                r = begin_attach(job, error);
        if (r < 0)
                job_done(job, r, error);
}

/* An earlier use of this disk that is not over: 1 if there is none, 0 if it has to be waited for. */
static int make_way(struct job *job, struct idl_error *error) {
        struct attachment *attachment = attachment_find(job->vm, job->attaching.name);

        if (!attachment || !attachment->stale)
                return 1;
        job->attachment = attachment;
        if (attachment->remote)
                return attachment_wait(attachment, on_made_way, job) < 0 ? -EBUSY : 0;
        return strcmp(attachment->vdi, job->attaching.vdi) == 0 ? 1 : attachment_detach(attachment, on_made_way, job, error);
}

static const enum xcp_data_path_kind *paths_of(const struct job *job, const struct xcp_disk_spec *disk) {
        const struct hypervisor *hypervisor = hypervisor_of(job);
        const enum xcp_data_path_kind *paths = NULL;

        if (hypervisor->disk_paths)
                paths = hypervisor->disk_paths(job->vm->backend->backend, &job->vm->spec, disk, job->activates);
        return paths ?: hypervisor->paths;
}

static int begin_attach(struct job *job, struct idl_error *error) {
        const struct xcp_disk_spec *disk = &job->attaching;
        char reader[64];
        int r;

        r = make_way(job, error);
        if (r == 0)
                job->cancel = job_cancel_attachment;
        if (r <= 0)
                return r;
        /* A VM on its way here is a reader beside the one that it still is where it comes from. */
        snprintf(reader, sizeof reader, "vm-%s-%016" PRIx64, job->vm->uuid, job->number);
        r = attachment_new(job->vm, disk->name, disk->vdi, job->id == OPERATION_RECEIVE ? reader : NULL, &job->attachment, error);
        if (r >= 0)
                r = attachment_attach(job->attachment, disk->mode, paths_of(job, disk), on_attached, job, error);
        if (r >= 0)
                job->cancel = job_cancel_attachment;
        return r;
}

/* The configuration may change while this goes on. */
static int copy_and_attach(struct job *job, const struct xcp_disk_spec *disk, struct idl_error *error) {
        int r;

        r = xcp_disk_spec_copy(&job->arena, &job->attaching, disk);
        if (r >= 0)
                r = begin_attach(job, error);
        return r < 0 ? r : 0;
}

/* 1 when all are attached, 0 while one is under way. */
static int go_on_attaching(struct job *job, struct idl_error *error) {
        const struct xcp_vm_spec *spec = &job->vm->spec;

        for (; job->next_disk < spec->n_disks; job->next_disk++)
                if (spec->disks[job->next_disk].vdi)
                        return copy_and_attach(job, spec->disks + job->next_disk, error);
        return 1;
}

int step_attach_disks(struct job *job, struct idl_error *error) {
        job->next_disk = 0;
        job->activates = job->id != OPERATION_RECEIVE;
        return go_on_attaching(job, error);
}

int step_attach_disk(struct job *job, const struct xcp_disk_spec *disk, struct idl_error *error) {
        if (!disk->vdi)
                return 1;
        job->next_disk = job->vm->spec.n_disks; /* there is no next one */
        job->activates = true;
        return copy_and_attach(job, disk, error);
}

/* Detaching */

static struct attachment *next_to_detach(struct job *job) {
        for (struct attachment *attachment = job->vm->attachments; attachment; attachment = attachment->next)
                if (!attachment->stale && strcmp(attachment->disk, ATTACHMENT_SAVED) != 0)
                        return attachment;
        return NULL;
}

/* What cannot be detached now is stale, and somebody else's. */
static void on_detached(void *userdata, int r, struct idl_error *error) {
        struct job *job = userdata;
        struct idl_error none = IDL_ERROR_NULL;

        idl_error_done(error);
        if (step_detach_disks(job, &none) != 0)
                job_done(job, 0, &none);
        idl_error_done(&none);
}

int step_detach_disks(struct job *job, struct idl_error *error) {
        struct attachment *attachment;

        while ((attachment = next_to_detach(job))) {
                struct idl_error ignored = IDL_ERROR_NULL;
                int r = attachment_detach(attachment, on_detached, job, &ignored);

                idl_error_done(&ignored);
                if (r >= 0) {
                        job->attachment = attachment;
                        job->cancel = job_cancel_attachment;
                        return 0;
                }
        }
        return 1;
}

static void on_one_detached(void *userdata, int r, struct idl_error *error) {
        idl_error_done(error);
        job_done(userdata, 0, error);
}

int step_detach_disk(struct job *job, const char *disk) {
        struct attachment *attachment = attachment_find(job->vm, disk);
        struct idl_error ignored = IDL_ERROR_NULL;
        int r;

        if (!attachment)
                return 1;
        r = attachment_detach(attachment, on_one_detached, job, &ignored);
        idl_error_done(&ignored);
        if (r < 0)
                return 1;
        job->attachment = attachment;
        job->cancel = job_cancel_attachment;
        return 0;
}

/* Activating */

static int go_on_activating(struct job *job, bool activate, struct idl_error *error);

static void on_changed(struct job *job, bool activate, int r, struct idl_error *error) {
        if (r >= 0) {
                job->next_disk++;
                r = go_on_activating(job, activate, error);
                if (r == 0)
                        return;
        }
        job_done(job, r, error);
}

static void on_activated(void *userdata, int r, struct idl_error *error) {
        on_changed(userdata, true, r, error);
}

static void on_deactivated(void *userdata, int r, struct idl_error *error) {
        on_changed(userdata, false, r, error);
}

static int go_on_activating(struct job *job, bool activate, struct idl_error *error) {
        const struct xcp_vm_spec *spec = &job->vm->spec;

        for (; job->next_disk < spec->n_disks; job->next_disk++) {
                struct attachment *attachment = attachment_find(job->vm, spec->disks[job->next_disk].name);
                int r;

                if (!attachment || attachment->stale)
                        continue;
                r = activate ? attachment_activate(attachment, on_activated, job, error)
                             : attachment_deactivate(attachment, on_deactivated, job, error);
                if (r < 0)
                        return r;
                job->attachment = attachment;
                job->cancel = job_cancel_attachment;
                return 0;
        }
        return 1;
}

int step_activate_disks(struct job *job, struct idl_error *error) {
        job->next_disk = 0;
        return go_on_activating(job, true, error);
}

int step_deactivate_disks(struct job *job, struct idl_error *error) {
        job->next_disk = 0;
        return go_on_activating(job, false, error);
}

/* Configurations */

int steps_locate_disk(struct job *job, const struct xcp_disk_spec *spec, struct hypervisor_disk *ret_disk, struct idl_error *error) {
        const struct attachment *attachment = attachment_find(job->vm, spec->name);
        struct xcp_data_path *path;
        int r;

        *ret_disk = (struct hypervisor_disk) { .spec = spec };
        if (attachment && spec->vdi) {
                ret_disk->path = &attachment->path;
                return 0;
        }
        if (!spec->path)
                return 0;
        path = idl_arena_alloc(&job->arena, 1, sizeof *path);
        if (!path)
                return -ENOMEM;
        r = attachment_of_path(spec, path, error);
        ret_disk->path = path;
        return r;
}

int steps_make_config(struct job *job, struct hypervisor_config *ret_config, struct idl_error *error) {
        const struct xcp_vm_spec *spec = &job->vm->spec;
        struct hypervisor_disk *disks;
        int r;

        disks = idl_arena_alloc(&job->arena, spec->n_disks + 1, sizeof *disks);
        if (!disks)
                return -ENOMEM;
        for (size_t i = 0; i < spec->n_disks; i++) {
                r = steps_locate_disk(job, spec->disks + i, disks + i, error);
                if (r < 0)
                        return r;
        }
        *ret_config = (struct hypervisor_config) { .spec = spec, .disks = disks };
        return 0;
}

/* The guest */

static void on_destroyed(struct hypervisor_call *call, int r, struct idl_error *error) {
        struct job *job = call->userdata;

        job->vm->is_unclean = r < 0;
        job_done(job, r, error);
}

int step_destroy(struct job *job, struct idl_error *error) {
        struct hypervisor_call *call;

        int r;

        if (!job->vm->backend->backend)
                return 1;
        r = vm_find_guest(job->vm, error);
        if (r < 0)
                return r;
        call = job_call(job);
        call->done = on_destroyed;
        if (!job->undoing)
                job_limit(job, JOB_DESTROY_MS, NULL);
        return job_begun(job, hypervisor_of(job)->destroy(job->vm->guest, call, error));
}

int step_clean(struct job *job, struct idl_error *error) {
        return job->vm->is_unclean ? step_destroy(job, error) : 1;
}

/* One that was Saved, or is new here, is alive by this look only: if its guest has come to its end before, that was not told. */
static void take_look(struct vm *vm, const struct hypervisor_status *status) {
        bool is_untold = status->state == HYPERVISOR_ENDED && !lifecycle_is_alive(vm->state) && !job_will_follow(vm);

        if (is_untold)
                vm_set_state(vm, XCP_VM_STATE_RUNNING, XCP_VM_STATE_REASON_REQUESTED, "");
        vm_take_status(vm, status, XCP_VM_STATE_REASON_REQUESTED);
        if (is_untold)
                vm_on_event(vm, status->event, status->detail);
}

static void on_look(struct hypervisor_call *call, int r, struct idl_error *error) {
        struct job *job = call->userdata;
        struct vm *vm = job->vm;
        struct idl_error none = IDL_ERROR_NULL;
        bool is_old = vm->n_news != job->n_news;

        if (r >= 0 && is_old) {         /* that is what the guest was, and not what it has become since */
                r = job->n_looks++ < LOOKS_MAX ? step_look(job, error) : -EAGAIN;
                if (r == 0)
                        return;
        }
        if (r >= 0)
                take_look(vm, &call->status);
        else {
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", vm->uuid }), "Cannot learn what VM %s is after %s: %s", vm->spec.name,
                          job->operation->name, error->message ?: strerrordesc_np(-r) ?: "unknown error");
                if (!is_old)
                        vm_set_state(vm, lifecycle_after(vm->state, job->operation->lifecycle, job->flag), XCP_VM_STATE_REASON_REQUESTED, "");
        }
        job_done(job, 0, &none);
}

int step_look(struct job *job, struct idl_error *error) {
        struct hypervisor_call *call = job_call(job);

        call->done = on_look;
        job->n_news = job->vm->n_news;
        job_limit(job, XENOPSD_QUERY_MS, NULL);
        return job_begun(job, hypervisor_of(job)->query(job->vm->guest, call, error));
}

int step_resume(struct job *job, struct idl_error *error) {
        if (!hypervisor_of(job)->resume)
                return job_not_supported(job, "Resume", error);
        return job_begun(job, hypervisor_of(job)->resume(job->vm->guest, job_call(job), error));
}
