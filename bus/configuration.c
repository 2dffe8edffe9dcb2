/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "configuration.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "read-file.h"
#include "report.h"

void configuration_done(struct configuration *configuration) {
        policy_done(&configuration->policy);
        activations_done(&configuration->activations);
        for (size_t i = 0; configuration->service_dirs[i]; i++)
                free(configuration->service_dirs[i]);
        *configuration = (struct configuration) {};
}

static void report_missing(const struct grant *grant, void *userdata) {
        const char *file = userdata;

        report("%s:%u: there is no %s %s here, so what is granted to it is granted to nobody", file, grant->line,
               grant->subject == SUBJECT_USER ? "user" : "group", grant->who);
}

/* Adds the grants of one file's policy, which is left empty, and its limits. */
static int merge(struct policy *all, struct policy *one) {
        struct grant *grants;

        if (one->n_grants > 0) {
                grants = reallocarray(all->grants, all->n_grants + one->n_grants, sizeof *grants);
                if (!grants)
                        return -ENOMEM;
                memcpy(grants + all->n_grants, one->grants, one->n_grants * sizeof *grants);
                all->grants = grants;
                all->n_grants += one->n_grants;
                one->n_grants = 0;
        }
        for (int i = 0; i < _LIMIT_N; i++)
                if (one->limits[i])
                        all->limits[i] = one->limits[i];
        return 0;
}

static int read_policy_file(const char *file, struct policy *policy) {
        AUTO_POLICY one = {};
        struct policy_error error;
        AUTO_FREE char *text = NULL;
        size_t n;
        int r;

        r = read_file(file, &text, &n);
        if (r < 0) {
                report("cannot read the policy file %s: %s", file, strerror(-r));
                return r;
        }
        r = policy_parse(&one, text, n, &error);
        if (r == -EINVAL)
                report("%s:%u:%u: %s", file, error.line, error.column, error.text);
        if (r < 0)
                return r;
        r = policy_resolve(&one, getuid(), report_missing, (char *) file);
        if (r < 0) {
                report("%s: cannot look up its users and groups: %s", file, strerror(-r));
                return r;
        }
        return merge(policy, &one);
}

static int is_policy_file(const struct dirent *entry) {
        size_t n = strlen(entry->d_name);

        return entry->d_name[0] != '.' && n > 7 && strcmp(entry->d_name + n - 7, ".policy") == 0;
}

/* In the order of their names, so that an administrator can tell which limit is the last. */
static int read_policy_directory(const char *directory, struct policy *policy) {
        struct dirent **entries;
        int n, r = 0;

        n = scandir(directory, &entries, is_policy_file, alphasort);
        if (n < 0) {
                if (errno == ENOENT)
                        return 0;
                r = -errno;
                report("cannot read the directory of policy files %s: %s", directory, strerror(-r));
                return r;
        }
        for (int i = 0; i < n; i++) {
                AUTO_FREE char *file = NULL;

                if (r == 0 && asprintf(&file, "%s/%s", directory, entries[i]->d_name) < 0)
                        r = -ENOMEM;
                if (r == 0)
                        r = read_policy_file(file, policy);
                free(entries[i]);
        }
        free(entries);
        return r;
}

static int read_policies(const struct settings *settings, struct policy *policy) {
        AUTO_FREE char *domain = NULL;
        int r;

        for (const char *const *p = settings->layout->policies; *p; p++) {
                struct stat st;

                if (stat(*p, &st) == 0 && S_ISREG(st.st_mode))
                        r = read_policy_file(*p, policy);
                else
                        r = read_policy_directory(*p, policy);
                if (r < 0)
                        return r;
        }
        if (asprintf(&domain, "%s/bus.d", settings->domain_dir) < 0)
                return -ENOMEM;
        return read_policy_directory(domain, policy);
}

/* The domain's own directory comes first: the first file for a name counts. */
static int list_service_dirs(const struct settings *settings, struct configuration *configuration) {
        size_t n = 0;

        if (asprintf(&configuration->service_dirs[n], "%s/services", settings->domain_dir) < 0) {
                configuration->service_dirs[n] = NULL;
                return -ENOMEM;
        }
        if (settings->domain_services_only)
                return 0;
        for (const char *const *p = settings->layout->services; *p && ++n < CONFIGURATION_DIRS_MAX; p++) {
                configuration->service_dirs[n] = strdup(*p);
                if (!configuration->service_dirs[n])
                        return -ENOMEM;
        }
        return 0;
}

static int read_activations(const struct settings *settings, struct configuration *configuration) {
        int r;

        r = list_service_dirs(settings, configuration);
        for (size_t i = 0; r >= 0 && configuration->service_dirs[i]; i++)
                r = activations_add_directory(&configuration->activations, configuration->service_dirs[i]);
        return r;
}

int configuration_read(const struct settings *settings, struct configuration *ret_configuration) {
        AUTO_CONFIGURATION configuration = {};
        const char *missing;
        int r;

        r = read_policies(settings, &configuration.policy);
        if (r < 0)
                return r;
        missing = policy_missing_limit(&configuration.policy);
        if (missing) {
                report("no policy file sets the limit %s; bus.policy should, which belongs to %s", missing, settings->layout->policies[0]);
                return -ENOENT;
        }
        r = read_activations(settings, &configuration);
        if (r < 0)
                return r;
        *ret_configuration = configuration;
        configuration = (struct configuration) {};
        return 0;
}
