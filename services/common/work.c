/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One task's work: it begins, goes on, ends, and is cancelled. */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "clock.h"
#include "idl-errors.h"
#include "log.h"
#include "task-object.h"
#include "tasks-private.h"

#define ID_TEXT_SIZE 24u

void work_log(int level, const struct task *task, const char *format, ...) {
        char id[ID_TEXT_SIZE], text[LOG_TEXT_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        snprintf(id, sizeof id, "%" PRIu64, task->id);
        log_event(level, LOG_FIELDS({ "XCP_TASK", id }, { "XCP_OPERATION", task->operation }, { "XCP_CALLER", task->caller }), "%s", text);
}

/* The object */

struct work *work_free(struct work *work) {
        sd_event_source_disable_unref(work->bound);
        free(work);
        return NULL;
}

int work_new(struct tasks *tasks, struct task *task, const struct work_kind *kind, struct work **ret_work) {
        struct work *work;
        int r;

        work = malloc(sizeof *work);
        if (!work)
                return -ENOMEM;
        *work = (struct work) { .tasks = tasks, .task = task, .kind = *kind };
        if (work->kind.cancel && work->kind.cancel_bound_usec == 0)
                work->kind.cancel_bound_usec = WORK_CANCEL_BOUND_USEC;
        r = objects_add_number(tasks->objects, task->id, work, &work->path);
        if (r < 0) {
                work_free(work);
                return r;
        }
        *ret_work = work;
        return 0;
}

void work_forget(struct work *work) {
        struct tasks *tasks = work->tasks;
        struct task *task = work->task;
        int r;

        assert(!work->active);

        r = task_store_remove(tasks->store, task->id);
        if (r < 0)
                task_store_set_error(tasks->store, r, NULL);
        objects_remove(tasks->objects, work->path);
        task_free(task_list_remove(&tasks->list, task->id));
        work_free(work);
}

const struct task *work_task(const struct work *work) {
        return work->task;
}

uint64_t work_cancel_bound_usec(const struct work *work) {
        return work->kind.cancel_bound_usec;
}

/* Beginning */

static int refuse_stopping(struct tasks *tasks, struct idl_error *error) {
        const char *name = NULL;

        sd_bus_get_unique_name(tasks->bus, &name);
        return idl_error_set_unreachable(error, "service", name ?: "", "it is stopping");
}

static int add_task(struct tasks *tasks, const struct task_origin *origin, bool cancellable, struct idl_error *error,
                    struct task **ret_task) {
        AUTO_TASK struct task *task = NULL;
        uint64_t id, now = clock_now_usec(CLOCK_REALTIME);
        int r;

        r = task_list_check(&tasks->list, origin->caller, error);
        if (r < 0)
                return r;
        r = task_store_add(tasks->store, tasks->bus_id, origin, now, &id);
        if (r < 0)
                return task_store_set_error(tasks->store, r, error);
        r = task_new(&task, id, origin, now);
        if (r >= 0) {
                task->cancellable = cancellable;
                r = task_list_add(&tasks->list, task);
        }
        if (r < 0) {
                task_store_remove(tasks->store, id);
                return idl_error_set_errno(error, r, origin->operation);
        }
        *ret_task = task;
        task = NULL;
        return 0;
}

static int begin(struct tasks *tasks, const struct task_origin *origin, const struct work_kind *kind, void *userdata,
                 struct idl_error *error, struct work **ret_work) {
        bool is_new = !task_list_has_caller(&tasks->list, origin->caller);
        struct task *task = NULL;
        struct work *work;
        int r;

        if (tasks->stopping)
                return refuse_stopping(tasks, error);
        r = add_task(tasks, origin, !!kind->cancel, error, &task);
        if (r < 0)
                return r;
        r = work_new(tasks, task, kind, &work);
        if (r < 0) {
                task_store_remove(tasks->store, task->id);
                task_free(task_list_remove(&tasks->list, task->id));
                return idl_error_set_errno(error, r, origin->operation);
        }
        work->userdata = userdata;
        work->active = true;
        tasks->n_active++;
        if (is_new)             /* a call that is answered late may be one whose caller has left already */
                callers_check(tasks->callers, origin->caller);
        *ret_work = work;
        return 0;
}

static const char *caller_of(struct tasks *tasks, sd_bus_message *message) {
        const char *caller = tasks->caller ? tasks->caller(message, tasks->caller_userdata) : NULL;

        return caller ?: sd_bus_message_get_sender(message) ?: "";
}

int work_begin(struct tasks *tasks, struct idl_call *call, const struct work_kind *kind, void *userdata, struct idl_error *error,
               struct work **ret_work) {
        sd_bus_message *message = idl_call_message(call);
        const char *interface = sd_bus_message_get_interface(message), *member = sd_bus_message_get_member(message);
        AUTO_FREE char *operation = NULL;
        struct task_origin origin;
        int r;

        if (asprintf(&operation, "%s%s%s", interface ?: "", interface ? "." : "", member) < 0) {
                operation = NULL;
                return idl_error_set_errno(error, -ENOMEM, member);
        }
        origin = (struct task_origin) {
                .operation = operation,
                .object = sd_bus_message_get_path(message),
                .description = kind->description ?: member,
                .caller = caller_of(tasks, message),
        };
        r = begin(tasks, &origin, kind, userdata, error, ret_work);
        if (r < 0) {
                tasks->figures.n_refused++;
                log_event(LOG_INFO, LOG_FIELDS({ "XCP_CALLER", origin.caller }, { "XCP_OPERATION", operation }), "A task was refused: %s",
                          error && error->message ? error->message : strerrordesc_np(-r));
                return r;
        }
        tasks->figures.n_begun++;
        work_log(LOG_DEBUG, (*ret_work)->task, "Began: %s", origin.description);
        return 0;
}

const char *work_path(const struct work *work) {
        return work->path;
}

/* Going on */

int work_run(struct work *work) {
        int r;

        r = task_run(work->task);
        if (r < 0)
                return r;
        task_object_changed(work->tasks->bus, work->path, TASK_CHANGED_STATE);
        return 0;
}

void work_advance(struct work *work, double progress) {
        if (task_advance(work->task, progress, clock_now_usec(CLOCK_REALTIME)) > 0)
                task_object_changed(work->tasks->bus, work->path, TASK_CHANGED_PROGRESS);
}

int work_commit(struct work *work) {
        bool was_cancellable = work->task->cancellable;
        int r;

        r = task_commit(work->task);
        if (r >= 0 && was_cancellable)
                task_object_changed(work->tasks->bus, work->path, TASK_CHANGED_CANCELLABLE);
        return r;
}

/* Ending */

/* The task has ended: disk, bus, log; and if nobody is there to look at it, it goes. */
static void ended(struct work *work) {
        struct tasks *tasks = work->tasks;
        const struct task *task = work->task;
        int r;

        work->active = false;
        tasks->n_active--;
        work->bound = sd_event_source_disable_unref(work->bound);
        tasks->figures.n_ended[task->state]++;

        if (!work->abandoned) {
                r = task_store_update(tasks->store, tasks->bus, task);
                if (r < 0)              /* after a restart it will be interrupted, which is not so, but not forgotten */
                        task_store_set_error(tasks->store, r, NULL);
        }
        task_object_ended(tasks->bus, work->path, task);
        work_log(task->state == TASK_FAILED ? LOG_WARNING : LOG_DEBUG, task, "%s: %s%s%s", task->description, task_state_name(task->state),
                 task->error.message ? ": " : "", task->error.message ?: "");
        if (work->abandoned)
                work_forget(work);
        tasks_tell_idle(tasks);
}

int work_result_new(const struct work *work, sd_bus_message **ret_result) {
        return sd_bus_message_new(work->tasks->bus, ret_result, SD_BUS_MESSAGE_METHOD_CALL);
}

void work_succeed(struct work *work, sd_bus_message *result) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        int r = 0;

        if (result) {
                r = sd_bus_message_seal(result, 1, 0);
                if (r >= 0 && !sd_bus_message_has_signature(result, "a{sv}"))
                        r = -EBADMSG;
        }
        if (r < 0) {
                work_fail(work, r, &error);
                return;
        }
        task_succeed(work->task, result, clock_now_usec(CLOCK_REALTIME));
        ended(work);
}

void work_fail(struct work *work, int r, struct idl_error *error) {
        AUTO(idl_error_done) struct idl_error own = IDL_ERROR_NULL;

        if (error && error->name)
                idl_error_move(&own, error);
        else
                idl_error_set_errno(&own, r, work->task->operation);
        task_fail(work->task, &own, clock_now_usec(CLOCK_REALTIME));
        ended(work);
}

void work_fail_cancelled(struct work *work) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;

        work_fail(work, idl_error_set_cancelled(&error, work->task->description), &error);
}

/* Cancel and Destroy */

static int on_bound(sd_event_source *source, uint64_t usec, void *userdata) {
        struct work *work = userdata;

        work->tasks->figures.n_late++;
        work_log(LOG_ERR, work->task, "%s was cancelled and has not ended within %" PRIu64 " s: please report it", work->task->description,
                 work->kind.cancel_bound_usec / UINT64_C(1000000));
        return 0;
}

static void watch_bound(struct work *work) {
        int r;

        r = sd_event_add_time_relative(work->tasks->event, &work->bound, CLOCK_MONOTONIC, work->kind.cancel_bound_usec, 0, on_bound, work);
        if (r < 0)
                work_log(LOG_WARNING, work->task, "Nobody will notice if %s is cancelled late: %s", work->task->description,
                         strerrordesc_np(-r));
}

int work_cancel(struct work *work, struct idl_error *error) {
        int r;

        r = task_cancel(work->task, error);
        if (r != 0)
                return r < 0 ? r : 0;
        work_log(LOG_INFO, work->task, "%s is being cancelled", work->task->description);
        task_object_changed(work->tasks->bus, work->path, TASK_CHANGED_STATE | TASK_CHANGED_CANCELLABLE);
        watch_bound(work);
        work->kind.cancel(work->userdata);      /* may be the end of work */
        return 0;
}

int work_destroy(struct work *work, struct idl_error *error) {
        char id[ID_TEXT_SIZE];

        if (!work->active) {
                work_forget(work);
                return 0;
        }
        snprintf(id, sizeof id, "%" PRIu64, work->task->id);
        return idl_error_set_busy(error, "task", id, work->task->operation);
}
