/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A domain's bus from its start to its end, whichever broker carries it. */

#include "settings.h"

/* Runs until a signal ends it or the broker dies. Returns 0, or a negative errno after a report. */
int bus_run(const struct settings *settings);
