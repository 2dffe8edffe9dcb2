/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rates, as the moment at which a disk is free again. */

#include "rate.h"

#define KEPT_USEC 100000u

void rate_init(struct rate *rate, uint64_t requests, uint64_t bytes) {
        pthread_mutex_init(&rate->lock, NULL);
        rate->requests = requests;
        rate->bytes = bytes;
        rate->free_usec = 0;
}

void rate_set(struct rate *rate, uint64_t requests, uint64_t bytes) {
        pthread_mutex_lock(&rate->lock);
        rate->requests = requests;
        rate->bytes = bytes;
        rate->free_usec = 0;
        pthread_mutex_unlock(&rate->lock);
}

uint64_t rate_wait(struct rate *rate, uint64_t now_usec) {
        uint64_t wait;

        if (rate->requests == 0 && rate->bytes == 0)
                return 0;
        pthread_mutex_lock(&rate->lock);
        wait = rate->free_usec > now_usec ? rate->free_usec - now_usec : 0;
        pthread_mutex_unlock(&rate->lock);
        return wait;
}

void rate_take(struct rate *rate, uint64_t bytes, uint64_t now_usec) {
        uint64_t requests_max = rate->requests, bytes_max = rate->bytes;       /* once: they may change meanwhile */
        uint64_t cost = 0, by_bytes;

        if (requests_max == 0 && bytes_max == 0)
                return;
        if (requests_max > 0)
                cost = 1000000u / requests_max;
        if (bytes_max > 0) {
                by_bytes = (uint64_t) ((double) bytes * 1e6 / (double) bytes_max);
                cost = cost > by_bytes ? cost : by_bytes;
        }
        pthread_mutex_lock(&rate->lock);
        if (rate->free_usec + KEPT_USEC < now_usec)
                rate->free_usec = now_usec - KEPT_USEC;
        rate->free_usec += cost;
        pthread_mutex_unlock(&rate->lock);
}
