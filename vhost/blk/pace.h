/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The pace of a queue's thread: how long it looks for more before it sleeps, and when it lets the driver see its answers.
 *
 * If thread and driver sleep in turns, a batch costs two wake-ups, and each may be more than all that is in the batch. So the thread looks for more before
 * it sleeps, as long as it can pay for that. A look that sees nothing costs what it took, and what somebody else had of the CPU meanwhile costs several
 * times that; one that sees something earns a sleep; and time pays, by a small share of itself. Whoever owes more rests: it sleeps at once. So looks in
 * vain take no more than that share beyond what others have saved; and as no debt is larger than what a look can cost, and nothing that happens during a
 * rest makes it longer, it looks again within a bounded time, whatever was before: sleeping in turns never keeps itself up.
 *
 * A driver that the thread has had to wait for is shown answers before a batch has ended, so that it is awake and has asked for more when the last
 * of them is there. No I/O and no clock.
 */

#include <stdbool.h>
#include <stdint.h>

#define PACE_BATCH 32u                  /* requests begun before completions and commands are looked at */
#define PACE_SHARE 128u                 /* time pays for looks in vain by one part in so many */
#define PACE_CREDIT 25u                 /* looks in vain that were paid for beforehand, at the most */
#define PACE_COST_MAX 125u              /* looks that one, or others meanwhile, cost at the most */
#define PACE_TAKEN 4u                   /* how often time of others is charged: they will have more, as the scheduler puts those who give way last */
#define PACE_SAVED_USEC 50u             /* what a look that sees something earns: a kick, a sleep, and waking from it, as a virtual CPU does */

struct pace {
        uint32_t max_usec;              /* 0: it never looks */
        uint32_t usec;                  /* how long it looks now */
        uint32_t typical_usec;          /* what lately was seen by looking took that long, or less */
        uint64_t paid_usec;             /* when looks will have been paid for, or were */

        uint64_t idle_since_usec;       /* 0: there is something to do */
        uint64_t looked_usec;           /* when it last did */
        bool has_slept;                 /* since then, or is to */

        uint64_t begun_usec;            /* when the batch was */
        uint64_t show_usec;             /* how long after that answers are shown; 0: not before its end */
        unsigned n_early;               /* batches that are to be shown early */
};

/* max_usec: how long to look at the most; n_cpus: that this process may run on. With one, nobody else does anything while we look. */
void pace_init(struct pace *pace, uint32_t max_usec, unsigned n_cpus);

/* There is nothing to do, at this moment. Returns whether to look again, rather than sleep. */
bool pace_look(struct pace *pace, uint64_t now_usec);

/* After that, if the thread has given way: it has the CPU again. */
void pace_gave_way(struct pace *pace, uint64_t now_usec);

/* What is waited for is neither the driver's to do nor the disk's, and says nothing. */
void pace_forget(struct pace *pace);

/* A batch begins, if there is anything; and whether it is time to show what was answered of it so far. */
void pace_begin(struct pace *pace, uint64_t now_usec);
bool pace_shows(struct pace *pace, uint64_t now_usec);

/* There was something: what was waited for came when the batch began. */
void pace_came(struct pace *pace);
