/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a domain may have of this one's bridge; bridge_policy_limit() has the numbers.
 */

#include <stddef.h>
#include <stdint.h>

enum bridge_limit {
        BRIDGE_LIMIT_PEERS,             /* connections to this bus */
        BRIDGE_LIMIT_NAMES,             /* well-known names on it */
        BRIDGE_LIMIT_SUBSCRIPTIONS,     /* match rules */
        BRIDGE_LIMIT_CALLS,             /* calls of its own that are not answered yet */
        BRIDGE_LIMIT_MESSAGE_BYTES,     /* of one message */
        BRIDGE_LIMIT_QUEUED_BYTES,      /* of messages, either way, that wait here */
        BRIDGE_LIMIT_FDS,               /* descriptors that are carried for it at once */
        _BRIDGE_LIMIT_N,
};

struct bridge_limit_kind {
        const char *name;
        uint64_t most;          /* and what holds if no line says anything */
};

extern const struct bridge_limit_kind bridge_limit_kinds[_BRIDGE_LIMIT_N];

/* Returns the limit of this name, or -1. */
int bridge_limit_find(const char *name, size_t n);
