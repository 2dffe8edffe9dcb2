/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What callers are told when a step of an operation fails. */

#include "child.h"
#include "operation.h"

/*
 * Makes an error of what the step said, or of how it ended. Returns a negative errno. -ENOSPC comes without an error, because how much is
 * free is known only when all is undone. A storage repository that turns out not to be there is Unreachable from then on.
 */
int failure_set(struct operation *operation, const struct step *step, const struct child_end *end, struct idl_error *error);

/* Bytes that an operation needs at most. */
uint64_t failure_needed(const struct operation *operation);
