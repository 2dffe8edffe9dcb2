/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The run directory; see rundir.h. */

#include "rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "protocol.h"

#define RUNDIR_DEPTH_MAX 64             /* of folders that a domain's programs left behind */

static int make_dir(int dir_fd, const char *name) {
        if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
                return -errno;

        int fd = openat(dir_fd, name, O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? -errno : fd;
}

/* Opens the folder name in dir_fd if it is one, and on the same file system: a domain's programs may have left links and mounts. */
static int open_left_dir(int dir_fd, const char *name) {
        struct open_how how = {
                .flags = O_DIRECTORY | O_RDONLY | O_CLOEXEC,
                .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
        };

        return syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
}

/* Removes name in dir_fd, whatever it is. It follows no link and crosses no mount: what it cannot remove stays. */
static void remove_tree(int dir_fd, const char *name, int depth) {
        struct dirent *entry;
        DIR *dir;
        int fd;

        if (unlinkat(dir_fd, name, 0) == 0 || depth == 0)
                return;

        fd = open_left_dir(dir_fd, name);
        if (fd < 0)
                return;
        dir = fdopendir(fd);
        if (!dir) {
                close(fd);
                return;
        }
        while ((entry = readdir(dir)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        remove_tree(fd, entry->d_name, depth - 1);
        closedir(dir);
        (void) unlinkat(dir_fd, name, AT_REMOVEDIR);
}

int rundir_make_domain(int dir_fd, uint32_t domid) {
        char name[sizeof "dom4294967295"];

        snprintf(name, sizeof name, "dom%u", domid);
        remove_tree(dir_fd, name, RUNDIR_DEPTH_MAX);
        return make_dir(dir_fd, name);
}

void rundir_remove_domain(int dir_fd, uint32_t domid) {
        char name[sizeof "dom4294967295"];

        snprintf(name, sizeof name, "dom%u", domid);
        remove_tree(dir_fd, name, RUNDIR_DEPTH_MAX);
}

/* Whether name is domN, as this file writes it. */
static int is_domain(const char *name) {
        char *end;
        unsigned long domid;

        if (strncmp(name, "dom", 3) != 0 || name[3] < '0' || name[3] > '9')
                return false;
        domid = strtoul(name + 3, &end, 10);
        return *end == '\0' && domid <= UINT32_MAX;
}

void rundir_remove_domains(int dir_fd) {
        int fd = openat(dir_fd, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *entry;

        if (!dir) {
                if (fd >= 0)
                        close(fd);
                return;
        }
        while ((entry = readdir(dir)))
                if (is_domain(entry->d_name))
                        remove_tree(dir_fd, entry->d_name, RUNDIR_DEPTH_MAX);
        closedir(dir);
}

int rundir_open(const char *path, int *ret_dir_fd, int *ret_lock_fd) {
        int dir_fd, own_fd, lock_fd, r = 0;

        if (strlen(path) > EMU_RUN_DIR_MAX)
                return -ENAMETOOLONG;

        dir_fd = make_dir(AT_FDCWD, path);
        if (dir_fd < 0)
                return dir_fd;
        own_fd = make_dir(dir_fd, "xenemud");
        if (own_fd < 0) {
                close(dir_fd);
                return own_fd;
        }

        lock_fd = openat(own_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (lock_fd < 0)
                r = -errno;
        else if (flock(lock_fd, LOCK_EX | LOCK_NB) < 0)
                r = errno == EWOULDBLOCK ? -EBUSY : -errno;
        else if (unlinkat(own_fd, "control", 0) < 0 && errno != ENOENT)
                r = -errno;
        close(own_fd);
        if (r < 0) {
                if (lock_fd >= 0)
                        close(lock_fd);
                close(dir_fd);
                return r;
        }

        rundir_remove_domains(dir_fd);
        *ret_dir_fd = dir_fd;
        *ret_lock_fd = lock_fd;
        return 0;
}
