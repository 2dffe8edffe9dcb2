/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a domain's bus permits: grants and limits, from which dbus-daemon's configuration and dbus-broker's policy are both made.
 *
 * A policy only ever grants. What nobody granted is refused, so the order of grants means nothing and more of them never take anything
 * away. docs/bus.md, "Policy", has the grammar.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limit.h"
#include "policy-words.h"

enum grant_kind {
        GRANT_OWN,                      /* own a name */
        GRANT_CALL,                     /* call methods of the owner of a name */
        GRANT_HEAR,                     /* get signals of the owner of a name */
};

enum subject_kind {
        SUBJECT_EVERYONE,
        SUBJECT_OWNER,                  /* the user who runs the bus */
        SUBJECT_USER,
        SUBJECT_GROUP,
        SUBJECT_NOBODY,                 /* a user or group that does not exist on this machine */
};

struct grant {
        enum grant_kind kind;
        enum subject_kind subject;
        char *who;                      /* for a user or group, its name or number as written */
        uint32_t id;                    /* once resolved: the uid or gid of who, or the owner's uid */
        char *name;                     /* NULL: any */
        bool below;                     /* of GRANT_OWN: the name and all names below it */
        char *path;                     /* NULL: any, and so the rest; one that is given never matches a message without it */
        char *interface;
        char *member;
        unsigned line;
};

struct policy {
        struct grant *grants;
        size_t n_grants;
        uint64_t limits[_LIMIT_N];      /* 0: not given yet */
};

void policy_done(struct policy *policy);

/*
 * Adds what a policy file says. Returns 0, -EINVAL and an error, or -ENOMEM; after a failure the policy is only good for
 * policy_done(). A limit that was given before is replaced.
 */
int policy_parse(struct policy *policy, const char *text, size_t n_text, struct policy_error *ret_error);

/* The name of a limit that nothing has given yet, or NULL if all are there. */
const char *policy_missing_limit(const struct policy *policy);

/*
 * Finds the numbers of users and groups. Grants to some that are not there become grants to nobody, and missing() is told of each.
 * Returns 0 or a negative errno.
 */
int policy_resolve(struct policy *policy, uint32_t owner, void (*missing)(const struct grant *grant, void *userdata), void *userdata);

#define AUTO_POLICY __attribute__((cleanup(policy_done))) struct policy
