/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* xcpctl vm console: a VM's console on this terminal, or on pipes. For struct command's .run. */

#include "context.h"

bool console_run(struct context *context, const struct arguments *arguments, GError **error);

/* xcpctl vm log. */
bool console_run_log(struct context *context, const struct arguments *arguments, GError **error);
