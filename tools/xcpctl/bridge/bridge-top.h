/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* xcpctl bridge top: what passes over each link, drawn anew each second. */

#include "command.h"

/* For struct command's .run. */
bool bridge_top_run(struct context *context, const struct arguments *arguments, GError **error);
