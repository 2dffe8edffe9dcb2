/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "task.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "idl-errors.h"

static const char *const state_names[_TASK_STATE_N] = {
        [TASK_WAITING] = "Waiting",     [TASK_RUNNING] = "Running", [TASK_CANCELLING] = "Cancelling",
        [TASK_SUCCEEDED] = "Succeeded", [TASK_FAILED] = "Failed",   [TASK_CANCELLED] = "Cancelled",
};

const char *task_state_name(enum task_state state) {
        return state_names[state];
}

int task_state_from_name(const char *name, enum task_state *ret_state) {
        for (int i = 0; i < _TASK_STATE_N; i++)
                if (strcmp(state_names[i], name) == 0) {
                        *ret_state = (enum task_state) i;
                        return 0;
                }
        return -EINVAL;
}

int task_new(struct task **ret_task, uint64_t id, const struct task_origin *origin, uint64_t now_usec) {
        AUTO_TASK struct task *task = NULL;

        task = calloc(1, sizeof *task);
        if (!task)
                return -ENOMEM;
        task->id = id;
        task->begun_usec = now_usec;
        task->operation = strdup(origin->operation);
        task->object = strdup(origin->object);
        task->description = strdup(origin->description);
        task->caller = strdup(origin->caller);
        if (!task->operation || !task->object || !task->description || !task->caller)
                return -ENOMEM;
        *ret_task = task;
        task = NULL;
        return 0;
}

struct task *task_free(struct task *task) {
        if (!task)
                return NULL;
        idl_error_done(&task->error);
        sd_bus_message_unref(task->result);
        free(task->operation);
        free(task->object);
        free(task->description);
        free(task->caller);
        free(task);
        return NULL;
}

bool task_ended(const struct task *task) {
        return task->state >= TASK_SUCCEEDED;
}

int task_run(struct task *task) {
        if (task->state == TASK_CANCELLING)
                return -ECANCELED;
        if (task->state != TASK_WAITING)
                return -EALREADY;
        task->state = TASK_RUNNING;
        return 0;
}

int task_advance(struct task *task, double progress, uint64_t now_usec) {
        if (task_ended(task))
                return -EALREADY;
        if (!(progress > task->progress))       /* not a number is not more either */
                return 0;
        task->progress = progress < 1 ? progress : 1;
        if (task->progress - task->told < TASK_PROGRESS_STEP || now_usec - task->told_usec < TASK_PROGRESS_INTERVAL_USEC)
                return 0;
        task->told = task->progress;
        task->told_usec = now_usec;
        return 1;
}

static int already_ended(const struct task *task, struct idl_error *error) {
        char id[32];

        snprintf(id, sizeof id, "%" PRIu64, task->id);
        return idl_error_set_bad_state(error, "task", id, "Waiting, Running", task_state_name(task->state));
}

int task_cancel(struct task *task, struct idl_error *error) {
        if (task->state == TASK_CANCELLING || task->state == TASK_CANCELLED)
                return 1;
        if (task_ended(task))
                return already_ended(task, error);
        if (!task->cancellable)
                return idl_error_set_not_cancellable(error, task->description);
        task->state = TASK_CANCELLING;
        task->cancellable = false;
        return 0;
}

int task_commit(struct task *task) {
        if (task_ended(task))
                return -EALREADY;
        if (task->state == TASK_CANCELLING)
                return -ECANCELED;
        task->cancellable = false;
        return 0;
}

static int end(struct task *task, enum task_state state, uint64_t now_usec) {
        if (task_ended(task))
                return -EALREADY;
        task->state = state;
        task->ended_usec = now_usec;
        task->cancellable = false;
        return 0;
}

int task_succeed(struct task *task, sd_bus_message *result, uint64_t now_usec) {
        int r;

        r = end(task, TASK_SUCCEEDED, now_usec);
        if (r < 0)
                return r;
        task->progress = task->told = 1;
        task->result = sd_bus_message_ref(result);
        return 0;
}

int task_fail(struct task *task, struct idl_error *error, uint64_t now_usec) {
        bool cancelled;
        int r;

        assert(error->name);

        /* Without a request to cancel, work that says Cancelled has failed: nobody asked. */
        cancelled = task->state == TASK_CANCELLING && strcmp(error->name, IDL_ERROR_CANCELLED) == 0;
        r = end(task, cancelled ? TASK_CANCELLED : TASK_FAILED, now_usec);
        if (r < 0)
                return r;
        idl_error_move(&task->error, error);
        return 0;
}
