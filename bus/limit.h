/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The bounds of a bus, by the names that a policy file gives them. What each is for and why it has its value is said where the value is:
 * in dbus-policy/bus.policy. There are no values in the program.
 */

#include <stddef.h>
#include <stdint.h>

enum limit {
        LIMIT_MESSAGE_BYTES,
        LIMIT_QUEUED_BYTES,
        LIMIT_MESSAGE_FDS,
        LIMIT_QUEUED_FDS,
        LIMIT_CONNECTIONS,
        LIMIT_CONNECTIONS_PER_USER,
        LIMIT_UNAUTHENTICATED,
        LIMIT_NAMES,
        LIMIT_MATCHES,
        LIMIT_REPLIES,
        LIMIT_WAITING,
        LIMIT_ACTIVATION_MS,
        LIMIT_AUTHENTICATION_MS,
        LIMIT_USER_BYTES,
        LIMIT_USER_FDS,
        LIMIT_USER_MATCHES,
        LIMIT_USER_OBJECTS,
        _LIMIT_N,
};

struct limit_kind {
        const char *name;               /* in a policy file */
        uint64_t max;                   /* more than this, no broker could honour; the least is 1 */
        const char *daemon[2];          /* dbus-daemon's names for it, dbus-daemon(1); none if it has no such limit */
        const char *broker;             /* dbus-broker's option, or NULL */
};

extern const struct limit_kind limit_kinds[_LIMIT_N];

/* Returns the limit of that name, or -ENOENT. */
int limit_find(const char *name, size_t n_name);
