/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Waiting: with looking where that pays, and as poll(2) everywhere else. poll(), the clock and the CPUs are the test's (--wrap). */

#include <errno.h>
#include <glib.h>
#include <sys/resource.h>
#include <time.h>

#include "waiting.h"

static uint64_t now;                    /* microseconds */
static uint64_t ready_at;               /* when there is something */
static long n_preempted;
static unsigned n_sleeps, n_looks;
static int failure;                     /* of a sleep: an errno; 0 */

/* Their prototypes are glibc's; the linker gives them their names. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_getrusage(int who, struct rusage *ret);

/* A look takes a microsecond, and a sleep as long as it has to. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms) {
        g_assert_cmpuint(n, ==, 1);
        if (timeout_ms == 0) {
                n_looks++;
                now++;
                return now >= ready_at;
        }
        n_sleeps++;
        if (failure != 0) {
                errno = failure;
                return -1;
        }
        if (timeout_ms > 0 && now + (uint64_t) timeout_ms * 1000 < ready_at) {
                now += (uint64_t) timeout_ms * 1000;
                return 0;
        }
        now = now > ready_at ? now : ready_at;
        return 1;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret) {
        g_assert_cmpint(clock, ==, CLOCK_MONOTONIC);
        *ret = (struct timespec) { .tv_sec = (time_t) (now / 1000000), .tv_nsec = (long) (now % 1000000) * 1000 };
        return 0;
}

int __wrap_getrusage(int who, struct rusage *ret) {
        g_assert_cmpint(who, ==, RUSAGE_SELF);
        *ret = (struct rusage) { .ru_nivcsw = n_preempted };
        return 0;
}

static void begin(struct waiting *waiting, unsigned n_cpus) {
        now = 1000;
        n_preempted = 0;
        failure = 0;
        waiting_init(waiting, n_cpus);
}

/* So many waits, each for something that comes so long after it begins. Returns how many were slept through; n_looks has what it took. */
static unsigned run(struct waiting *waiting, unsigned n, uint64_t usec) {
        struct pollfd fd = { .fd = 0, .events = POLLIN };

        n_sleeps = n_looks = 0;
        for (unsigned i = 0; i < n; i++) {
                ready_at = now + usec;
                g_assert_cmpint(waiting_poll(waiting, &fd, 1, -1), ==, 1);
                g_assert_cmpuint(now, >=, ready_at);
        }
        return n_sleeps;
}

static void test_one_cpu(void) {
        struct waiting waiting;

        begin(&waiting, 1);
        g_assert_cmpuint(run(&waiting, 1000, 10), ==, 1000);
        g_assert_cmpuint(n_looks, ==, 1000);
        waiting_deinit(&waiting);
}

static void test_short_waits(void) {
        struct waiting waiting;

        begin(&waiting, 2);
        g_assert_cmpuint(run(&waiting, 10, 40), <, 10);
        g_assert_cmpuint(run(&waiting, 1000, 40), ==, 0);
        waiting_deinit(&waiting);
}

static void test_long_waits(void) {
        struct waiting waiting;

        begin(&waiting, 2);
        run(&waiting, 10, 20);
        g_assert_cmpuint(run(&waiting, 1000, 1000), ==, 1000);
        g_assert_cmpuint(n_looks, <, 1000 + 200);       /* one each, to see whether it is a wait, and the last tries */
        g_assert_cmpuint(run(&waiting, 1000, 60), ==, 1000);
        g_assert_cmpuint(n_looks, ==, 1000);
        waiting_deinit(&waiting);
}

static void test_what_is_there_is_no_wait(void) {
        struct waiting waiting;

        begin(&waiting, 2);
        g_assert_cmpuint(run(&waiting, 1000, 0), ==, 0);
        g_assert_cmpuint(n_looks, ==, 1000);
        g_assert_cmpuint(run(&waiting, 1, 10), ==, 1);
        waiting_deinit(&waiting);
}

static void test_others_want_the_cpu(void) {
        struct waiting waiting;

        begin(&waiting, 2);
        run(&waiting, 10, 20);
        n_preempted++;
        run(&waiting, 1, 20);
        g_assert_cmpuint(run(&waiting, 60, 20), ==, 60);
        g_assert_cmpuint(run(&waiting, 100, 20), <, 100);
        waiting_deinit(&waiting);
}

static void test_ends(void) {
        struct pollfd fd = { .fd = 0, .events = POLLIN };
        struct waiting waiting;
        uint64_t since;

        begin(&waiting, 2);
        run(&waiting, 10, 20);
        ready_at = UINT64_MAX;
        g_assert_cmpint(waiting_poll(&waiting, &fd, 1, 0), ==, 0);
        since = now;
        g_assert_cmpint(waiting_poll(&waiting, &fd, 1, 3), ==, 0);
        g_assert_cmpuint(now - since, >=, 3000);

        /* A signal says nothing about how long waits are. */
        run(&waiting, 10, 20);
        ready_at = UINT64_MAX;
        failure = EINTR;
        for (int i = 0; i < 100; i++)
                g_assert_cmpint(waiting_poll(&waiting, &fd, 1, -1), ==, -EINTR);
        failure = 0;
        g_assert_cmpuint(run(&waiting, 100, 20), ==, 0);
        waiting_deinit(&waiting);
}

static void test_cpus(void) {
        g_assert_cmpuint(waiting_cpus(), >=, 1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/waiting/on-one-cpu-it-never-looks", test_one_cpu);
        g_test_add_func("/waiting/short-waits-are-not-slept-through", test_short_waits);
        g_test_add_func("/waiting/long-waits-are", test_long_waits);
        g_test_add_func("/waiting/what-is-there-at-once-is-no-wait", test_what_is_there_is_no_wait);
        g_test_add_func("/waiting/seldom-where-others-want-the-cpu", test_others_want_the_cpu);
        g_test_add_func("/waiting/time-outs-and-signals", test_ends);
        g_test_add_func("/waiting/cpus", test_cpus);
        return g_test_run();
}
