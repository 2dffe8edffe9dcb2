/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bridge-rates.h"

#include <errno.h>
#include <stdlib.h>

#include "rule.h"

struct bridge_rates {
        size_t n;
        struct bridge_bucket buckets[];
};

bool bridge_bucket_take(struct bridge_bucket *bucket, uint64_t now_ns) {
        uint64_t full = bucket->interval_ns * bucket->burst;
        uint64_t passed = now_ns > bucket->last_ns ? now_ns - bucket->last_ns : 0;

        bucket->level_ns = passed < full - bucket->level_ns ? bucket->level_ns + passed : full;
        bucket->last_ns += passed;
        if (bucket->level_ns < bucket->interval_ns)
                return false;
        bucket->level_ns -= bucket->interval_ns;
        return true;
}

int bridge_rates_new(struct bridge_rates **ret_rates, const struct bridge_policy *policy) {
        struct bridge_rates *rates = calloc(1, sizeof *rates + policy->n_rates * sizeof *rates->buckets);

        if (!rates)
                return -ENOMEM;
        for (size_t i = 0; i < policy->n_rules; i++) {
                const struct rate *rate = &policy->rules[i]->rate;

                if (rate->interval_ns > 0)
                        rates->buckets[rates->n++] = (struct bridge_bucket) {
                                .interval_ns = rate->interval_ns,
                                .burst = rate->burst,
                                .level_ns = rate->interval_ns * rate->burst,
                        };
        }
        *ret_rates = rates;
        return 0;
}

struct bridge_rates *bridge_rates_free(struct bridge_rates *rates) {
        free(rates);
        return NULL;
}

bool bridge_rates_take(struct bridge_rates *rates, const struct bridge_rule *rule, uint64_t now_usec) {
        return rule->rate.interval_ns == 0 || bridge_bucket_take(&rates->buckets[rule->rate.index], 1000 * now_usec);
}
