/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Task1: what clients see of a task. Between tasks.c, which has the tasks, and the code generated from the interface. */

#include <systemd/sd-bus.h>

#include "error.h"
#include "objects.h"
#include "task.h"

enum task_changed {
        TASK_CHANGED_STATE = 1 << 0,
        TASK_CHANGED_PROGRESS = 1 << 1,
        TASK_CHANGED_CANCELLABLE = 1 << 2,
};

struct work;

/* Puts the interface on all of the objects, each a struct work. */
int task_object_export(sd_bus *bus, sd_bus_slot **ret_slot, const char *prefix, struct objects *objects);

/* Tells clients. Failures are logged: the task goes on without listeners. */
void task_object_changed(sd_bus *bus, const char *path, unsigned changed);
void task_object_ended(sd_bus *bus, const char *path, const struct task *task);

/* Of tasks.c. */
const struct task *work_task(const struct work *work);
uint64_t work_cancel_bound_usec(const struct work *work);
int work_cancel(struct work *work, struct idl_error *error);
int work_destroy(struct work *work, struct idl_error *error);
