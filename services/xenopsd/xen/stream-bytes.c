/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "stream-bytes.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEEK_AGAIN_USEC 1000u

/* Libxl itself waits like this. */
static int wait_for(int fd, short events) {
        struct pollfd poll_fd = { .fd = fd, .events = events };

        return poll(&poll_fd, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

int xen_stream_write_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EAGAIN) {
                        if (wait_for(fd, POLLOUT) < 0)
                                return -EIO;
                } else if (n < 0 && errno != EINTR)
                        return -errno;
                else if (n > 0) {
                        data += n;
                        size -= (size_t) n;
                }
        }
        return 0;
}

int xen_stream_read_all(int fd, char *data, size_t size) {
        while (size > 0) {
                ssize_t n = read(fd, data, size);

                if (n < 0 && errno == EAGAIN) {
                        if (wait_for(fd, POLLIN) < 0)
                                return -EIO;
                } else if (n < 0 && errno != EINTR)
                        return -errno;
                else if (n == 0)
                        return -EBADMSG;
                else if (n > 0) {
                        data += n;
                        size -= (size_t) n;
                }
        }
        return 0;
}

/* Asked before a look, so that nothing comes after it. */
static bool is_over(int fd) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLRDHUP };

        return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

int xen_stream_peek_all(int fd, char *data, size_t size) {
        off_t offset = lseek(fd, 0, SEEK_CUR);

        if (offset >= 0)
                return pread(fd, data, size, offset) == (ssize_t) size ? 0 : -EBADMSG;
        for (;;) {
                bool was_over = is_over(fd);
                ssize_t n = recv(fd, data, size, MSG_PEEK);

                if (n >= (ssize_t) size)
                        return 0;
                if (n == 0 || (n > 0 && was_over))
                        return -EBADMSG;
                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                /* A socket is readable already with less than all; what is on its way comes soon. */
                if (n < 0 ? wait_for(fd, POLLIN) < 0 : usleep(PEEK_AGAIN_USEC) < 0)
                        return -EIO;
        }
}
