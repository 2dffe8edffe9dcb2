/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Help: what the command table says, for people, for the manual page, and for programs. */

#include "context.h"

/* For struct command's .run: xcpctl help. */
bool help_run(struct context *context, const struct arguments *arguments, GError **error);

/* Of a command; of the commands that begin with some words; of all if words is empty. To be freed. */
char *help_of_command(const struct command *command);
char *help_of_group(const char *words);

/* The section COMMANDS of the manual page, in mdoc(7). To be freed. */
char *help_mdoc(void);
