/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Waiting for a task.
 *
 * How far it is goes to standard error. ^C asks the task to cancel, and the wait goes on until it has; another ^C leaves it. The wait also
 * ends when its time is up, when the task's service leaves the bus, and when the task is removed.
 */

#include "client.h"

/* Returns true and the task's result, a{sv}, if it succeeded. Otherwise the error is its error, and context->details that one's. */
bool wait_for_task(struct context *context, const char *service, const char *path, GVariant **ret_result, GError **error);
