/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* xcpctl vm addresses: what is known of guests' addresses, and from whom. */

#include "context.h"

bool vm_addresses_run(struct context *context, const struct arguments *arguments, GError **error);
