/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Small numbers for objects; see slots.h. */

#include "slots.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST_SIZE 16u

void slots_done(struct slots *slots) {
        free(slots->items);
        *slots = (struct slots) {};
}

static int slots_grow(struct slots *slots, uint32_t n_needed) {
        uint32_t n = slots->n_items > 0 ? slots->n_items : SLOTS_FIRST_SIZE;
        void **items;

        if (n_needed <= slots->n_items)
                return 0;
        if (n_needed > UINT32_MAX / 2)
                return -ENOMEM;
        while (n < n_needed)
                n *= 2;

        items = reallocarray(slots->items, n, sizeof *items);
        if (!items)
                return -ENOMEM;

        memset(items + slots->n_items, 0, (n - slots->n_items) * sizeof *items);
        slots->items = items;
        slots->n_items = n;
        return 0;
}

int slots_set(struct slots *slots, uint32_t index, void *item) {
        int r;

        assert(item);

        r = slots_grow(slots, index + 1);
        if (r < 0)
                return r;

        assert(!slots->items[index]);
        slots->items[index] = item;
        slots->n_used++;
        return 0;
}

int slots_add(struct slots *slots, uint32_t first, uint32_t end, void *item, uint32_t *ret_index) {
        uint32_t i = slots->hint > first ? slots->hint : first;
        int r;

        while (i < end && slots_get(slots, i))
                i++;
        if (i >= end) {
                slots->hint = i;        /* so that asking again is cheap */
                return -ENOSPC;
        }

        r = slots_set(slots, i, item);
        if (r < 0)
                return r;

        slots->hint = i + 1;
        *ret_index = i;
        return 0;
}

void *slots_get(const struct slots *slots, uint32_t index) {
        return index < slots->n_items ? slots->items[index] : NULL;
}

void *slots_take(struct slots *slots, uint32_t index) {
        void *item = slots_get(slots, index);

        if (!item)
                return NULL;

        slots->items[index] = NULL;
        slots->n_used--;
        if (index < slots->hint)
                slots->hint = index;
        return item;
}

void *slots_next(const struct slots *slots, uint32_t *index) {
        for (uint32_t i = *index; i < slots->n_items; i++)
                if (slots->items[i]) {
                        *index = i;
                        return slots->items[i];
                }

        return NULL;
}
