/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The pace of a queue's thread: how long it looks for more before it sleeps, and when it lets the driver see its answers.
 *
 * If thread and driver sleep in turns, a batch costs two wake-ups, and each may be more than all that is in the batch. So the thread looks for more if
 * that has lately come soon. As its own wake-up hides how soon that is, it tries now and then whether looking would have paid. And where drivers take long,
 * it shows answers before a batch has ended, so that the driver is awake and has asked for more when the last of them is there. No I/O and no clock.
 */

#include <stdbool.h>
#include <stdint.h>

#define PACE_BATCH 32u                  /* requests begun before completions and commands are looked at */

struct pace {
        uint32_t max_usec;              /* 0: it never looks */
        uint32_t usec;                  /* how long it looks now */
        uint32_t typical_usec;          /* what lately was seen by looking took that long, or less */
        uint32_t n_missed;              /* looks in a row that saw nothing */
        uint32_t n_skip;                /* waits that are to be slept through at once */
        uint32_t n_skip_missed, n_skip_crowded; /* the next time, for either reason */
        bool is_crowded;                /* others wanted the CPU, which is why they are */

        uint64_t idle_since_usec;       /* 0: there is something to do */
        bool has_looked, has_slept;     /* since then */
        long n_preempted;               /* when that was last told */

        uint32_t response_usec_8;       /* how long drivers take that it looks for: 8 times a running mean of 8 */
        bool is_early;                  /* they take long enough to be shown answers before a batch ends */
        uint32_t n_notified;            /* of the batch */
        uint64_t begun_usec;            /* when it was */
        uint64_t show_usec;             /* how long after that answers are shown; 0: not before its end */
};

/*
 * max_usec: how long to look at the most; n_cpus: that this process may run on. With one, nobody else does anything while we look. n_preempted: how
 * often the thread has had to give up its CPU by now.
 */
void pace_init(struct pace *pace, uint32_t max_usec, unsigned n_cpus, long n_preempted);

/* There is nothing to do, at this moment. Returns whether to look again, rather than sleep. */
bool pace_look(struct pace *pace, uint64_t now_usec);

/* After that, if it has looked: others want the CPU if the thread had to give it up meanwhile. */
void pace_looked(struct pace *pace, long n_preempted);

/* Something came that was waited for. */
void pace_came(struct pace *pace, uint64_t now_usec);

/* What is waited for is neither the driver's to do nor the disk's, and says nothing. */
void pace_forget(struct pace *pace);

/* A batch begins; and whether it is time to show what was answered of it so far. */
void pace_begin(struct pace *pace, uint64_t now_usec);
bool pace_shows(struct pace *pace, uint64_t now_usec);

/* The driver was notified of answers. */
void pace_notified(struct pace *pace);
