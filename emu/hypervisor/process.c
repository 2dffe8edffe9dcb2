/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Child processes; see process.h. */

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESS_INHERITED_FD 3

/* In the child. Returns only if the program could not be started. */
static void process_become(const struct process_spec *spec) {
        sigset_t none;
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (null < 0 || dup2(null, STDIN_FILENO) < 0)
                return;
        if (dup2(spec->standard_output >= 0 ? spec->standard_output : STDERR_FILENO, STDOUT_FILENO) < 0)
                return;
        if (spec->inherit_fd == PROCESS_INHERITED_FD) {
                if (fcntl(PROCESS_INHERITED_FD, F_SETFD, 0) < 0)
                        return;
        } else if (spec->inherit_fd >= 0 && dup2(spec->inherit_fd, PROCESS_INHERITED_FD) < 0)
                return;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execve(spec->argv[0], (char *const *) spec->argv, (char *const *) (spec->environment ?: (const char *const *) environ));
}

int process_start(const struct process_spec *spec, int *ret_pidfd) {
        int pidfd = -1;
        struct clone_args arguments = {
                .flags = CLONE_PIDFD | spec->clone_flags,
                .pidfd = (uintptr_t) &pidfd,
                .exit_signal = SIGCHLD,
        };
        long pid = syscall(SYS_clone3, &arguments, sizeof arguments);

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                process_become(spec);
                _exit(127);
        }

        *ret_pidfd = pidfd;             /* the kernel made it close-on-exec */
        return 0;
}

int process_watch(sd_event *event, int pidfd, sd_event_io_handler_t callback, void *userdata, sd_event_source **ret_source) {
        return sd_event_add_io(event, ret_source, pidfd, EPOLLIN, callback, userdata);
}

int process_reap(int pidfd) {
        siginfo_t info = {};

        if (waitid(P_PIDFD, pidfd, &info, WEXITED | WNOHANG) < 0)
                return -errno;
        if (info.si_pid == 0)
                return -EAGAIN;
        return info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : W_EXITCODE(0, info.si_status);
}

void process_kill(int pidfd, int signal_number) {
        (void) syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0);
}

int process_end(int pidfd) {
        siginfo_t info;

        process_kill(pidfd, SIGKILL);
        while (waitid(P_PIDFD, pidfd, &info, WEXITED) < 0 && errno == EINTR)
                ;
        close(pidfd);
        return -1;
}
