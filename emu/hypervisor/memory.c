/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sealed shared memory; see memory.h. */

#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "protocol.h"

int memory_new(const char *name, uint32_t n_pages, int more_seals) {
        off_t size = (off_t) n_pages * EMU_PAGE_SIZE;
        int fd, r = 0;

        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return -errno;

        /* Allocated now: a page that cannot be had later would be a SIGBUS in whoever touches it. */
        if (ftruncate(fd, size) < 0 || fallocate(fd, 0, 0, size) < 0)
                r = -errno;
        else if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | more_seals) < 0)
                r = -errno;
        if (r < 0) {
                close(fd);
                return r;
        }
        return fd;
}

int memory_open_readonly(int memfd) {
        char path[sizeof "/proc/self/fd/" + 11];
        int fd;

        snprintf(path, sizeof path, "/proc/self/fd/%d", memfd);
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);     /* a holder may have a lease on it, which an open waits for */
        return fd < 0 ? -errno : fd;
}
