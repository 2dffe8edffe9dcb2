/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attachment.h"
#include "garbage.h"
#include "job-private.h"

static struct job *job_of(struct queue_entry *entry) {
        return (struct job *) entry;    /* its first member */
}

static struct job *job_free(struct job *job) {
        if (job->call.under_way && job->vm->guest)
                job->vm->backend->hypervisor->cancel(job->vm->guest, &job->call);
        sd_event_source_disable_unref(job->timer);
        sd_event_source_disable_unref(job->io);
        remote_task_free(job->remote);
        garbage_forget_wait(job->vm->xenopsd, job);
        admission_leave(job);
        sd_bus_slot_unref(job->slot);
        if (job->fd >= 0)
                close(job->fd);
        sd_bus_message_unref(job->result);
        idl_error_done(&job->error);
        idl_arena_done(&job->arena);
        free(job);
        return NULL;
}

/* The end */

static void finish_work(struct job *job) {
        struct work *work = job->work;

        job->work = NULL;
        if (!work)
                return;
        if (job->r >= 0)
                work_succeed(work, job->result);
        else if (job->r == -ECANCELED && !job->error.name)
                work_fail_cancelled(work);
        else
                work_fail(work, job->r, &job->error);
}

static void vm_gone(struct vm *vm) {
        struct xenopsd *xenopsd = vm->xenopsd;
        struct queue_entry *entry;
        struct vm **p = &xenopsd->first;

        while ((entry = queue_next(&vm->queue))) {
                struct job *job = job_of(entry);

                queue_done(&vm->queue);
                job->r = idl_error_set_does_not_exist(&job->error, "VM", vm->uuid);
                finish_work(job);
                job_free(job);
        }
        vm_unpublish(vm);
        attachments_orphan(vm);
        while (*p && *p != vm)
                p = &(*p)->next;
        if (*p) {
                *p = vm->next;
                xenopsd->n_vms--;
        }
        vm_free(vm);
}

void job_end(struct job *job) {
        struct vm *vm = job->vm;

        if (job->r < 0) {
                job->operation->n_failed++;
                if (!job->work)
                        log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", vm->uuid }), "%s of VM %s failed: %s", job->operation->name,
                                  vm->spec.name, job->error.message ?: strerrordesc_np(-job->r) ?: "unknown error");
        } else
                job->operation->n_done++;
        if (job->r < 0 && job->id == OPERATION_RECEIVE)
                vm->is_going = true;
        vm->job = NULL;
        if (job->owner[0])
                garbage_collect(vm->xenopsd);
        queue_done(&vm->queue);
        if (vm->is_going) {             /* who hears that it is done finds nothing of it any more */
                vm_unpublish(vm);
                if (vm->guest && vm->backend->hypervisor->forget)
                        vm->backend->hypervisor->forget(vm->guest);
        }
        finish_work(job);
        job_free(job);
        if (vm->is_going)
                vm_gone(vm);
        else
                job_next(vm);
}

/* Beginning */

static void begin(struct job *job) {
        struct idl_error error = IDL_ERROR_NULL;
        int r = 0;

        job->runs = true;
        job->before = job->vm->state;
        job->vm->job = job;
        if (job->work && !job->operation->is_admitted)
                work_run(job->work);
        if (!job->operation->needs_no_state)
                r = vm_check(job->vm, job->operation->lifecycle, &error);
        if (r < 0) {
                job->r = r;
                idl_error_move(&job->error, &error);
                job_end(job);
                return;
        }
        job_go_on(job);
}

void job_next(struct vm *vm) {
        struct queue_entry *entry;

        if (!vm->is_found)
                return;
        entry = queue_next(&vm->queue);
        if (entry)
                begin(job_of(entry));
}

static void cancel(struct job *job) {
        job->cancelled = true;
        if (!job->runs) {
                queue_remove(&job->vm->queue, &job->entry);
                job->r = -ECANCELED;
                job->operation->n_failed++;
                finish_work(job);
                job_free(job);
        } else if (!job->undoing && !job->committed && job->cancel)
                job->cancel(job);
}

static void on_cancel(void *userdata) {
        cancel(userdata);
}

static void on_interrupt(void *userdata) {
        struct job *job = userdata;

        job->work = NULL;
}

/* Kill does not wait: what is under way is undone, and its task says why. */
static bool make_way(struct vm *vm) {
        struct job *job = vm->job;

        if (!job || job->undoing || job->committed || (job->operation->urgency != QUEUE_NORMAL && !admission_waits(job)))
                return job && job->operation->urgency == QUEUE_NORMAL;
        if (job->r >= 0)
                job->r = idl_error_set_cancelled(&job->error, job->operation->name);
        cancel(job);
        return true;
}

static int copy_arguments(struct job *job, const struct job_arguments *arguments) {
        int r = 0;

        job->flag = arguments->flag;
        job->number = arguments->number;
        if (arguments->text && !(job->text = idl_arena_strdup(&job->arena, arguments->text)))
                return -ENOMEM;
        if (arguments->place && !(job->place = idl_arena_strdup(&job->arena, arguments->place)))
                return -ENOMEM;
        if (arguments->device) {
                job->is_disk = arguments->device->is_disk;
                snprintf(job->device, sizeof job->device, "%s", arguments->device->name);
        }
        if (arguments->disk) {
                job->is_disk = true;
                r = xcp_disk_spec_copy(&job->arena, &job->disk, arguments->disk);
        }
        if (r >= 0 && arguments->network)
                r = xcp_network_interface_spec_copy(&job->arena, &job->network, arguments->network);
        if (r >= 0 && arguments->migrate)
                r = xcp_migrate_options_copy(&job->arena, &job->migrate, arguments->migrate);
        return r;
}

static int begin_work(struct job *job, struct idl_call *call, struct idl_error *error) {
        const struct work_kind kind = {
                .description = idl_arena_printf(idl_call_arena(call), "%s VM %s", job->operation->name, job->vm->spec.name),
                .cancel = job->operation->not_cancellable ? NULL : on_cancel,
                .interrupt = on_interrupt,
        };

        return work_begin(service_tasks(job->vm->xenopsd->service), call, &kind, job, error, &job->work);
}

int job_add(struct vm *vm, enum operation_id id, const struct job_arguments *arguments, struct idl_call *call, const char **ret_task,
            struct idl_error *error) {
        struct operation *operation = operations + id;
        size_t limit = queue_limit(operation->urgency);
        struct job *job;
        int r;

        if (limit > 0 && vm->queue.n >= limit)
                return idl_error_set_limit_exceeded(error, "tasks that wait for this VM", vm->queue.n + 1, limit);
        job = calloc(1, sizeof *job);
        if (!job)
                return -ENOMEM;
        job->vm = vm;
        job->id = id;
        job->operation = operation;
        job->fd = -1;
        job->n_changes = vm->n_changes;
        r = arguments ? copy_arguments(job, arguments) : 0;
        if (r >= 0 && call)
                r = begin_work(job, call, error);
        if (r < 0) {
                job_free(job);
                return r;
        }
        if (ret_task)
                *ret_task = work_path(job->work);
        queue_add(&vm->queue, &job->entry, operation->urgency);
        if (operation->urgency == QUEUE_URGENT)
                job->made_way = make_way(vm);
        return 0;
}

int job_follow(struct vm *vm, enum lifecycle_follow what) {
        int r;

        r = job_add(vm, what == FOLLOW_RESTART ? OPERATION_RESTART : OPERATION_RELEASE, NULL, NULL, NULL, NULL);
        if (r >= 0)
                job_next(vm);
        return r;
}

bool job_will_follow(const struct vm *vm) {
        for (struct queue_entry *entry = vm->queue.first; entry; entry = entry->next)
                if (entry->urgency == QUEUE_OWN && job_of(entry)->n_changes == vm->n_changes)
                        return true;
        return false;
}

void job_drop_all(struct vm *vm) {
        struct queue_entry *entry;

        queue_done(&vm->queue);
        if (vm->job)
                job_free(vm->job);
        vm->job = NULL;
        while ((entry = queue_next(&vm->queue))) {
                queue_done(&vm->queue);
                job_free(job_of(entry));
        }
}
