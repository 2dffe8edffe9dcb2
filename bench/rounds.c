/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measuring on command; see rounds.h. */

#include "rounds.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_nsec(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

int rounds_fail(const char *program, const char *what) {
        fprintf(stderr, "%s: %s: %s\n", program, what, strerror(errno));
        return 1;
}

int rounds_serve(const char *program, int (*operate)(void *userdata, uint64_t n), void *userdata) {
        uint64_t n, began, took;
        int r;

        setlinebuf(stdout);
        puts("ready");
        while (scanf("%" SCNu64, &n) == 1) {
                began = now_nsec();
                r = operate(userdata, n);
                took = now_nsec() - began;
                if (r < 0) {
                        errno = -r;
                        return rounds_fail(program, "the round failed");
                }
                printf("took %" PRIu64 "\n", took);
        }
        return 0;
}

void rounds_await_end(void) {
        char bytes[64];

        while (read(STDIN_FILENO, bytes, sizeof bytes) > 0)
                ;
}

pid_t rounds_fork(int cpu) {
        pid_t parent = getpid(), pid = fork();
        cpu_set_t cpus;

        if (pid != 0)
                return pid;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) /* it ended before the line above */
                _exit(1);
        setsid();
        CPU_ZERO(&cpus);
        CPU_SET(cpu, &cpus);
        if (sched_setaffinity(0, sizeof cpus, &cpus) < 0) {
                perror("cannot move to another CPU");
                _exit(1);
        }
        return 0;
}
