/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

/* What the calls to a VM's disks and network interfaces have in common: most begin a task, GetStatistics asks the backend. */

#include "job.h"

typedef int (*device_reply_t)(struct idl_call *call, const char *task);
typedef int (*device_question_t)(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error);
typedef void (*device_answer_t)(struct idl_call *call, const struct hypervisor_call *from);

/*
 * Begins an operation on a device, and answers the call with its task. flag, text: the operation's arguments; text may be NULL. The device
 * may be gone on return. Negative errno with error set: nothing was begun.
 */
int device_begin(struct device *device, enum operation_id id, bool flag, const char *text, struct idl_call *call, device_reply_t reply,
                 struct idl_error *error);

/*
 * Asks the backend about a device, by its name. question: NULL is NotSupported. answer: to answer the call with what it has got; if the
 * backend fails, or the VM goes before, the call is answered without it. Negative errno with error set: nothing was asked.
 */
int device_ask(struct device *device, device_question_t question, struct idl_call *call, device_answer_t answer, struct idl_error *error);
