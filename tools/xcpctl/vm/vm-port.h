/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* xcpctl vm connect: TCP ports of guests in a network of their backend's own. For struct command's .run. */

#include "context.h"

bool vm_port_run(struct context *context, const struct arguments *arguments, GError **error);

/* The path of a VM's network interface in such a network, the first one; to be freed. NULL: it has none. */
bool vm_port_find(struct context *context, const char *vm, char **ret_nic, GError **error);
