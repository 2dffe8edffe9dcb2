/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attachment.h"
#include "garbage.h"

static void go_on(struct job *job);
static void undo(struct job *job);

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
        struct idl_error error = IDL_ERROR_NULL;
        struct queue_entry *entry;
        struct vm **p = &xenopsd->first;

        while ((entry = queue_next(&vm->queue))) {
                struct job *job = job_of(entry);

                queue_done(&vm->queue);
                job->r = idl_error_set_does_not_exist(&job->error, "VM", vm->uuid);
                finish_work(job);
                job_free(job);
        }
        idl_error_done(&error);
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

static void job_end(struct job *job) {
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

/* After a failure, the backend says what the VM is. */
static void on_settled(struct vm *vm, int r, const struct hypervisor_call *call, void *userdata, struct idl_error *error) {
        if (r >= 0)
                vm_take_status(vm, &call->status, XCP_VM_STATE_REASON_REQUESTED);
        else
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", vm->uuid }), "Cannot learn what VM %s is: %s", vm->spec.name,
                          error->message ?: "unknown error");
        job_end(userdata);
}

static void settle(struct job *job) {
        struct idl_error error = IDL_ERROR_NULL;

        if (!job->touched || vm_ask(job->vm, vm_ask_query, on_settled, NULL, job, &error) < 0)
                job_end(job);
        idl_error_done(&error);
}

/* Steps */

static size_t n_steps(const struct job *job) {
        size_t n = 0;

        while (job->operation->steps[n].run)
                n++;
        return n;
}

static void fail(struct job *job, int r, struct idl_error *error) {
        if (job->r >= 0) {
                job->r = r;
                if (error->name)
                        idl_error_move(&job->error, error);
                else if (r == -ECANCELED && job->too_late)
                        idl_error_set_timed_out(&job->error, job->operation->name, JOB_DESTROY_MS);
                else if (r == -ECANCELED && !job->cancelled)
                        idl_error_set_backend_failed(&job->error, job->vm->backend->hypervisor->name, job->operation->name,
                                                     "it was interrupted");
                else if (r != -ECANCELED)
                        idl_error_set_errno(&job->error, r, job->operation->name);
        }
        idl_error_done(error);
        if (job->committed && job->operation->steps[job->step].keeps) {
                job->kept = true;
                job->step++;
                go_on(job);
                return;
        }
        if (job->committed) {
                settle(job);
                return;
        }
        job->undoing = true;
        undo(job);
}

static int on_limit(sd_event_source *timer, uint64_t usec, void *userdata) {
        struct job *job = userdata;

        job->too_late = true;
        if (job->cancel)
                job->cancel(job);
        return 0;
}

void job_limit(struct job *job, uint64_t ms) {
        int r;

        job->too_late = false;
        if (job->timer)
                r = sd_event_source_set_time_relative(job->timer, ms * 1000);
        else
                r = sd_event_add_time_relative(job->vm->xenopsd->event, &job->timer, CLOCK_MONOTONIC, ms * 1000, 0, on_limit, job);
        if (r >= 0)
                r = sd_event_source_set_enabled(job->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_event(LOG_WARNING, NULL, "Nobody will notice if %s takes too long: %s", job->operation->name,
                          strerrordesc_np(-r) ?: "unknown error");
}

static void unlimit(struct job *job) {
        if (job->timer)
                sd_event_source_set_enabled(job->timer, SD_EVENT_OFF);
}

/* Undoes the step that job->step is at, and those before it. */
static void undo(struct job *job) {
        for (;;) {
                struct idl_error error = IDL_ERROR_NULL;
                const struct step *step = job->operation->steps + job->step;
                int r = 1;

                job->cancel = NULL;
                if (step->undo) {
                        job_limit(job, JOB_UNDO_MS);
                        r = step->undo(job, &error);
                }
                if (r < 0)
                        log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", job->vm->uuid }), "Cannot undo all of %s of VM %s: %s",
                                  job->operation->name, job->vm->spec.name, error.message ?: strerrordesc_np(-r) ?: "unknown error");
                idl_error_done(&error);
                if (r == 0)
                        return;
                if (job->step == 0)
                        break;
                job->step--;
        }
        settle(job);
}

/* There is no way back any more, whatever was asked for meanwhile. */
static void commit(struct job *job) {
        job->committed = true;
        if (job->work)
                work_commit(job->work);
}

int job_commit(struct job *job) {
        if (job->work && work_commit(job->work) < 0) {
                job->cancelled = true;
                return -ECANCELED;
        }
        job->committed = true;
        return 1;
}

/* Somebody asks for the end before the next step: what was done is undone. */
static void stop_before_step(struct job *job) {
        struct idl_error error = IDL_ERROR_NULL;

        if (job->step > 0) {
                job->step--;
                fail(job, -ECANCELED, &error);
                return;
        }
        if (job->r >= 0)
                job->r = -ECANCELED;
        settle(job);
}

void job_done(struct job *job, int r, struct idl_error *error) {
        job->cancel = NULL;
        unlimit(job);
        if (job->undoing) {
                if (r < 0)
                        log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", job->vm->uuid }), "Cannot undo all of %s of VM %s: %s",
                                  job->operation->name, job->vm->spec.name, error->message ?: strerrordesc_np(-r) ?: "unknown error");
                idl_error_done(error);
                if (job->step == 0)
                        settle(job);
                else {
                        job->step--;
                        undo(job);
                }
                return;
        }
        if (r < 0) {
                fail(job, r, error);
                return;
        }
        if (job->operation->steps[job->step].final)
                commit(job);
        job->step++;
        go_on(job);
}

/* Does steps until one is under way. */
static void go_on(struct job *job) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        for (; job->operation->steps[job->step].run; job->step++) {
                const struct step *step = job->operation->steps + job->step;

                if (job->work && job->step > 0)
                        work_advance(job->work, (double) job->step / (double) n_steps(job));
                if (step->commits && !job->committed) {
                        job->committed = !job->work || work_commit(job->work) >= 0;
                        if (!job->committed)
                                job->cancelled = true;
                }
                if (job->cancelled && !job->committed) {
                        stop_before_step(job);
                        return;
                }
                job->cancel = NULL;
                r = step->run(job, &error);
                if (r == 0)
                        return;
                if (r < 0) {
                        fail(job, r, &error);
                        return;
                }
                if (step->final)
                        commit(job);
        }
        if (job->r < 0 && !job->kept) { /* it was to make way, and had come to its end before */
                job->r = 0;
                idl_error_done(&job->error);
        }
        job_end(job);
}

void job_progress(struct job *job, double part) {
        if (job->work && !job->undoing)
                work_advance(job->work, ((double) job->step + part) / (double) n_steps(job));
}

static void on_call(struct hypervisor_call *call, int r, struct idl_error *error) {
        job_done(call->userdata, r, error);
}

static void on_progress(struct hypervisor_call *call, double part) {
        job_progress(call->userdata, part);
}

static void on_launched(struct hypervisor_call *call) {
        admission_leave(call->userdata);
}

static void cancel_call(struct job *job) {
        job->vm->backend->hypervisor->cancel(job->vm->guest, &job->call);
}

struct hypervisor_call *job_call(struct job *job) {
        job->call = (struct hypervisor_call) { .done = on_call, .progress = on_progress, .launched = on_launched, .userdata = job };
        job->touched = true;
        return &job->call;
}

int job_skip(struct job *job) {
        job->step = n_steps(job) - 1;
        return 1;
}

int job_begun(struct job *job, int r) {
        if (r >= 0)
                job->cancel = cancel_call;
        return r;
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
        go_on(job);
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
