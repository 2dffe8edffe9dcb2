/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tables that are drawn anew each second, until ^C. */

#include "context.h"

/* Makes the table of the moment, of no more than rows rows (0: any number); NULL with an error, which is the end. */
typedef struct table *(*live_take_t)(void *userdata, unsigned rows, GError **error);

bool live_run(struct context *context, live_take_t take, void *userdata, GError **error);
