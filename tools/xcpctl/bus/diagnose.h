/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* xcpctl diagnose: what services say about themselves, and all that a bug report needs. For struct command's .run. */

#include "context.h"

bool diagnose_run(struct context *context, const struct arguments *arguments, GError **error);
