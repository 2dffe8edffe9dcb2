/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The guard of one domain, made of the files of bridge/policy: guard.h is what a session asks it. */

#include <stddef.h>
#include <stdint.h>

#include "bridge-policy.h"
#include "guard.h"

struct guard_domain {
        unsigned id;
        const char *uuid, *name, *type; /* "" if it is not known: then no rule that names it allows anything */
};

/* Something was denied. direction: enum guard_direction. what: in words. rule: FILE:LINE, or "" if there was none. */
typedef void (*guard_denied_t)(void *userdata, uint32_t direction, const char *what, const char *rule);

int guard_new(struct guard **ret_guard, const struct guard_domain *domain, guard_denied_t denied, void *userdata);
struct guard *guard_free(struct guard *guard);

/* From now on this is in force: it is taken. Until the first time, all is denied. */
int guard_use(struct guard *guard, struct bridge_policy *policy);
