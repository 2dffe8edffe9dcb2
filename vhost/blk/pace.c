/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The pace of a queue's thread. */

#include "pace.h"

#define MISSED_MAX 4u                   /* looks in a row that see nothing, after which it does not look for a while */
#define SKIP_FIRST 64u                  /* waits; twice as many each time that the first look afterwards sees nothing, either, */
#define SKIP_MAX 1024u                  /* up to so many: one look in that many costs nothing */
#define CROWDED_FIRST 16u               /* the same, when others want the CPU: now and then somebody does on any machine */
#define CROWDED_MAX 4096u
#define LOOK_MIN_USEC 20u               /* less than that is no more than chance */
#define SHOW_USEC 16u                   /* some eight cached pages. Each time within a batch, twice as much */
#define SLOW_USEC 40u                   /* a driver that takes no longer gains less by being notified early than it costs to notify it twice */

void pace_init(struct pace *pace, uint32_t max_usec, unsigned n_cpus, long n_preempted) {
        uint32_t usec = n_cpus > 1 ? max_usec : 0;

        *pace = (struct pace) {
                .max_usec = usec,
                .usec = usec,
                .n_skip_missed = SKIP_FIRST,
                .n_skip_crowded = CROWDED_FIRST,
                .n_preempted = n_preempted,
        };
}

static uint32_t doubled(uint32_t n, uint32_t max) {
        return n * 2 < max ? n * 2 : max;
}

bool pace_look(struct pace *pace, uint64_t now_usec) {
        uint32_t usec = pace->n_skip > 0 ? 0 : pace->usec;

        if (pace->idle_since_usec == 0)
                pace->idle_since_usec = now_usec;
        if (now_usec - pace->idle_since_usec >= usec) {
                pace->has_slept = true;
                return false;
        }
        pace->has_looked = true;
        return true;
}

void pace_looked(struct pace *pace, long n_preempted) {
        if (n_preempted != pace->n_preempted) {
                pace->n_skip = pace->n_skip_crowded;
                pace->n_skip_crowded = doubled(pace->n_skip_crowded, CROWDED_MAX);
                pace->is_crowded = true;
                pace->is_early = false;
                pace->response_usec_8 = 0;
        }
        pace->n_preempted = n_preempted;
        pace->has_looked = false;
}

/* It was slept through at once. What came soon all the same would have been seen by looking. */
static void skipped(struct pace *pace, uint64_t waited_usec) {
        pace->n_skip = waited_usec <= pace->max_usec && !pace->is_crowded ? 0 : pace->n_skip - 1;
        if (pace->n_skip > 0)
                return;
        pace->is_crowded = false;
        pace->usec = pace->max_usec;
        pace->n_missed = MISSED_MAX - 1;        /* it has one look to show that it pays */
}

static void hit(struct pace *pace, uint32_t waited_usec) {
        uint32_t typical = pace->typical_usec - pace->typical_usec / 8;

        pace->n_missed = 0;
        pace->n_skip_missed = SKIP_FIRST;
        if (pace->n_skip_crowded > CROWDED_FIRST)
                pace->n_skip_crowded--;
        pace->typical_usec = typical > waited_usec ? typical : waited_usec;
        pace->usec = pace->typical_usec * 2 > LOOK_MIN_USEC ? pace->typical_usec * 2 : LOOK_MIN_USEC;
        if (pace->usec > pace->max_usec)
                pace->usec = pace->max_usec;
        pace->response_usec_8 += waited_usec - pace->response_usec_8 / 8;
        if (pace->response_usec_8 > SLOW_USEC * 8)
                pace->is_early = true;
}

static void missed(struct pace *pace) {
        pace->usec = pace->max_usec;    /* what came late may be typical from now on */
        if (++pace->n_missed < MISSED_MAX)
                return;
        pace->response_usec_8 = 0;
        pace->is_early = false;
        pace->n_skip = pace->n_skip_missed;
        pace->n_skip_missed = doubled(pace->n_skip_missed, SKIP_MAX);
}

void pace_came(struct pace *pace, uint64_t now_usec) {
        uint64_t waited = now_usec - pace->idle_since_usec;

        if (pace->idle_since_usec == 0)
                return;
        if (pace->max_usec == 0)
                ;                       /* it makes no difference */
        else if (pace->n_skip > 0)
                skipped(pace, waited);
        else if (pace->has_slept)
                missed(pace);
        else
                hit(pace, waited < pace->max_usec ? (uint32_t) waited : pace->max_usec);
        pace_forget(pace);
}

void pace_forget(struct pace *pace) {
        pace->idle_since_usec = 0;
        pace->has_slept = false;
}

void pace_begin(struct pace *pace, uint64_t now_usec) {
        /* A driver that wants to be notified again of the same batch has slept meanwhile: it is not that slow. */
        if (pace->n_notified > 1) {
                pace->is_early = false;
                pace->response_usec_8 = 0;
        }
        pace->n_notified = 0;
        pace->begun_usec = now_usec;
        pace->show_usec = pace->is_early ? SHOW_USEC : 0;
}

bool pace_shows(struct pace *pace, uint64_t now_usec) {
        if (pace->show_usec == 0 || now_usec - pace->begun_usec < pace->show_usec)
                return false;
        pace->show_usec *= 3;           /* and so twice as long until then */
        return true;
}

void pace_notified(struct pace *pace) {
        pace->n_notified++;
}
