/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What time it is, in microseconds, as sd-event counts it. */

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_now_usec(clockid_t clock) {
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t) now.tv_sec * UINT64_C(1000000) + (uint64_t) now.tv_nsec / 1000;
}
