/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One line on standard error for one event: what happened, and where it helps, what to do. */

#include <stdio.h>

#define report(format, ...) fprintf(stderr, "xcp-bus-run: " format "\n" __VA_OPT__(, ) __VA_ARGS__)
