/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Policy files that nobody would write: the parser must say where the mistake is, and what it accepts must make a configuration. */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon-config.h"
#include "policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_grants(const struct policy *policy) {
        for (size_t i = 0; i < policy->n_grants; i++) {
                const struct grant *grant = &policy->grants[i];
                bool named = grant->subject == SUBJECT_USER || grant->subject == SUBJECT_GROUP;

                assert(named == (grant->who != NULL));
                assert(grant->kind != GRANT_OWN || grant->name);
                assert(grant->kind == GRANT_OWN || !grant->below);
                assert(!grant->name || (grant->name[0] != ':' && strlen(grant->name) <= 255));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        static const char *const no_dirs[] = { NULL };
        AUTO_POLICY policy = {};
        struct policy_error error = {};
        char *config;
        int r;

        r = policy_parse(&policy, (const char *) data, n, &error);
        if (r < 0) {
                assert(r == -EINVAL);
                assert(error.line > 0 && error.column > 0 && error.text[0]);
                return 0;
        }
        check_grants(&policy);
        r = daemon_config_make(&policy, no_dirs, &config);
        assert(r == 0);
        free(config);
        return 0;
}
