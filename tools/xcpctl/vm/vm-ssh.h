/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* xcpctl vm ssh: a shell in a guest. For struct command's .run. */

#include "context.h"

bool vm_ssh_run(struct context *context, const struct arguments *arguments, GError **error);
