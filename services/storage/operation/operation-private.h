/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Operations' insides, which operation.c shares with those parts of them that have files of their own. */

#include "operation.h"

/* operation.c: its turn has come. */
void operation_run(struct operation *operation);

/* operation-turn.c: has it wait for its turn, or does not any more. */
void operation_enqueue(struct operation *operation);
void operation_leave_ready(struct operation *operation);

/* operation-said.c: how much of its step is done, and a line of that. */
static inline const struct step *operation_current_step(const struct operation *operation) {
        return &operation->plan.steps[operation->i_step];
}

void operation_advance(struct operation *operation, double part);
void operation_on_line(const char *line, void *userdata);
