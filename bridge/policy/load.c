/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Policies from files. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rule.h"

static void close_file(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

static void free_policy(struct bridge_policy **policy) {
        bridge_policy_free(*policy);
}

/* An error about a file as a whole. */
static int fail(struct bridge_policy_error *error, int r, const char *file, const char *text) {
        size_t n = strlen(file);

        *error = (struct bridge_policy_error) {};
        snprintf(error->file, sizeof error->file, "%s", file + (n < sizeof error->file ? 0 : n - sizeof error->file + 1));
        snprintf(error->text, sizeof error->text, "%s", text);
        return r;
}

static int read_all(int fd, char *text, size_t n_max, size_t *ret_n) {
        size_t n = 0;

        while (n < n_max) {
                ssize_t k = read(fd, text + n, n_max - n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += k;
        }
        *ret_n = n;
        return 0;
}

static int add_file(struct bridge_policy *policy, const char *path, struct bridge_policy_error *error) {
        AUTO(close_file) int fd = -1;
        AUTO_FREE char *text = NULL;
        struct stat st;
        size_t n = 0;
        int r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);  /* a fifo must not keep anybody waiting */
        if (fd < 0 || fstat(fd, &st) < 0)
                return fail(error, -errno, path, strerror(errno));
        if (!S_ISREG(st.st_mode))
                return fail(error, -EINVAL, path, "it is not a file");
        text = malloc(BRIDGE_POLICY_FILE_MAX + 1);
        if (!text)
                return -ENOMEM;
        r = read_all(fd, text, BRIDGE_POLICY_FILE_MAX + 1, &n);
        if (r < 0)
                return fail(error, r, path, strerror(-r));
        if (n > BRIDGE_POLICY_FILE_MAX)
                return fail(error, -EINVAL, path, "it is longer than 1 MiB");
        return bridge_policy_add(policy, path, text, n, error);
}

static int is_policy(const struct dirent *entry) {
        size_t n = strlen(entry->d_name), n_end = strlen(".policy");

        return entry->d_name[0] != '.' && n > n_end && strcmp(entry->d_name + n - n_end, ".policy") == 0;
}

/* By bytes, not as the locale has it: the same everywhere. */
static int by_name(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_directory(struct bridge_policy *policy, const char *path, struct bridge_policy_error *error) {
        struct dirent **entries = NULL;
        int n, r = 0;

        n = scandir(path, &entries, is_policy, by_name);
        if (n < 0)
                return fail(error, -errno, path, strerror(errno));
        for (int i = 0; i < n; i++) {
                AUTO_FREE char *file = NULL;

                if (r == 0)
                        r = asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0 ? -ENOMEM : add_file(policy, file, error);
                free(entries[i]);
        }
        free(entries);
        return r;
}

static int add_path(struct bridge_policy *policy, const char *path, struct bridge_policy_error *error) {
        size_t n = strlen(path), n_end = strlen(".policy");
        struct stat st;

        if (stat(path, &st) < 0) {
                if (errno == ENOENT && !(n > n_end && strcmp(path + n - n_end, ".policy") == 0))
                        return 0;       /* a directory that is not there; a file should be */
                return fail(error, -errno, path, strerror(errno));
        }
        return S_ISDIR(st.st_mode) ? add_directory(policy, path, error) : add_file(policy, path, error);
}

int bridge_policy_load(const char *const *paths, struct bridge_policy **ret_policy, struct bridge_policy_error *ret_error) {
        AUTO(free_policy) struct bridge_policy *policy = NULL;
        int r;

        r = bridge_policy_new(&policy);
        if (r < 0)
                return fail(ret_error, r, "", strerror(-r));
        for (; *paths; paths++) {
                r = add_path(policy, *paths, ret_error);
                if (r == -ENOMEM)
                        fail(ret_error, r, *paths, strerror(ENOMEM));
                if (r < 0)
                        return r;
        }
        *ret_policy = policy;
        policy = NULL;
        return 0;
}
