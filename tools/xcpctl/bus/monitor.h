/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* xcpctl monitor: what services signal, a line each. For struct command's .run. */

#include "context.h"

bool monitor_run(struct context *context, const struct arguments *arguments, GError **error);
