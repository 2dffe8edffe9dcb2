/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ticks.h"

#include <time.h>

#ifdef __x86_64__
#include <x86intrin.h>
#endif

#define LEAST_NSEC UINT64_C(1000000)    /* between the two looks, each of which is good to a microsecond */

static uint64_t now_nsec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * UINT64_C(1000000000) + (uint64_t) ts.tv_nsec;
}

static uint64_t counter(void) {
#ifdef __x86_64__
        return __rdtsc();
#else
        return 0;
#endif
}

void ticks_begin(struct ticks *ticks) {
        *ticks = (struct ticks) { counter(), now_nsec() };
}

uint64_t ticks_khz(const struct ticks *ticks) {
        uint64_t nsec = now_nsec() - ticks->nsec, n = counter() - ticks->counter;

        if (nsec < LEAST_NSEC)
                return 0;
        return (uint64_t) ((double) n / (double) nsec * 1e6);
}
