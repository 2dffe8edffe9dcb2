/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "queue.h"

#include <errno.h>

size_t queue_limit(enum queue_urgency urgency) {
        static const size_t limits[] = { [QUEUE_NORMAL] = QUEUE_MAX, [QUEUE_URGENT] = QUEUE_URGENT_MAX, [QUEUE_OWN] = 0 };

        return limits[urgency];
}

int queue_add(struct queue *queue, struct queue_entry *entry, enum queue_urgency urgency) {
        struct queue_entry **p = &queue->first;
        size_t limit = queue_limit(urgency);

        if (limit > 0 && queue->n >= limit)
                return -E2BIG;
        while (*p && (urgency == QUEUE_NORMAL || (*p)->urgency != QUEUE_NORMAL))
                p = &(*p)->next;
        entry->urgency = urgency;
        entry->next = *p;
        *p = entry;
        queue->n++;
        return 0;
}

struct queue_entry *queue_next(struct queue *queue) {
        struct queue_entry *entry = queue->first;

        if (queue->current || !entry)
                return NULL;
        queue->first = entry->next;
        queue->n--;
        entry->next = NULL;
        queue->current = entry;
        return entry;
}

void queue_done(struct queue *queue) {
        queue->current = NULL;
}

int queue_remove(struct queue *queue, struct queue_entry *entry) {
        for (struct queue_entry **p = &queue->first; *p; p = &(*p)->next)
                if (*p == entry) {
                        *p = entry->next;
                        entry->next = NULL;
                        queue->n--;
                        return 0;
                }
        return -ENOENT;
}
