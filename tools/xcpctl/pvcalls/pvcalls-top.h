/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* xcpctl pvcalls top: what each domain's sockets do, drawn anew each second. */

#include "command.h"

/* For struct command's .run. */
bool pvcalls_top_run(struct context *context, const struct arguments *arguments, GError **error);
