/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "up-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static char *path_of(const char *address) {
        g_autofree char *bus = g_compute_checksum_for_string(G_CHECKSUM_SHA256, address, -1), *name = g_strdup_printf("up-%.16s.lock", bus);

        return g_build_filename(g_get_user_data_dir(), "xcpctl", name, NULL);
}

static bool take(int fd) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
                return true;
        if (errno != EWOULDBLOCK)
                return false;
        fprintf(stderr, "xcpctl: another up or down is under way, and is waited for\n");
        return flock(fd, LOCK_EX) == 0;
}

bool up_lock(struct context *context, GError **error) {
        g_autofree char *path = NULL, *directory = NULL;
        int fd;

        if (!context_bus(context, error))       /* whose address is known then */
                return false;
        path = path_of(context->address);
        directory = g_path_get_dirname(path);
        if (g_mkdir_with_parents(directory, 0700) < 0)
                return true;
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0600);
        if (fd < 0)
                return true;
        if (take(fd))
                return true;                    /* the kernel lets go of it */
        context_fail(error, CONTEXT_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
        close(fd);
        return false;
}
