/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What operations on storage repositories have in common, whether those are there or are to be: sr-operations.c, sr-make.c. */

#include <stdbool.h>

#include "operation.h"

int sr_operation_start(struct sr *sr, const struct operation_kind *kind, bool exclusive, struct idl_error *error, struct operation **ret_operation);

/* Busy: others are queued or going on, and would be waited for, for as long as they wait for their callers. */
int sr_check_alone(const struct sr *sr, struct idl_error *error);
int sr_check_no_readers(const struct sr *sr, struct idl_error *error);

/* The steps that look at all of it, and what is made of what they said: then it is Attached. */
int sr_plan_scan(struct operation *operation, const char *expected);
int sr_take_over(struct operation *operation, struct idl_error *error);
