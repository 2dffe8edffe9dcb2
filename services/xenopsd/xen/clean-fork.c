/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "clean-fork.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"

/* Returns whether it came within so many milliseconds. */
static bool wait_for_word(int fd, unsigned limit_ms) {
        uint64_t until = clock_now_usec(CLOCK_MONOTONIC) + limit_ms * UINT64_C(1000);
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        char word;
        int r;

        do {
                uint64_t now = clock_now_usec(CLOCK_MONOTONIC);

                r = poll(&poll_fd, 1, now < until ? (int) ((until - now + 999) / 1000) : 0);
        } while (r < 0 && errno == EINTR);
        return r > 0 && read(fd, &word, 1) == 1;
}

/* As fork(); -EAGAIN if the child could not. */
static pid_t fork_one(void (*try)(void *userdata), void *userdata, unsigned limit_ms) {
        AUTO_CLOSE int ours = -1, theirs = -1;
        int fds[2];
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        ours = fds[0];
        theirs = fds[1];
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                try(userdata);
                if (write(theirs, "", 1) != 1)
                        _exit(EXIT_FAILURE);
                return 0;
        }
        if (wait_for_word(ours, limit_ms))
                return pid;
        (void) kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
        return -EAGAIN;
}

pid_t clean_fork(void (*try)(void *userdata), void *userdata, unsigned limit_ms) {
        pid_t pid = -EAGAIN;

        for (unsigned i = 0; i < CLEAN_FORK_TRIES && pid == -EAGAIN; i++)
                pid = fork_one(try, userdata, limit_ms << i);
        if (pid >= 0)
                return pid;
        errno = -pid;
        return -1;
}
