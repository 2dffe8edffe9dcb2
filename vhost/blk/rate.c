/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rates, as the moment at which a disk is free again. */

#include "rate.h"

#define KEPT_NSEC UINT64_C(100000000)
#define COST_NSEC_MAX UINT64_C(1000000000000000)        /* eleven days, which no guest waits for: so that no sum of a queue's each wraps */

void rate_init(struct rate *rate, uint64_t requests, uint64_t bytes) {
        pthread_mutex_init(&rate->lock, NULL);
        rate->requests = requests;
        rate->bytes = bytes;
        rate->free_nsec = 0;
}

void rate_set(struct rate *rate, uint64_t requests, uint64_t bytes) {
        pthread_mutex_lock(&rate->lock);
        rate->requests = requests;
        rate->bytes = bytes;
        rate->free_nsec = 0;
        pthread_mutex_unlock(&rate->lock);
}

uint64_t rate_wait(struct rate *rate, uint64_t now_usec) {
        uint64_t wait;

        if (rate->requests == 0 && rate->bytes == 0)
                return 0;
        pthread_mutex_lock(&rate->lock);
        wait = rate->free_nsec > now_usec * 1000 ? (rate->free_nsec - now_usec * 1000 + 999) / 1000 : 0;
        pthread_mutex_unlock(&rate->lock);
        return wait;
}

void rate_take(struct rate *rate, uint64_t bytes, uint64_t now_usec) {
        uint64_t requests_max = rate->requests, bytes_max = rate->bytes;       /* once: they may change meanwhile */
        uint64_t cost = 0, now_nsec = now_usec * 1000;
        double by_bytes;

        if (requests_max == 0 && bytes_max == 0)
                return;
        if (requests_max > 0)
                cost = 1000000000u / requests_max;
        if (bytes_max > 0) {
                by_bytes = (double) bytes * 1e9 / (double) bytes_max;
                if (by_bytes > (double) cost)
                        cost = by_bytes < (double) COST_NSEC_MAX ? (uint64_t) by_bytes : COST_NSEC_MAX;
        }
        pthread_mutex_lock(&rate->lock);
        if (rate->free_nsec + KEPT_NSEC < now_nsec)
                rate->free_nsec = now_nsec - KEPT_NSEC;
        rate->free_nsec += cost;
        pthread_mutex_unlock(&rate->lock);
}
