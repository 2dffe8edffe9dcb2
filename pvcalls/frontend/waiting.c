/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "waiting.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#define SPIN_USEC 50u                   /* as backends do (--spin): about what it costs to sleep and be woken, many times over */

unsigned waiting_cpus(void) {
        cpu_set_t cpus;

        CPU_ZERO(&cpus);
        return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (unsigned) CPU_COUNT(&cpus) : 1;
}

void waiting_init(struct waiting *waiting, unsigned n_cpus) {
        *waiting = (struct waiting) {};
        pthread_mutex_init(&waiting->lock, NULL);
        spin_init(&waiting->spin, SPIN_USEC, n_cpus);
}

void waiting_deinit(struct waiting *waiting) {
        pthread_mutex_destroy(&waiting->lock);
}

static uint64_t now_usec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

/* Looks until then, or until there is something. */
static int look(struct pollfd *fds, nfds_t n, uint64_t until_usec) {
        int r;

        do
                r = poll(fds, n, 0);
        while (r == 0 && now_usec() < until_usec);
        return r;
}

static uint32_t look_usec(struct waiting *waiting) {
        uint32_t usec;

        pthread_mutex_lock(&waiting->lock);
        usec = spin_next(&waiting->spin);
        pthread_mutex_unlock(&waiting->lock);
        return usec;
}

/* It has been looked for: whether that took the CPU from others. */
static void looked(struct waiting *waiting) {
        struct rusage usage;

        if (getrusage(RUSAGE_SELF, &usage) < 0)
                return;
        pthread_mutex_lock(&waiting->lock);
        if (usage.ru_nivcsw != waiting->n_preempted)
                spin_tell_crowded(&waiting->spin);
        waiting->n_preempted = usage.ru_nivcsw;
        pthread_mutex_unlock(&waiting->lock);
}

static void waited(struct waiting *waiting, uint64_t usec) {
        pthread_mutex_lock(&waiting->lock);
        spin_tell(&waiting->spin, usec);
        pthread_mutex_unlock(&waiting->lock);
}

int waiting_poll(struct waiting *waiting, struct pollfd *fds, nfds_t n, int timeout_ms) {
        int r = poll(fds, n, 0);
        uint64_t since;
        uint32_t usec;

        if (r != 0 || timeout_ms == 0)
                return r < 0 ? -errno : r;
        since = now_usec();
        usec = look_usec(waiting);
        if (usec > 0) {
                r = look(fds, n, since + usec);
                looked(waiting);
        }
        if (r == 0)
                r = poll(fds, n, timeout_ms);
        if (r < 0)                      /* by a signal: that says nothing about what is waited for */
                return -errno;
        waited(waiting, now_usec() - since);
        return r;
}
