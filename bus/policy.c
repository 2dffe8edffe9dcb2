/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "policy.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

void policy_done(struct policy *policy) {
        for (size_t i = 0; i < policy->n_grants; i++) {
                struct grant *grant = &policy->grants[i];

                free(grant->who);
                free(grant->name);
                free(grant->path);
                free(grant->interface);
                free(grant->member);
        }
        free(policy->grants);
        *policy = (struct policy) {};
}

const char *policy_missing_limit(const struct policy *policy) {
        for (int i = 0; i < _LIMIT_N; i++)
                if (policy->limits[i] == 0)
                        return limit_kinds[i].name;
        return NULL;
}

/* Reads a uid or gid. (uint32_t) -1 is none: chown(2) and dbus-broker take it for "no such". */
static bool parse_id(const char *text, uint32_t *ret_id) {
        unsigned long long value;
        char *end;

        if (*text < '0' || *text > '9')
                return false;
        errno = 0;
        value = strtoull(text, &end, 10);
        if (errno || *end || value >= UINT32_MAX)
                return false;
        *ret_id = value;
        return true;
}

/* Returns 1 and the number, 0 if there is no such user or group, or a negative errno. */
static int find_id(enum subject_kind kind, const char *who, uint32_t *ret_id) {
        if (parse_id(who, ret_id))
                return 1;

        errno = 0;
        if (kind == SUBJECT_USER) {
                const struct passwd *user = getpwnam(who);

                if (user) {
                        *ret_id = user->pw_uid;
                        return 1;
                }
        } else {
                const struct group *group = getgrnam(who);

                if (group) {
                        *ret_id = group->gr_gid;
                        return 1;
                }
        }
        /* getpwnam(3) lists several errno values that mean no more than "not found". */
        return errno == ENOMEM || errno == EMFILE || errno == ENFILE || errno == EIO ? -errno : 0;
}

int policy_resolve(struct policy *policy, uint32_t owner, void (*missing)(const struct grant *grant, void *userdata), void *userdata) {
        for (size_t i = 0; i < policy->n_grants; i++) {
                struct grant *grant = &policy->grants[i];

                if (grant->subject == SUBJECT_OWNER) {
                        grant->id = owner;
                } else if (grant->subject == SUBJECT_USER || grant->subject == SUBJECT_GROUP) {
                        int r = find_id(grant->subject, grant->who, &grant->id);

                        if (r < 0)
                                return r;
                        if (r == 0) {
                                missing(grant, userdata);
                                grant->subject = SUBJECT_NOBODY;
                        }
                }
        }
        return 0;
}
