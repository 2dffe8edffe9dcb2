/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tasks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "idl-errors.h"
#include "log.h"
#include "task-object.h"
#include "tasks-private.h"

/* Callers */

static struct work *find_work(struct tasks *tasks, const struct task *task) {
        char path[128];
        void *work;

        snprintf(path, sizeof path, "%s/%" PRIu64, objects_prefix(tasks->objects), task->id);
        return objects_find(path, tasks->objects, &work) > 0 ? work : NULL;
}

static void on_gone(const char *caller, void *userdata) {
        struct tasks *tasks = userdata;

        for (size_t i = tasks->list.n_tasks; i-- > 0;) {        /* backwards, because they may go */
                struct work *work;

                if (strcmp(tasks->list.tasks[i]->caller, caller) != 0)
                        continue;
                work = find_work(tasks, tasks->list.tasks[i]);
                if (!work)
                        continue;
                if (!work->active) {
                        work_forget(work);
                        continue;
                }
                work->abandoned = true;
                work_log(LOG_INFO, work->task, "%s goes on although its caller has left the bus", work->task->description);
        }
}

/* All of them */

static int get_bus_id(sd_bus *bus, char *ret_text) {
        sd_id128_t id;
        int r;

        r = sd_bus_get_bus_id(bus, &id);
        if (r < 0)
                return r;
        sd_id128_to_string(id, ret_text);
        return 0;
}

int tasks_new(struct tasks **ret_tasks, sd_bus *bus, sd_event *event, const char *prefix, const char *state_dir, const char *instance) {
        AUTO(tasks_freep) struct tasks *tasks = NULL;
        int r;

        tasks = calloc(1, sizeof *tasks);
        if (!tasks)
                return -ENOMEM;
        tasks->bus = sd_bus_ref(bus);
        tasks->event = sd_event_ref(event);
        tasks->instance = strdup(instance);
        if (!tasks->instance)
                return -ENOMEM;
        r = get_bus_id(bus, tasks->bus_id);
        if (r < 0)
                return r;
        r = task_store_open(&tasks->store, state_dir, instance);
        if (r < 0)
                return r;
        r = objects_new(&tasks->objects, bus, prefix);
        if (r < 0)
                return r;
        r = task_object_export(bus, &tasks->export, prefix, tasks->objects);
        if (r < 0)
                return r;
        r = callers_new(&tasks->callers, bus, on_gone, tasks);
        if (r < 0)
                return r;
        *ret_tasks = tasks;
        tasks = NULL;
        return 0;
}

struct tasks *tasks_free(struct tasks *tasks) {
        if (!tasks)
                return NULL;
        callers_free(tasks->callers);
        sd_bus_slot_unref(tasks->export);
        for (size_t i = 0; i < tasks->list.n_tasks; i++) {
                struct work *work = find_work(tasks, tasks->list.tasks[i]);

                if (work)
                        work_free(work);
        }
        objects_free(tasks->objects);
        task_list_done(&tasks->list);
        task_store_close(tasks->store);
        sd_event_unref(tasks->event);
        sd_bus_unref(tasks->bus);
        free(tasks->instance);
        free(tasks);
        return NULL;
}

int tasks_load(struct tasks *tasks) {
        struct work *work;
        int r;

        r = task_store_load(tasks->store, tasks->bus, tasks->bus_id, clock_now_usec(CLOCK_REALTIME), &tasks->list);
        if (r < 0)
                return task_store_set_error(tasks->store, r, NULL);
        for (size_t i = 0; i < tasks->list.n_tasks; i++) {
                const struct task *task = tasks->list.tasks[i];

                r = work_new(tasks, tasks->list.tasks[i], &(struct work_kind) {}, &work);
                if (r < 0)
                        return r;
                if (i == 0 || strcmp(task->caller, tasks->list.tasks[i - 1]->caller) != 0) {
                        r = callers_check(tasks->callers, task->caller);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

void tasks_tell_idle(struct tasks *tasks) {
        void (*idle)(void *userdata) = tasks->idle;

        if (tasks->n_active > 0 || !idle)
                return;
        tasks->idle = NULL;
        idle(tasks->idle_userdata);
}

void tasks_stop(struct tasks *tasks, void (*idle)(void *userdata), void *userdata) {
        tasks->stopping = true;
        tasks->idle = idle;
        tasks->idle_userdata = userdata;
        for (size_t i = tasks->list.n_tasks; i-- > 0;) {
                struct work *work = find_work(tasks, tasks->list.tasks[i]);

                if (work && work->active)
                        work_cancel(work, NULL);
        }
        tasks_tell_idle(tasks);
}

void tasks_when_idle(struct tasks *tasks, void (*idle)(void *userdata), void *userdata) {
        tasks->idle = idle;
        tasks->idle_userdata = userdata;
        tasks_tell_idle(tasks);
}

const struct task *tasks_active(struct tasks *tasks) {
        for (size_t i = 0; tasks->n_active > 0 && i < tasks->list.n_tasks; i++)
                if (!task_ended(tasks->list.tasks[i]))
                        return tasks->list.tasks[i];
        return NULL;
}

void tasks_set_caller(struct tasks *tasks, tasks_caller_t caller, void *userdata) {
        tasks->caller = caller;
        tasks->caller_userdata = userdata;
}

int tasks_take_over(struct tasks *tasks, const char *from_bus_id) {
        return strcmp(from_bus_id, tasks->bus_id) == 0 ? 0 : task_store_take_over(tasks->store, from_bus_id, tasks->bus_id);
}

const char *tasks_bus_id(const struct tasks *tasks) {
        return tasks->bus_id;
}

int tasks_copy(struct tasks *tasks, size_t max, uint8_t **ret_data, size_t *ret_size) {
        return task_store_copy(tasks->store, max, ret_data, ret_size);
}

int tasks_sync(struct tasks *tasks) {
        return task_store_sync(tasks->store);
}

static void interrupt(struct work *work) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        void (*let_go)(void *userdata) = work->kind.interrupt;
        void *userdata = work->userdata;

        work_fail(work, idl_error_set_interrupted(&error, work->task->description, work->tasks->instance), &error);
        if (let_go)
                let_go(userdata);
}

void tasks_interrupt(struct tasks *tasks) {
        tasks->idle = NULL;
        for (size_t i = tasks->list.n_tasks; i-- > 0;) {
                struct work *work = find_work(tasks, tasks->list.tasks[i]);

                if (work && work->active)
                        interrupt(work);
        }
}

void tasks_figures(const struct tasks *tasks, struct tasks_figures *ret_figures) {
        *ret_figures = tasks->figures;
        for (enum task_state state = 0; state < _TASK_STATE_N; state++)
                ret_figures->n_now[state] = task_list_count(&tasks->list, state);
}

void tasks_dump(const struct tasks *tasks, FILE *f) {
        for (size_t i = 0; i < tasks->list.n_tasks; i++) {
                const struct task *task = tasks->list.tasks[i];

                fprintf(f, "%" PRIu64 " %s %.0f%% %s '%s' %s", task->id, task_state_name(task->state), 100 * task->progress,
                        task->operation, task->description, task->caller);
                if (task->error.name)
                        fprintf(f, " %s: %s", task->error.name, task->error.message ?: "");
                fputc('\n', f);
        }
}
