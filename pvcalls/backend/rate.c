/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "rate.h"

#include <assert.h>

#define MILLION UINT64_C(1000000)

void rate_init(struct rate *rate, uint64_t per_second, uint64_t now) {
        assert(per_second >= 1 && per_second <= RATE_MAX);
        *rate = (struct rate) { .per_second = per_second, .left = per_second * MILLION, .filled = now };
}

static void fill(struct rate *rate, uint64_t now) {
        uint64_t elapsed = now > rate->filled ? now - rate->filled : 0;

        if (elapsed > MILLION)
                elapsed = MILLION;      /* the bucket holds no more */
        rate->left += elapsed * rate->per_second;
        if (rate->left > rate->per_second * MILLION)
                rate->left = rate->per_second * MILLION;
        if (now > rate->filled)         /* a clock that goes back must not give the same time twice */
                rate->filled = now;
}

bool rate_take(struct rate *rate, uint64_t n, uint64_t now) {
        fill(rate, now);
        if (n > rate->left / MILLION)
                return false;
        rate->left -= n * MILLION;
        return true;
}

uint64_t rate_left(struct rate *rate, uint64_t now) {
        fill(rate, now);
        return rate->left / MILLION;
}

void rate_spend(struct rate *rate, uint64_t n, uint64_t now) {
        fill(rate, now);
        rate->left = n > rate->left / MILLION ? 0 : rate->left - n * MILLION;
}

uint64_t rate_wait(struct rate *rate, uint64_t n, uint64_t now) {
        fill(rate, now);
        if (n > rate->per_second)
                n = rate->per_second;
        if (n * MILLION <= rate->left)
                return 0;
        return (n * MILLION - rate->left + rate->per_second - 1) / rate->per_second;
}
