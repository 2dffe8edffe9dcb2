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

/* Reads files, and *.policy of directories. If anything is wrong, what was in force stays; until the first time, all is denied. */
int guard_load(struct guard *guard, const char *const *paths, size_t n);

/* Whether files could be loaded. -EINVAL: text says which line is wrong, and how. */
int guard_check_files(const char *const *paths, size_t n, char *text, size_t n_text);

/* What files say to a question: whether it is allowed, and by which rule, FILE:LINE or "". Nothing is recorded. Errors as guard_check_files(). */
int guard_explain(const char *const *paths, size_t n, const struct bridge_query *query, bool *ret_allowed, char *place, size_t n_place,
                  char *text, size_t n_text);
