/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Rates: a bucket that holds a second's worth and fills as time goes by. No I/O and no clock: the caller says what time it is. */

#include <stdbool.h>
#include <stdint.h>

#define RATE_MAX UINT32_MAX             /* a second, for counts; products with microseconds stay in 64 bits */

struct rate {
        uint64_t per_second;
        uint64_t left;                  /* in millionths of one */
        uint64_t filled;                /* when, in microseconds */
};

/* A full bucket. per_second: from 1 to RATE_MAX. */
void rate_init(struct rate *rate, uint64_t per_second, uint64_t now);

/* Takes n, if they are there. */
bool rate_take(struct rate *rate, uint64_t n, uint64_t now);

/* How many could be taken. */
uint64_t rate_left(struct rate *rate, uint64_t now);

/* Takes n in any case: of what has already happened. What is missing is missing later. */
void rate_spend(struct rate *rate, uint64_t n, uint64_t now);

/* Microseconds until n are there; 0 if they are. */
uint64_t rate_wait(struct rate *rate, uint64_t n, uint64_t now);
