/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"

#define FDS_MAX 8
#define FIRST_FD 3
#define KILL_ROUNDS 250         /* of 20 ms each */

static void fill_signals(sigset_t *signals) {
        static const int numbers[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP };

        sigemptyset(signals);
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
                sigaddset(signals, numbers[i]);
}

int processes_prepare(void) {
        sigset_t signals;

        fill_signals(&signals);
        if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                return -errno;
        return 0;
}

/* As root beyond the hard limit, else up to it. */
static void raise_open_files(uint64_t wanted) {
        struct rlimit limit, higher;

        if (wanted == 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
                return;
        higher = (struct rlimit) { wanted, limit.rlim_max > wanted ? limit.rlim_max : wanted };
        if (setrlimit(RLIMIT_NOFILE, &higher) == 0)
                return;
        higher = (struct rlimit) { limit.rlim_max < wanted ? limit.rlim_max : wanted, limit.rlim_max };
        (void) setrlimit(RLIMIT_NOFILE, &higher);
}

/* Puts descriptors at 3, 4, ... First out of the way, so that none overwrites another. */
static int place_fds(const struct program *program, int failure_fd, int *ret_failure_fd) {
        int high[FDS_MAX];

        for (unsigned i = 0; i < program->n_fds; i++) {
                high[i] = fcntl(program->fds[i], F_DUPFD_CLOEXEC, FIRST_FD + FDS_MAX + 1);
                if (high[i] < 0)
                        return -errno;
        }
        *ret_failure_fd = fcntl(failure_fd, F_DUPFD_CLOEXEC, FIRST_FD + FDS_MAX + 1);
        if (*ret_failure_fd < 0)
                return -errno;
        /* Whoever started us may have left some of his open, and somebody may wait for the end of --ready-fd's. */
        if (close_range(FIRST_FD, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0)
                return -errno;
        for (unsigned i = 0; i < program->n_fds; i++)
                if (dup2(high[i], FIRST_FD + i) < 0)
                        return -errno;
        return 0;
}

static void set_environment(const struct program *program) {
        char text[32];

        unsetenv("NOTIFY_SOCKET");      /* that is ours: another's word must not pass for it */
        for (const char *const *p = program->environment; p && *p; p++)
                putenv((char *) *p);
        if (program->n_listen_fds == 0)
                return;
        snprintf(text, sizeof text, "%d", getpid());
        setenv("LISTEN_PID", text, 1);
        snprintf(text, sizeof text, "%u", program->n_listen_fds);
        setenv("LISTEN_FDS", text, 1);
}

/* The child, up to exec. What goes wrong is told through the pipe, which a successful exec closes. */
_Noreturn static void run_child(const struct program *program, pid_t parent, int failure_fd) {
        sigset_t signals;
        int null_fd, r;

        r = place_fds(program, failure_fd, &failure_fd);
        if (r == 0) {
                null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
                if (null_fd >= 0)
                        dup2(null_fd, STDIN_FILENO);
                raise_open_files(program->n_open_files);
                set_environment(program);
                if (program->end_with_us) {
                        prctl(PR_SET_PDEATHSIG, program->end_with_us);
                        if (getppid() != parent)
                                _exit(1);       /* too late to be told */
                }
                sigemptyset(&signals);
                sigprocmask(SIG_SETMASK, &signals, NULL);
                execv(program->argv[0], (char *const *) program->argv);
                r = -errno;
        }
        (void) !write(failure_fd, &r, sizeof r);
        _exit(127);
}

int processes_start(const struct program *program, pid_t *ret_pid) {
        int pipe_fds[2], failure = 0;
        pid_t parent = getpid(), pid;
        ssize_t n;

        if (program->n_fds > FDS_MAX)
                return -E2BIG;
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0) {
                close(pipe_fds[0]);
                run_child(program, parent, pipe_fds[1]);
        }
        failure = pid < 0 ? -errno : 0;
        close(pipe_fds[1]);
        do
                n = failure ? 0 : read(pipe_fds[0], &failure, sizeof failure);
        while (n < 0 && errno == EINTR);
        close(pipe_fds[0]);
        if (failure < 0) {
                if (pid > 0)
                        waitpid(pid, NULL, 0);
                return failure;
        }
        *ret_pid = pid;
        return 0;
}

static bool is_of_session(pid_t pid, pid_t session) {
        return session == 0 || getsid(pid) == session;
}

/*
 * Sends a signal to every descendant of pid but the spared one; its own are not spared. session: only to those of this one; 0: of any.
 * Returns how many there are.
 */
static unsigned signal_descendants(pid_t pid, pid_t spared, pid_t session, int number) {
        AUTO_FILE *f = NULL;
        char path[64];
        unsigned n = 0;
        int child;

        snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
        f = fopen(path, "re");
        while (f && fscanf(f, "%d", &child) == 1) {
                n += signal_descendants(child, spared, session, number);
                if (child == spared || !is_of_session(child, session))
                        continue;
                n++;
                if (number)
                        kill(child, number);
        }
        return n;
}

/* Each child by its number: whoever waits for any of them is told of the spared one, once that has ended, and of no other. */
static void reap(pid_t spared) {
        AUTO_FILE *f = NULL;
        char path[64];
        int child;

        snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
        f = fopen(path, "re");
        while (f && fscanf(f, "%d", &child) == 1)
                if (child != spared)
                        waitpid(child, NULL, WNOHANG);
}

/* Looks again when a child ends, and every 20 ms for those that are not our children. Returns whether none was left in time. */
static bool wait_for_end(pid_t spared, pid_t session, unsigned milliseconds) {
        const struct timespec step = { .tv_nsec = 20 * 1000 * 1000 };
        struct timespec now, end;
        sigset_t signals;

        sigemptyset(&signals);
        sigaddset(&signals, SIGCHLD);
        clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += milliseconds / 1000;
        for (;;) {
                reap(spared);
                if (signal_descendants(getpid(), spared, session, 0) == 0)
                        return true;
                clock_gettime(CLOCK_MONOTONIC, &now);
                if (now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec > end.tv_nsec))
                        return false;
                sigtimedwait(&signals, NULL, &step);
        }
}

static void end(pid_t spared, pid_t session, unsigned seconds) {
        signal_descendants(getpid(), spared, session, SIGTERM);
        if (wait_for_end(spared, session, seconds * 1000))
                return;
        /* Again and again, as what is killed may just have started something; but not for ever, as some processes cannot be killed. */
        for (unsigned i = 0; i < KILL_ROUNDS; i++) {
                signal_descendants(getpid(), spared, session, SIGKILL);
                if (wait_for_end(spared, session, 0))
                        return;
        }
}

void processes_end(pid_t spared, unsigned seconds) {
        end(spared, 0, seconds);
}

void processes_end_session(unsigned seconds) {
        end(0, getsid(0), seconds);
}
