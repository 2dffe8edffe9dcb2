/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "task-list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "idl-errors.h"

void task_list_done(struct task_list *list) {
        for (size_t i = 0; i < list->n_tasks; i++)
                task_free(list->tasks[i]);
        free(list->tasks);
        *list = (struct task_list) TASK_LIST_NULL;
}

int task_list_check(const struct task_list *list, const char *caller, struct idl_error *error) {
        size_t n = 0;

        if (list->n_tasks >= TASKS_MAX)
                return idl_error_set_limit_exceeded(error, "tasks of this service", list->n_tasks + 1, TASKS_MAX);
        for (size_t i = 0; i < list->n_tasks; i++)
                n += strcmp(list->tasks[i]->caller, caller) == 0;
        if (n >= TASKS_PER_CALLER_MAX)
                return idl_error_set_limit_exceeded(error, "tasks of this caller", n + 1, TASKS_PER_CALLER_MAX);
        return 0;
}

int task_list_add(struct task_list *list, struct task *task) {
        if (list->n_tasks > 0 && list->tasks[list->n_tasks - 1]->id >= task->id)
                return -EINVAL;
        if (list->n_tasks == list->n_allocated) {
                size_t n = list->n_allocated > 0 ? 2 * list->n_allocated : 16;
                struct task **tasks = reallocarray(list->tasks, n, sizeof *tasks);

                if (!tasks)
                        return -ENOMEM;
                list->tasks = tasks;
                list->n_allocated = n;
        }
        list->tasks[list->n_tasks++] = task;
        return 0;
}

/* The first task whose id is not less. */
static size_t position(const struct task_list *list, uint64_t id) {
        size_t low = 0, high = list->n_tasks;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (list->tasks[middle]->id < id)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

struct task *task_list_find(const struct task_list *list, uint64_t id) {
        size_t i = position(list, id);

        return i < list->n_tasks && list->tasks[i]->id == id ? list->tasks[i] : NULL;
}

struct task *task_list_remove(struct task_list *list, uint64_t id) {
        size_t i = position(list, id);
        struct task *task;

        if (i == list->n_tasks || list->tasks[i]->id != id)
                return NULL;
        task = list->tasks[i];
        list->n_tasks--;
        memmove(list->tasks + i, list->tasks + i + 1, (list->n_tasks - i) * sizeof *list->tasks);
        return task;
}

size_t task_list_count(const struct task_list *list, enum task_state state) {
        size_t n = 0;

        for (size_t i = 0; i < list->n_tasks; i++)
                n += list->tasks[i]->state == state;
        return n;
}

bool task_list_has_caller(const struct task_list *list, const char *caller) {
        for (size_t i = 0; i < list->n_tasks; i++)
                if (strcmp(list->tasks[i]->caller, caller) == 0)
                        return true;
        return false;
}
