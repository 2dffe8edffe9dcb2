/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Task stores: the tasks of a service on disk, so that none is forgotten when the service ends before they do.
 *
 * They are in a database of their own, tasks.db, that does without waiting for the disk: power loss ends the bus and so everybody who
 * could ask for them. What they did is the service's state, which is elsewhere and durable.
 *
 * A task that had not ended is loaded as failed, with the error Interrupted. Tasks of an earlier bus are dropped: their callers' unique
 * names mean nothing any more, or somebody else.
 */

#include <stdint.h>

#include <systemd/sd-bus.h>

#include "error.h"
#include "task-list.h"
#include "task.h"

struct task_store;

/* instance: the id of this start of the service. The directory has to exist. */
int task_store_open(struct task_store **ret_store, const char *dir, const char *instance);
struct task_store *task_store_close(struct task_store *store);

/* Writes down that a task begins. The id is a new one. bus_id: which bus the caller's name is of. */
int task_store_add(struct task_store *store, const char *bus_id, const struct task_origin *origin, uint64_t now_usec, uint64_t *ret_id);

/* Writes down what became of it. bus: any, to make messages with. */
int task_store_update(struct task_store *store, sd_bus *bus, const struct task *task);

int task_store_remove(struct task_store *store, uint64_t id);

/* Loads the tasks of earlier instances. */
int task_store_load(struct task_store *store, sd_bus *bus, const char *bus_id, uint64_t now_usec, struct task_list *list);

/* Tasks of another bus are from here on this one's; their callers are nobody here. Before task_store_load(). */
int task_store_take_over(struct task_store *store, const char *from_bus_id, const char *bus_id);

/* All of it, for database_copy_free(). */
int task_store_copy(struct task_store *store, size_t max, uint8_t **ret_data, size_t *ret_size);

/* After its file was written by somebody else. */
int task_store_sync(struct task_store *store);

/* Makes an error of what the last function returned. Returns r. */
int task_store_set_error(struct task_store *store, int r, struct idl_error *error);

static inline void task_store_closep(struct task_store **store) {
        task_store_close(*store);
}
