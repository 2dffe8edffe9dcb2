/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Sets of match rules: what several peers want to hear, counted, so that the bus is asked for each rule once and for as long as anybody
 * wants it.
 *
 * A peer is a number that the caller chooses. As on a bus, who adds the same rule twice must remove it twice; rules are the same if their
 * one form is (match.h). Memory is that of the rules: how many there may be is for the caller to limit.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "match.h"

struct match_set;

int match_set_new(struct match_set **ret_set);
struct match_set *match_set_free(struct match_set *set);

/*
 * Adds a rule for a peer, and takes it in any case. Returns 1 if nobody wanted it before, 0 if somebody did, or -ENOMEM. ret_match, which
 * may be NULL, is set to the rule as it is in the set, for as long as it is there.
 */
int match_set_add(struct match_set *set, uint64_t peer, struct match *match, const struct match **ret_match);

/*
 * Removes what a peer added, by its one form. Returns 1 if nobody wants it any longer, 0 if somebody does (he himself, perhaps), or -ENOENT
 * if he had not added it.
 */
int match_set_remove(struct match_set *set, uint64_t peer, const char *text);

/* Removes all that a peer added; gone, which may be NULL, is told of each rule that nobody wants any longer, before it is freed. */
void match_set_remove_peer(struct match_set *set, uint64_t peer, void (*gone)(void *userdata, const struct match *match), void *userdata);

size_t match_set_count(const struct match_set *set);

/* The rule at this place, which is below the count; places change when rules are added or removed. */
const struct match *match_set_rule(const struct match_set *set, size_t at);
bool match_set_wants(const struct match_set *set, size_t at, uint64_t peer);

/* How many peers want a rule, by its one form, besides these two. */
size_t match_set_others(const struct match_set *set, const char *text, uint64_t one, uint64_t other);

/* Whether any rule of the set, or any that this peer added, accepts the message. Each rule is held against it until one does. */
bool match_set_accepts(const struct match_set *set, struct match_subject *subject);
bool match_set_accepts_for(const struct match_set *set, uint64_t peer, struct match_subject *subject);
