/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Wants: the match rules that clients of this domain's bus have, as the hub tells of them (hub-wants.c), each once.
 *
 * They outlive no process, and are there before its session is: session-wants.c makes of them what the other domain is asked for.
 */

#include <stddef.h>
#include <stdint.h>

#include "match.h"

struct wants;

int wants_new(struct wants **ret_wants);
struct wants *wants_free(struct wants *wants);

/* Adds a rule. -EEXIST if it is there, -EINVAL if it is none. ret_match is valid while it is there. */
int wants_add(struct wants *wants, const char *rule, const struct match **ret_match);

/* Takes a rule out; NULL if it is not there. To be freed with match_free(). */
struct match *wants_take(struct wants *wants, const char *rule);

size_t wants_count(const struct wants *wants);
size_t wants_count_of_anybody(const struct wants *wants);       /* those that name no sender */

/* As table_next(). */
const struct match *wants_next(const struct wants *wants, size_t *iterator);
