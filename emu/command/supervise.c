/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Standing in for a program; see supervise.h. */

#include "supervise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT, SIGTSTP, SIGPIPE };

static void fill_signals(sigset_t *signals) {
        sigemptyset(signals);
        sigaddset(signals, SIGCHLD);
        for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++)
                sigaddset(signals, passed_on[i]);
}

void supervise_prepare(void) {
        sigset_t signals;

        fill_signals(&signals);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        prctl(PR_SET_CHILD_SUBREAPER, 1);       /* so that what the program leaves behind can be found */
}

void supervise_restore_signals(void) {
        sigset_t signals;

        fill_signals(&signals);
        sigprocmask(SIG_UNBLOCK, &signals, NULL);
}

/* Kills the children there are now. Returns whether there were any. */
static bool kill_children(void) {
        bool any = false;
        char path[64];
        int pid;
        FILE *f;

        snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
        f = fopen(path, "re");
        if (!f)
                return false;
        while (fscanf(f, "%d", &pid) == 1)
                any = kill(pid, SIGKILL) == 0 || any;
        fclose(f);
        return any;
}

/* Kills every descendant: a killed child's children become ours, so this goes on until there is none. */
static void kill_descendants(pid_t child, int *status) {
        while (kill_children()) {
                int other_status;
                pid_t pid = waitpid(-1, &other_status, 0);

                if (pid == child)
                        *status = other_status;
        }
}

/* Ends this process as the child ended. Returns an exit status. */
static int end_as(int status) {
        const struct rlimit no_core = {};
        sigset_t all;
        int number;

        if (WIFEXITED(status))
                return WEXITSTATUS(status);

        number = WTERMSIG(status);
        setrlimit(RLIMIT_CORE, &no_core);       /* the core that matters is the program's */
        signal(number, SIG_DFL);
        sigfillset(&all);
        sigprocmask(SIG_UNBLOCK, &all, NULL);
        kill(getpid(), number);
        return 128 + number;
}

/* Takes note of children that stopped or ended. Returns true once the one that matters has ended. */
static bool reap(pid_t child, int *ret_status) {
        bool ended = false;
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
                if (pid != child)
                        continue;
                if (WIFSTOPPED(status)) {
                        kill(getpid(), SIGSTOP);
                        kill(child, SIGCONT);   /* we are back; whoever woke us may have meant only us */
                } else {
                        *ret_status = status;
                        ended = true;
                }
        }
        return ended;
}

int supervise(pid_t child, int session_fd) {
        struct pollfd polled[] = { { .events = POLLIN }, { .fd = session_fd, .events = POLLIN } };
        struct signalfd_siginfo info;
        sigset_t signals;
        int status = 0;
        char byte;

        fill_signals(&signals);
        polled[0].fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
        if (polled[0].fd < 0)
                return report("cannot watch signals: %s", "no descriptor left");

        while (!reap(child, &status)) {
                if (poll(polled, 2, -1) < 0 && errno != EINTR)
                        break;

                while (read(polled[0].fd, &info, sizeof info) == sizeof info)
                        if (info.ssi_signo != SIGCHLD && info.ssi_code != SI_KERNEL)
                                kill(child, info.ssi_signo);

                if (polled[1].revents && recv(session_fd, &byte, 1, MSG_DONTWAIT) == 0) {
                        kill_descendants(child, &status);
                        report("the domain is gone");
                        break;
                }
        }
        return end_as(status);
}
