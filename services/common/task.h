/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tasks: work that takes longer than a call may, and what is known of it.
 *
 *         Waiting ──► Running ──┬───────────────► Succeeded       with a result
 *            │           │      ├───────────────► Failed          with an error
 *            │           │      │
 *            └───────────┴─► Cancelling ────────► Cancelled       because somebody asked, and it was still possible
 *
 * An end is an end: whatever comes later is refused with -EALREADY. To cancel is to ask. The work answers by ending: as cancelled if
 * it fails with the error Cancelled, and otherwise as what it had become when the request reached it. Work that cannot be undone any
 * more says so with task_commit(), and from then on nobody can cancel it.
 *
 * This is the state of one task and knows no bus, no clock and no work: see tasks.h for what a service uses.
 */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#include "error.h"

/* How often progress is told: PropertiesChanged goes to everybody who listens, and more than this nobody can see. */
#define TASK_PROGRESS_STEP 0.01
#define TASK_PROGRESS_INTERVAL_USEC UINT64_C(250000)    /* org.xen.xcp.Task1.xml, Progress */

/* types.xml, TaskState, has the same. */
enum task_state {
        TASK_WAITING,
        TASK_RUNNING,
        TASK_CANCELLING,
        TASK_SUCCEEDED,                 /* from here on it has ended */
        TASK_FAILED,
        TASK_CANCELLED,
        _TASK_STATE_N,
};

struct task {
        uint64_t id;                    /* never used again by this service, not even after a restart */
        char *operation;                /* the method that began it: org.xen.xcp.xenopsd1.VM.Start */
        char *object;                   /* the path of the object whose method that was */
        char *description;              /* the same for a person: Start VM web1 */
        char *caller;                   /* who called it: a unique name of the bus */

        enum task_state state;
        double progress;                /* 0 to 1 */
        double told;                    /* the progress that was last told, and when */
        uint64_t told_usec;
        bool cancellable;               /* there is a way to cancel it, and it is not too late */

        uint64_t begun_usec;            /* since 1970 */
        uint64_t ended_usec;            /* 0 while it has not */

        struct idl_error error;         /* of a task that failed or was cancelled */
        sd_bus_message *result;         /* of a task that succeeded: holds a{sv} and nothing else, sealed; or NULL */
};

const char *task_state_name(enum task_state state);
int task_state_from_name(const char *name, enum task_state *ret_state);

/* What a task is from its beginning. */
struct task_origin {
        const char *operation, *object, *description, *caller;
};

int task_new(struct task **ret_task, uint64_t id, const struct task_origin *origin, uint64_t now_usec);
struct task *task_free(struct task *task);

bool task_ended(const struct task *task);

/* The work begins. -ECANCELED: somebody asked that it should not. */
int task_run(struct task *task);

/* How far it is. Goes forward only, and not beyond 1. Returns 1 if that is worth telling. */
int task_advance(struct task *task, double progress, uint64_t now_usec);

/* Asks it to end. Returns 0, or 1 if that was asked already. Errors: NotCancellable, and BadState after another end. */
int task_cancel(struct task *task, struct idl_error *error);

/* From here on it cannot be cancelled. -ECANCELED: somebody asked just before, and the work should end. */
int task_commit(struct task *task);

/* The end. The result is referenced, and may be NULL; the error is moved. */
int task_succeed(struct task *task, sd_bus_message *result, uint64_t now_usec);
int task_fail(struct task *task, struct idl_error *error, uint64_t now_usec);

static inline void task_freep(struct task **task) {
        task_free(*task);
}

#define AUTO_TASK __attribute__((cleanup(task_freep)))
