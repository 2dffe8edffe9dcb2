/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One line on standard error for one event, which `xenemu up` keeps in xenemud/log. */

#include <stdio.h>

#define log_event(format, ...) fprintf(stderr, "xenemud: " format "\n" __VA_OPT__(, ) __VA_ARGS__)
