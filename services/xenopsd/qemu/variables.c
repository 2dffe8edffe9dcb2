/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "variables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

#define UNFINISHED ".unfinished"        /* beside what it is to be, until all of it is there */
#define UUID_LENGTH 36u

static void make_name(const char *uuid, const char *end, char name[static VARIABLES_PATH_SIZE]) {
        snprintf(name, VARIABLES_PATH_SIZE, "%.36s" VARIABLES_SUFFIX "%s", uuid, end);
}

void variables_path(const char *uuid, char ret_path[static VARIABLES_PATH_SIZE]) {
        snprintf(ret_path, VARIABLES_PATH_SIZE, "../%.36s" VARIABLES_SUFFIX, uuid);
}

static int copy(int from, int to, size_t size) {
        while (size > 0) {
                ssize_t n = sendfile(to, from, NULL, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                size -= (size_t) n;
        }
        return fdatasync(to) < 0 ? -errno : 0;          /* nobody makes them again when the host has crashed */
}

static int make(int directory_fd, int template, size_t size, const char *unfinished, const char *name) {
        AUTO_CLOSE int fd = openat(directory_fd, unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        int r;

        if (fd < 0)
                return -errno;
        r = copy(template, fd, size);
        if (r >= 0 && renameat(directory_fd, unfinished, directory_fd, name) < 0)
                r = -errno;
        if (r < 0)
                unlinkat(directory_fd, unfinished, 0);
        return r;
}

int variables_make(int directory_fd, const char *uuid, struct idl_error *error) {
        AUTO_CLOSE int template = -1;
        char name[VARIABLES_PATH_SIZE], unfinished[VARIABLES_PATH_SIZE];
        struct stat st;
        int r;

        if (access(VARIABLES_FIRMWARE, R_OK) < 0)
                return idl_error_set_does_not_exist(error, "firmware", VARIABLES_FIRMWARE);
        make_name(uuid, "", name);
        if (fstatat(directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                return 0;
        template = open(VARIABLES_TEMPLATE, O_RDONLY | O_CLOEXEC);
        if (template < 0 || fstat(template, &st) < 0)
                return idl_error_set_does_not_exist(error, "firmware", VARIABLES_TEMPLATE);
        make_name(uuid, UNFINISHED, unfinished);
        r = make(directory_fd, template, (size_t) st.st_size, unfinished, name);
        if (r == -ENOSPC || r == -EDQUOT)
                return idl_error_set_not_enough_space(error, (uint64_t) st.st_size, 0);
        if (r < 0)
                return idl_error_set_backend_failed(error, "qemu", "make the variables of a UEFI", strerrordesc_np(-r) ?: "unknown error");
        return 0;
}

void variables_remove(int directory_fd, const char *uuid) {
        char name[VARIABLES_PATH_SIZE];

        make_name(uuid, "", name);
        if (unlinkat(directory_fd, name, 0) < 0 && errno != ENOENT)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", uuid }), "Cannot remove the UEFI's variables of %s: %s", uuid,
                          strerrordesc_np(errno));
}

void variables_sweep(int directory_fd, const char *name, bool (*is_known)(void *userdata, const char *uuid), void *userdata) {
        char uuid[UUID_LENGTH + 1];
        bool is_whole;

        if (strlen(name) <= UUID_LENGTH || strncmp(name + UUID_LENGTH, VARIABLES_SUFFIX, strlen(VARIABLES_SUFFIX)) != 0)
                return;
        snprintf(uuid, sizeof uuid, "%.36s", name);
        is_whole = strcmp(name + UUID_LENGTH, VARIABLES_SUFFIX) == 0;
        if (is_whole && is_known(userdata, uuid))
                return;
        if (unlinkat(directory_fd, name, 0) >= 0 && is_whole)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", uuid }), "Took away the UEFI's variables of %s, which is no VM", uuid);
}
