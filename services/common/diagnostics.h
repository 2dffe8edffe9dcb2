/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Diagnostics: how a service is, for whoever operates it.
 *
 * Health is as bad as the worst problem that is known at the moment. A problem has a name, so that whoever noticed it can take it back,
 * and a sentence:
 *
 *         diagnostics_problem(service_diagnostics(service), HEALTH_DEGRADED, "sr-nfs1", "NFS server 10.0.0.7 does not answer");
 *         diagnostics_problem(service_diagnostics(service), HEALTH_GOOD, "sr-nfs1", NULL);
 *
 * Counters only grow, and belong to the service: 64-bit numbers whose addresses are known here.
 */

#include <stddef.h>
#include <stdint.h>

#define DIAGNOSTICS_COUNTERS_MAX 64u     /* of a service's own; those of calls, errors and tasks come by themselves */
#define DIAGNOSTICS_PROBLEMS_MAX 64u    /* known at once; of more, the first ones count */

/* types.xml, Health, has the same. */
enum health {
        HEALTH_GOOD,                      /* all that it is for, it can do */
        HEALTH_DEGRADED,                /* it does its work, but not all of it, or not as it should */
        HEALTH_FAILING,                  /* it cannot do its work until somebody does something */
        _HEALTH_N,
};

struct diagnostics_problem {
        enum health health;
        char *name;
        char *text;
};

struct diagnostics_counter {
        const char *name;               /* not copied */
        const uint64_t *value;
};

struct diagnostics {
        struct diagnostics_problem problems[DIAGNOSTICS_PROBLEMS_MAX];
        size_t n_problems;
        struct diagnostics_counter counters[DIAGNOSTICS_COUNTERS_MAX];
        size_t n_counters;
        void (*changed)(void *userdata);        /* the health, or its reasons; may be NULL */
        void *userdata;
};

#define DIAGNOSTICS_NULL { .n_problems = 0 }

void diagnostics_done(struct diagnostics *diagnostics);

/* Adds, changes or (with HEALTH_GOOD) takes back a problem. Told to the log and to clients if it is news. */
int diagnostics_problem(struct diagnostics *diagnostics, enum health health, const char *name, const char *text);

enum health diagnostics_health(const struct diagnostics *diagnostics);
const char *health_name(enum health health);

/* value has to live as long as the service. -ENOSPC: there are too many. */
int diagnostics_count(struct diagnostics *diagnostics, const char *name, const uint64_t *value);
