/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

#define NAMESPACES "/run/netns"
#define EXIT_NOT_STARTED 127

/*
 * The new process, between vfork() and execve(): it shares its parent's memory, so it calls the system and nothing else. Returns only if
 * it could not be started.
 */
static int become(const struct launch *launch, int ready_fd, int null_fd) {
        sigset_t none;

        if (setsid() < 0 || fchdir(launch->directory_fd) < 0)
                return errno;
        if (launch->namespace_fd >= 0 && setns(launch->namespace_fd, CLONE_NEWNET) < 0)
                return errno;
        if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || dup2(ready_fd, 3) < 0)
                return errno;
        if (close_range(4, ~0u, 0) < 0)
                return errno;
        signal(SIGPIPE, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execv(launch->program, (char **) (uintptr_t) launch->argv);
        return errno;
}

__attribute__((noinline)) static int spawn(const struct launch *launch, int ready_fd, int null_fd, pid_t *ret_pid) {
        volatile int failure = 0;
        pid_t pid = vfork();

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                failure = become(launch, ready_fd, null_fd);
                _exit(EXIT_NOT_STARTED);
        }
        if (failure != 0) {
                waitpid(pid, NULL, 0);
                return -failure;
        }
        *ret_pid = pid;
        return 0;
}

int launch_start(const struct launch *launch, pid_t *ret_pid, int *ret_pidfd) {
        AUTO_CLOSE int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC), ready_fd = -1;
        int pidfd, r;

        ready_fd = fcntl(launch->ready_fd, F_DUPFD_CLOEXEC, 4);         /* dup2() onto itself would leave it to be closed */
        if (null_fd < 0 || ready_fd < 0)
                return -errno;
        r = spawn(launch, ready_fd, null_fd, ret_pid);
        if (r < 0)
                return r;
        pidfd = pidfd_open(*ret_pid, 0);
        if (pidfd < 0) {
                r = -errno;
                kill(*ret_pid, SIGKILL);
                waitpid(*ret_pid, NULL, 0);
                return r;
        }
        *ret_pidfd = pidfd;
        return 0;
}

bool launch_reap(int pidfd, int *ret_status) {
        siginfo_t info = {};

        if (waitid(P_PIDFD, (id_t) pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
                return false;
        *ret_status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
        return true;
}

int launch_open_namespace(const char *name) {
        char path[PATH_MAX];
        int fd;

        if (*name == '\0' || strlen(name) > NAME_MAX || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return -EINVAL;
        snprintf(path, sizeof path, NAMESPACES "/%s", name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}
