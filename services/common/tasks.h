/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tasks on the bus: work for which a method returned an object of org.xen.xcp.Task1 instead of making its caller wait.
 *
 *         static int on_copy(void *object, struct idl_call *call, const char *to, struct idl_error *error) {
 *                 r = work_begin(service_tasks(service), call, &(struct work_kind) { .cancel = cancel_copy }, copy, error, &copy->work);
 *                 if (r < 0)
 *                         return r;
 *                 ...start it...
 *                 return example1_reply_copy(call, work_path(copy->work));
 *         }
 *
 * and later, from the event loop, work_advance() any number of times and work_succeed() or work_fail() once. From begin to end the work is
 * the service's; then it is gone, and the task remains for its caller to look at.
 *
 * A task is kept until somebody calls Destroy() on it or its caller leaves the bus. If that is while the work goes on, the work goes
 * on (half a copy helps nobody), and the task goes at its end. Tasks survive the service: after a restart, those that had not ended have
 * failed with the error Interrupted.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "call.h"
#include "error.h"
#include "task.h"

/* xenopsd's promise (doc/content/xenopsd/design/Tasks.md), and ours where a kind has no other. */
#define WORK_CANCEL_BOUND_USEC (30 * UINT64_C(1000000))

struct tasks;
struct work;

struct work_kind {
        const char *description;        /* for a person: Start VM web1; NULL: the method's name */

        /*
         * Asks the work to end, which it does by work_fail() with the error Cancelled, now or within the bound, and with everything
         * as it was before. NULL: it cannot be cancelled.
         */
        void (*cancel)(void *userdata);
        uint64_t cancel_bound_usec;     /* 0: WORK_CANCEL_BOUND_USEC */

        /*
         * The service ends, and could not wait for the work: lets go of what it has. The task has ended, as interrupted, and the struct
         * work is gone.
         */
        void (*interrupt)(void *userdata);
};

/* Begins a task for the caller of a method. Errors: LimitExceeded, Unreachable when the service is stopping, those of a database. */
int work_begin(struct tasks *tasks, struct idl_call *call, const struct work_kind *kind, void *userdata, struct idl_error *error,
               struct work **ret_work);

/* The path of the task's object. */
const char *work_path(const struct work *work);

/* A task is Waiting until its work runs; for work that does not wait its turn, call it at once. */
int work_run(struct work *work);

/* How far it is, from 0 to 1. Clients are told at most 4 times a second, so call it as often as you like. */
void work_advance(struct work *work, double progress);

/* From here on it cannot be cancelled. -ECANCELED if that is asked for already: then fail with Cancelled instead of going on. */
int work_commit(struct work *work);

/* An empty message to append the result to. */
int work_result_new(const struct work *work, sd_bus_message **ret_result);

/* The end. result: holds the a{sv} of the method's result record and nothing else; NULL if it has none. */
void work_succeed(struct work *work, sd_bus_message *result);

/* The other end: r, a negative errno, and error, which is moved if it is set. */
void work_fail(struct work *work, int r, struct idl_error *error);

/* What .cancel comes down to in most services. */
void work_fail_cancelled(struct work *work);

/* For service.c. */
int tasks_new(struct tasks **ret_tasks, sd_bus *bus, sd_event *event, const char *prefix, const char *state_dir, const char *instance);
struct tasks *tasks_free(struct tasks *tasks);

/* Loads the tasks of earlier instances, and keeps those whose callers are still there. */
int tasks_load(struct tasks *tasks);

/* Takes no more work, and cancels what can be cancelled. idle is called when no work is left, at once if none is now. */
void tasks_stop(struct tasks *tasks, void (*idle)(void *userdata), void *userdata);

/* Calls idle once, when no work is left: at once if none is now. Work can still begin. */
void tasks_when_idle(struct tasks *tasks, void (*idle)(void *userdata), void *userdata);

/* A task whose work goes on, or NULL. */
const struct task *tasks_active(struct tasks *tasks);

/* For handover.c. Whose a call is that somebody has passed on; NULL: his who sent it. */
typedef const char *(*tasks_caller_t)(sd_bus_message *message, void *userdata);
void tasks_set_caller(struct tasks *tasks, tasks_caller_t caller, void *userdata);

/* For handover.c. Tasks of another bus become this one's (before tasks_load()), all tasks as a file, for database_copy_free(), and that file on the disk. */
int tasks_take_over(struct tasks *tasks, const char *from_bus_id);
const char *tasks_bus_id(const struct tasks *tasks);
int tasks_copy(struct tasks *tasks, size_t max, uint8_t **ret_data, size_t *ret_size);
int tasks_sync(struct tasks *tasks);

/* Ends all tasks as interrupted: the service ends now. */
void tasks_interrupt(struct tasks *tasks);

struct tasks_figures {
        uint64_t n_now[_TASK_STATE_N];          /* tasks there are, by state */
        uint64_t n_begun, n_refused;            /* since the start */
        uint64_t n_ended[_TASK_STATE_N];
        uint64_t n_late;                        /* did not end within their bound after they were cancelled */
};

/* A line for each, for a bug report. */
void tasks_dump(const struct tasks *tasks, FILE *f);

void tasks_figures(const struct tasks *tasks, struct tasks_figures *ret_figures);

static inline void tasks_freep(struct tasks **tasks) {
        tasks_free(*tasks);
}
