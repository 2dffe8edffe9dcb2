/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The guard: what policy says about one other domain, asked by a session, and an audit record of every no.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge-limits.h"
#include "message.h"

struct guard;

enum guard_direction {
        GUARD_IN,                       /* from the other domain to this bus */
        GUARD_OUT,
};

/*
 * May a call or signal pass? names: all well-known names of the connection that it is about, which is a call's destination and a signal's
 * sender. What may not has been recorded.
 */
bool guard_allows(struct guard *guard, enum guard_direction direction, const struct message *message, const char *const *names,
                  size_t n_names);

/* Records that a signal that may pass did not, for another reason. */
void guard_dropped(struct guard *guard, enum guard_direction direction, const struct message *message, const char *why);

/* May the other domain own this name on this bus? */
bool guard_allows_name(struct guard *guard, const char *name);

/* May the other domain know of this name of this bus: is there anything that it may call there, or hear of? */
bool guard_exports(struct guard *guard, const char *name);

/* How much of something the other domain may have here. */
uint64_t guard_limit(const struct guard *guard, enum bridge_limit limit);
