/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A job's steps: done in their order, and undone in the opposite one when it fails or is cancelled. */

#include <errno.h>
#include <string.h>
#include <time.h>

#include "job-private.h"

static void undo(struct job *job);

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
                        idl_error_set_timed_out(&job->error, job->limited ?: job->operation->name, job->limit_ms);
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
                job_go_on(job);
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

void job_limit(struct job *job, uint64_t ms, const char *what) {
        int r;

        job->too_late = false;
        job->limited = what;
        job->limit_ms = ms;
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

static void log_not_undone(const struct job *job, int r, const struct idl_error *error) {
        log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", job->vm->uuid }), "Cannot undo all of %s of VM %s: %s", job->operation->name,
                  job->vm->spec.name, error->message ?: strerrordesc_np(-r) ?: "unknown error");
}

/* Undoes the step that job->step is at, and those before it. */
static void undo(struct job *job) {
        for (;;) {
                struct idl_error error = IDL_ERROR_NULL;
                const struct step *step = job->operation->steps + job->step;
                int r = 1;

                job->cancel = NULL;
                if (step->undo) {
                        job_limit(job, JOB_UNDO_MS, NULL);
                        r = step->undo(job, &error);
                }
                if (r < 0)
                        log_not_undone(job, r, &error);
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
                        log_not_undone(job, r, error);
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
        job_go_on(job);
}

void job_go_on(struct job *job) {
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

/* Calls of the backend */

static void on_call(struct hypervisor_call *call, int r, struct idl_error *error) {
        job_done(call->userdata, r, error);
}

static void on_progress(struct hypervisor_call *call, double part) {
        struct job *job = call->userdata;

        if (job->work && !job->undoing)
                work_advance(job->work, ((double) job->step + part) / (double) n_steps(job));
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
