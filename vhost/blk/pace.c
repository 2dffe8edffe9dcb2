/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The pace of a queue's thread. */

#include "pace.h"

#define LOOK_MIN_USEC 20u               /* less than that is no more than chance */
#define TAKEN_USEC 10u                  /* giving way does not take that long if nobody wants the CPU */
#define SHOW_USEC 16u                   /* some eight cached pages; then four times as long: a notification is not free, either */
#define EARLY_BATCHES 4u                /* a driver that is early because it was shown answers early does not let us wait, and is not fast for that */

static uint64_t less(uint64_t a, uint64_t b) {
        return a > b ? a - b : 0;
}

void pace_init(struct pace *pace, uint32_t max_usec, unsigned n_cpus) {
        uint32_t usec = n_cpus > 1 ? max_usec : 0;

        *pace = (struct pace) { .max_usec = usec, .usec = usec };
}

static void charge(struct pace *pace, uint64_t cost, uint64_t now_usec) {
        uint64_t cost_max = (uint64_t) PACE_COST_MAX * pace->max_usec, earliest = less(now_usec, (uint64_t) PACE_SHARE * PACE_CREDIT * pace->max_usec);

        if (pace->paid_usec < earliest)
                pace->paid_usec = earliest;
        pace->paid_usec += PACE_SHARE * (cost < cost_max ? cost : cost_max);
}

/* It looked in vain, from when it became idle until now. */
static void missed(struct pace *pace, uint64_t now_usec) {
        charge(pace, now_usec - pace->idle_since_usec, now_usec);
        pace->usec = pace->max_usec;    /* what came late may be typical from now on */
}

static void hit(struct pace *pace, uint32_t waited_usec) {
        uint32_t typical = pace->typical_usec - pace->typical_usec / 8;

        pace->paid_usec = less(pace->paid_usec, PACE_SHARE * PACE_SAVED_USEC);
        pace->typical_usec = typical > waited_usec ? typical : waited_usec;
        pace->usec = pace->typical_usec * 2 > LOOK_MIN_USEC ? pace->typical_usec * 2 : LOOK_MIN_USEC;
        if (pace->usec > pace->max_usec)
                pace->usec = pace->max_usec;
}

bool pace_look(struct pace *pace, uint64_t now_usec) {
        if (pace->idle_since_usec == 0) {
                pace->idle_since_usec = now_usec;
                pace->has_slept = pace->max_usec == 0 || now_usec < pace->paid_usec;
        }
        if (!pace->has_slept && now_usec - pace->idle_since_usec >= pace->usec) {
                missed(pace, now_usec);
                pace->has_slept = true;
        }
        pace->looked_usec = now_usec;
        return !pace->has_slept;
}

void pace_gave_way(struct pace *pace, uint64_t now_usec) {
        uint64_t taken = now_usec - pace->looked_usec;

        if (taken < TAKEN_USEC)
                return;
        charge(pace, PACE_TAKEN * taken, now_usec);
        pace->idle_since_usec += taken; /* it did not look meanwhile */
        pace->has_slept = now_usec < pace->paid_usec;
}

void pace_forget(struct pace *pace) {
        pace->idle_since_usec = 0;
}

void pace_begin(struct pace *pace, uint64_t now_usec) {
        pace->begun_usec = now_usec;
        /* Nobody waits awake for a driver that is slept for: two wake-ups of it are not better than one. */
        if (pace->idle_since_usec != 0)
                pace->n_early = pace->has_slept ? 0 : EARLY_BATCHES;
        else if (pace->n_early > 0)
                pace->n_early--;
        pace->show_usec = pace->n_early > 0 ? SHOW_USEC : 0;
}

bool pace_shows(struct pace *pace, uint64_t now_usec) {
        if (pace->show_usec == 0 || now_usec - pace->begun_usec < pace->show_usec)
                return false;
        pace->show_usec *= 4;
        return true;
}

void pace_came(struct pace *pace) {
        uint64_t waited = pace->begun_usec - pace->idle_since_usec;

        if (pace->idle_since_usec == 0)
                return;
        if (!pace->has_slept && waited <= pace->max_usec)
                hit(pace, (uint32_t) waited);
        else if (!pace->has_slept)
                missed(pace, pace->begun_usec);         /* it was there at last, but somebody else had the CPU */
        pace_forget(pace);
}
