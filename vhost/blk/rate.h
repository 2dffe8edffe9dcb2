/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rates: how many requests and bytes a second a disk may do, over all of its queues.
 *
 * Debt: what is asked for is done, and then paid off before anything else is. So a request larger than a second's worth is possible, and none is
 * cut. What was not used is kept for a tenth of a second.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define RATE_REQUESTS_MAX 1000000u      /* a second: what is free again after a microsecond */

struct rate {
        pthread_mutex_t lock;
        _Atomic uint64_t requests, bytes;       /* per second; 0: as many as it likes */
        uint64_t free_nsec;             /* when the debt is paid off: a request may cost less than two microseconds, and not a whole number of them */
};

void rate_init(struct rate *rate, uint64_t requests, uint64_t bytes);

/* Other rates from now on. Debts of the old ones are forgiven. */
void rate_set(struct rate *rate, uint64_t requests, uint64_t bytes);

/* How long nothing may be done, from now on: 0, not at all. */
uint64_t rate_wait(struct rate *rate, uint64_t now_usec);

/* A request of so many bytes was begun. */
void rate_take(struct rate *rate, uint64_t bytes, uint64_t now_usec);
