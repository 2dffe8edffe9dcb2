/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Remote tasks: methods of other services that return a task of org.xen.xcp.Task1, called and waited for.
 *
 * The task is destroyed when it has ended: nobody else wants it. A service that leaves the bus, or is not there, ends the call with
 * the error Unreachable. Errors of the task are passed on as they are, with those of their details that have a name here.
 */

#include <stdint.h>

#include <systemd/sd-bus.h>

#include "idl.h"

struct remote_tasks;
struct remote_task;

/*
 * The end: r is 0, and result is at the a{sv} that the task had, or r is a negative errno and error says why. Called once, from the
 * event loop. The remote task is gone.
 */
typedef void (*remote_task_done_t)(void *userdata, int r, sd_bus_message *result, struct idl_error *error);

int remote_tasks_new(struct remote_tasks **ret_tasks, sd_bus *bus);
struct remote_tasks *remote_tasks_free(struct remote_tasks *tasks);

/* call: the message, ready to be sent. prefix: where tasks of that service are; it is listened to. timeout_usec: for all of it. */
int remote_task_begin(struct remote_tasks *tasks, sd_bus_message *call, const char *prefix, uint64_t timeout_usec,
                      remote_task_done_t done, void *userdata, struct remote_task **ret_task);

/* What a method replied beside the task: it is called with the reply before anything else is done with it. May be NULL. */
void remote_task_on_reply(struct remote_task *task, void (*on_reply)(void *userdata, sd_bus_message *reply));

/* Asks for the end: Cancel() is called, and done() follows, at the latest REMOTE_TASK_CANCEL_MS later. */
#define REMOTE_TASK_CANCEL_MS 12000u    /* storage1.VDI promises 10 s */
void remote_task_cancel(struct remote_task *task);

/* Forgets it: done() is not called. The task is left to its service. */
struct remote_task *remote_task_free(struct remote_task *task);

static inline void remote_tasks_freep(struct remote_tasks **tasks) {
        remote_tasks_free(*tasks);
}
