/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Progress: how far a task is, on standard error.
 *
 * A terminal gets a bar that is drawn anew; anything else a line now and then. Who waits for no more than a moment sees nothing.
 */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct progress;

/* description: of the task, as it is. now_us: of g_get_monotonic_time(). */
struct progress *progress_new(bool terminal, const char *description, int64_t now_us);
void progress_free(struct progress *progress);

/*
 * What to print now; NULL for nothing. fraction: from 0 to 1. state: of the task. columns: of the terminal. To be freed.
 */
char *progress_text(struct progress *progress, double fraction, const char *state, unsigned columns, int64_t now_us);

/* What removes the bar, if there is one; "" if not. */
const char *progress_end(struct progress *progress);
