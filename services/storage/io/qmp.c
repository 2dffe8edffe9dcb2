/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One command to a QEMU that serves a disk, over the monitor that is descriptor 3, and its answer. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io.h"

#define MONITOR 3
#define LINE_MAX_BYTES 65536u           /* of an answer: beyond, it is none that is waited for */
#define ID "\"id\": \"xcp-storage-io\""

/* A whole line, without its end. */
static int read_line(char *line) {
        static char bytes[LINE_MAX_BYTES];
        static size_t n;
        char *end;

        while (!(end = memchr(bytes, '\n', n))) {
                struct pollfd p = { .fd = MONITOR, .events = POLLIN };
                ssize_t more;

                if (n == sizeof bytes)
                        return -EMSGSIZE;
                if (poll(&p, 1, -1) < 0 && errno != EINTR)
                        return -errno;
                more = recv(MONITOR, bytes + n, sizeof bytes - n, MSG_DONTWAIT);
                if (more == 0)
                        return -ECONNRESET;
                if (more < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (more > 0)
                        n += (size_t) more;
        }
        memcpy(line, bytes, (size_t) (end - bytes));
        line[end - bytes] = '\0';
        n -= (size_t) (end + 1 - bytes);
        memmove(bytes, end + 1, n);
        return 0;
}

/* NODE SIZE. What QEMU has said before, and of other commands, is not looked at. */
int io_qmp_resize(int argc, char **argv) {
        static char line[LINE_MAX_BYTES];
        uint64_t size;
        int r, n;

        if (io_number(argv[1], &size) < 0)
                return io_failed(-EINVAL, "%s", argv[1]);
        n = snprintf(line, sizeof line, "{\"execute\":\"block_resize\",\"arguments\":{\"node-name\":\"%.31s\",\"size\":%llu}," ID "}\n", argv[0],
                     (unsigned long long) size);
        if (send(MONITOR, line, (size_t) n, MSG_NOSIGNAL) != n)
                return io_failed(-errno, "cannot ask what serves the disk");
        do
                r = read_line(line);
        while (r >= 0 && !strstr(line, ID));
        if (r < 0)
                return io_failed(r, "what serves the disk does not answer");
        return strstr(line, "\"return\": ") ? 0 : io_failed(-EIO, "%.300s", line);
}
