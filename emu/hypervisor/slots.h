/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Slots: small numbers for objects, given out lowest first, as Xen gives out event channel ports and Linux grant references.
 *
 * The objects belong to the caller. A zeroed struct slots is an empty one.
 */

#include <stdint.h>

struct slots {
        void **items;
        uint32_t n_items;               /* allocated, most of them perhaps empty */
        uint32_t n_used;
        uint32_t hint;                  /* nothing below is free */
};

/* Frees the table, not what is in it. */
void slots_done(struct slots *slots);

/*
 * Puts item into the lowest free slot from first up to, not including, end.
 * Returns 0 and its index, -ENOSPC if all are taken, or -ENOMEM.
 */
int slots_add(struct slots *slots, uint32_t first, uint32_t end, void *item, uint32_t *ret_index);

/* Puts item into the slot at index, which must be free. Returns 0 or -ENOMEM. */
int slots_set(struct slots *slots, uint32_t index, void *item);

/* What is at index, or NULL. Any index may be asked for. */
void *slots_get(const struct slots *slots, uint32_t index);

/* Empties the slot at index and returns what was there, or NULL. */
void *slots_take(struct slots *slots, uint32_t index);

/* The first item at or after *index, whose index it stores there, or NULL. */
void *slots_next(const struct slots *slots, uint32_t *index);
