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

/* From the beginning, wherever the file's offset is: of a descriptor that was passed on, all who have it share that. */
static int read_all(int fd, char *text, size_t n_max, size_t *ret_n) {
        size_t n = 0;

        while (n < n_max) {
                ssize_t k = pread(fd, text + n, n_max - n, (off_t) n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t) k;
        }
        *ret_n = n;
        return 0;
}

/* Before each file's path, which has no null byte at its end, and its text, in a copy. */
struct copy_head {
        uint32_t n_path, n_text;
};

static int write_all(int fd, const void *data, size_t n) {
        for (const char *p = data; n > 0;) {
                ssize_t k = write(fd, p, n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                p += k;
                n -= (size_t) k;
        }
        return 0;
}

static int write_copy(int fd, const char *path, const char *text, size_t n_text) {
        const struct copy_head head = { .n_path = (uint32_t) strlen(path), .n_text = (uint32_t) n_text };
        int r;

        r = write_all(fd, &head, sizeof head);
        if (r >= 0)
                r = write_all(fd, path, head.n_path);
        return r < 0 ? r : write_all(fd, text, n_text);
}

/* What is read into a policy, and (copy is not -1) written down. */
struct loading {
        struct bridge_policy *policy;
        int copy;
};

static int add_file(const struct loading *loading, const char *path, struct bridge_policy_error *error) {
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
        r = loading->copy < 0 ? 0 : write_copy(loading->copy, path, text, n);
        return r < 0 ? fail(error, r, path, strerror(-r)) : bridge_policy_add(loading->policy, path, text, n, error);
}

static int is_policy(const struct dirent *entry) {
        size_t n = strlen(entry->d_name), n_end = strlen(".policy");

        return entry->d_name[0] != '.' && n > n_end && strcmp(entry->d_name + n - n_end, ".policy") == 0;
}

/* By bytes, not as the locale has it: the same everywhere. */
static int by_name(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_directory(const struct loading *loading, const char *path, struct bridge_policy_error *error) {
        struct dirent **entries = NULL;
        int n, r = 0;

        n = scandir(path, &entries, is_policy, by_name);
        if (n < 0)
                return fail(error, -errno, path, strerror(errno));
        for (int i = 0; i < n; i++) {
                AUTO_FREE char *file = NULL;

                if (r == 0)
                        r = asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0 ? -ENOMEM : add_file(loading, file, error);
                free(entries[i]);
        }
        free(entries);
        return r;
}

static int add_path(const struct loading *loading, const char *path, struct bridge_policy_error *error) {
        size_t n = strlen(path), n_end = strlen(".policy");
        struct stat st;

        if (stat(path, &st) < 0) {
                if (errno == ENOENT && !(n > n_end && strcmp(path + n - n_end, ".policy") == 0))
                        return 0;       /* a directory that is not there; a file should be */
                return fail(error, -errno, path, strerror(errno));
        }
        return S_ISDIR(st.st_mode) ? add_directory(loading, path, error) : add_file(loading, path, error);
}

int bridge_policy_copy(const char *const *paths, int fd, struct bridge_policy **ret_policy, struct bridge_policy_error *ret_error) {
        AUTO(free_policy) struct bridge_policy *policy = NULL;
        struct loading loading = { .copy = fd };
        int r;

        r = bridge_policy_new(&policy);
        if (r < 0)
                return fail(ret_error, r, "", strerror(-r));
        loading.policy = policy;
        for (; *paths; paths++) {
                r = add_path(&loading, *paths, ret_error);
                if (r == -ENOMEM)
                        fail(ret_error, r, *paths, strerror(ENOMEM));
                if (r < 0)
                        return r;
        }
        *ret_policy = policy;
        policy = NULL;
        return 0;
}

int bridge_policy_load(const char *const *paths, struct bridge_policy **ret_policy, struct bridge_policy_error *ret_error) {
        return bridge_policy_copy(paths, -1, ret_policy, ret_error);
}

/* All files of a copy. */
static int add_copies(struct bridge_policy *policy, const char *p, size_t n, struct bridge_policy_error *error) {
        while (n > 0) {
                AUTO_FREE char *path = NULL;
                struct copy_head head;
                int r;

                if (n < sizeof head)
                        return fail(error, -EBADMSG, "", "the copy is cut off");
                memcpy(&head, p, sizeof head);
                p += sizeof head;
                n -= sizeof head;
                if (head.n_path > n || head.n_text > n - head.n_path)
                        return fail(error, -EBADMSG, "", "the copy is cut off");
                path = strndup(p, head.n_path);
                if (!path)
                        return fail(error, -ENOMEM, "", strerror(ENOMEM));
                r = bridge_policy_add(policy, path, p + head.n_path, head.n_text, error);
                if (r < 0)
                        return r;
                p += head.n_path + head.n_text;
                n -= head.n_path + head.n_text;
        }
        return 0;
}

int bridge_policy_read(int fd, struct bridge_policy **ret_policy, struct bridge_policy_error *ret_error) {
        AUTO(free_policy) struct bridge_policy *policy = NULL;
        AUTO_FREE char *text = NULL;
        struct stat st;
        size_t n = 0;
        int r;

        if (fstat(fd, &st) < 0)
                return fail(ret_error, -errno, "", strerror(errno));
        text = malloc((size_t) st.st_size + 1);
        r = text ? bridge_policy_new(&policy) : -ENOMEM;
        if (r >= 0)
                r = read_all(fd, text, (size_t) st.st_size, &n);
        if (r < 0)
                return fail(ret_error, r, "", strerror(-r));
        text[n] = '\0';         /* the paths within are ended by their length; what looks for an end finds this one at the latest */
        r = add_copies(policy, text, n, ret_error);
        if (r < 0)
                return r;
        *ret_policy = policy;
        policy = NULL;
        return 0;
}
