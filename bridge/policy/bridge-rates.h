/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rates of rules, as token buckets: what one domain used up of each rule of one policy that has a rate.
 *
 * Time is what the caller says it is, from anywhere. If it runs backwards, it stands still here.
 */

#include <stdbool.h>
#include <stdint.h>

#include "bridge-policy.h"

struct bridge_rates;

/* Full buckets for all rules of a policy, which has to live as long. */
int bridge_rates_new(struct bridge_rates **ret_rates, const struct bridge_policy *policy);
struct bridge_rates *bridge_rates_free(struct bridge_rates *rates);

/* Takes one message from the bucket of a rule of that policy. Returns whether there was one left; always, for a rule without a rate. */
bool bridge_rates_take(struct bridge_rates *rates, const struct bridge_rule *rule, uint64_t now_usec);

/* A bucket of burst messages, at least 1, which gets a new one every interval_ns; burst * interval_ns must be less than 2^64. */
struct bridge_bucket {
        uint64_t interval_ns, burst;
        uint64_t level_ns;      /* a message costs interval_ns */
        uint64_t last_ns;       /* 0 before the first */
};

bool bridge_bucket_take(struct bridge_bucket *bucket, uint64_t now_ns);
