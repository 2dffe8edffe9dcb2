/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Very many connections, at once and one after the other. */
#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "case.h"

#define N_AT_ONCE 1000
#define N_SHORT 10000

/* Connects and has a byte sent back. Returns the descriptor, or -1. */
static int connection_use(const struct case_context *context) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char byte = 0;

        if (fd >= 0 && connect(fd, (const struct sockaddr *) &context->peer, sizeof(context->peer)) == 0 &&
            write_all(fd, "ex", 2) == 2 && read_all(fd, &byte, 1) == 1 && byte == 'x')
                return fd;
        if (fd >= 0)
                close(fd);
        return -1;
}

void case_thousand_at_once(struct case_context *context) {
        struct rlimit limit;
        int fds[N_AT_ONCE], n = 0, n_echoed = 0;
        char byte;

        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        while (n < N_AT_ONCE && (fds[n] = connection_use(context)) >= 0)
                n++;
        tell(context, "connections at once", n);
        for (int i = 0; i < n; i++)
                write_all(fds[i], "y", 1);
        for (int i = 0; i < n; i++)
                n_echoed += read_all(fds[i], &byte, 1) == 1 && byte == 'y';
        tell(context, "echoes over them", n_echoed);
        for (int i = 0; i < n; i++)
                close(fds[i]);
}

void case_ten_thousand(struct case_context *context) {
        int n_done = 0, fd;

        for (int i = 0; i < N_SHORT; i++) {
                fd = connection_use(context);
                if (fd < 0)
                        continue;
                n_done++;
                close(fd);
        }
        tell(context, "connections one after the other", n_done);
}
