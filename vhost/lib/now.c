/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reads and writes that never wait. */

#include "now.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/uio.h>
#include <unistd.h>

/* Whether it is ready, or has an error or an end to tell of. */
static bool is_ready(int fd, short events) {
        struct pollfd p = { .fd = fd, .events = events };

        if (poll(&p, 1, 0) > 0)
                return true;
        errno = EAGAIN;
        return false;
}

ssize_t vhost_read_now(int fd, void *to, size_t n) {
        struct iovec iov = { to, n };
        ssize_t k = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

        if (k >= 0 || errno != EOPNOTSUPP)
                return k;
        return is_ready(fd, POLLIN) ? read(fd, to, n) : -1;
}

ssize_t vhost_write_now(int fd, const void *from, size_t n) {
        return is_ready(fd, POLLOUT) ? write(fd, from, n) : -1;
}
