/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All that the files say: policy, limits, and what can be activated. Read at the start, and again on SIGHUP. */

#include "activation.h"
#include "policy.h"
#include "settings.h"

#define CONFIGURATION_DIRS_MAX 8

struct configuration {
        struct policy policy;           /* resolved */
        struct activations activations;
        char *service_dirs[CONFIGURATION_DIRS_MAX + 1];
};

/* Returns 0, or a negative errno after a report of what is wrong and where. */
int configuration_read(const struct settings *settings, struct configuration *ret_configuration);

void configuration_done(struct configuration *configuration);

#define AUTO_CONFIGURATION __attribute__((cleanup(configuration_done))) struct configuration
