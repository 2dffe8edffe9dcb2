/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Queues: what is to be done with one VM, one after another.
 *
 * What is urgent comes before all that is not, and after what was urgent before. Room is bounded, and there is more of it for what is
 * urgent, so that a VM whose queue is full can still be killed. Knows nothing of what the entries mean.
 */

#include <stdbool.h>
#include <stddef.h>

#define QUEUE_MAX 64u                   /* entries that wait: more than any program has reason for with one VM */
#define QUEUE_URGENT_MAX (QUEUE_MAX + 8u)

enum queue_urgency {
        QUEUE_NORMAL,
        QUEUE_URGENT,                   /* Kill */
        QUEUE_OWN,                      /* the manager's own, which is never refused: at most one for each event */
};

struct queue_entry {
        struct queue_entry *next;
        enum queue_urgency urgency;
};

struct queue {
        struct queue_entry *first;      /* of those that wait */
        struct queue_entry *current;    /* what is being done */
        size_t n;                       /* that wait */
};

/* How many may wait, for an entry of this urgency; 0: any number. */
size_t queue_limit(enum queue_urgency urgency);

/* -E2BIG if it is full. */
int queue_add(struct queue *queue, struct queue_entry *entry, enum queue_urgency urgency);

/* Takes the first that waits, which is then current. NULL if nothing waits, or something is current. */
struct queue_entry *queue_next(struct queue *queue);

/* The current one is done. */
void queue_done(struct queue *queue);

/* Takes out one that waits. -ENOENT if it does not. */
int queue_remove(struct queue *queue, struct queue_entry *entry);
