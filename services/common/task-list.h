/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Task lists: the tasks that a service has, in the order of their ids, with bounds.
 *
 * A task costs memory until somebody destroys it, so there is a bound for all of them, and a lower one for each caller, so that one
 * caller that never destroys anything takes room from itself only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "task.h"

#define TASKS_MAX 4096u                 /* about 1 kB each */
#define TASKS_PER_CALLER_MAX 1024u      /* a manager that starts a whole host's VMs at once has some hundreds */

struct task_list {
        struct task **tasks;            /* owned, in the order of their ids */
        size_t n_tasks;
        size_t n_allocated;
};

#define TASK_LIST_NULL { .tasks = NULL }

void task_list_done(struct task_list *list);

/* Is there room for another task of this caller? LimitExceeded if not. */
int task_list_check(const struct task_list *list, const char *caller, struct idl_error *error);

/* Takes the task over. Its id has to be greater than those before: -EINVAL. */
int task_list_add(struct task_list *list, struct task *task);

struct task *task_list_find(const struct task_list *list, uint64_t id);

/* Takes the task off the list and gives it back. */
struct task *task_list_remove(struct task_list *list, uint64_t id);

size_t task_list_count(const struct task_list *list, enum task_state state);
bool task_list_has_caller(const struct task_list *list, const char *caller);
