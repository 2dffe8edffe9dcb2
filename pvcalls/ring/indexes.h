/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a frontend says on the indexes page about its data pages, copied once. */

#include <stdint.h>

#include "layout.h"

/* The pages of a socket's data, as a frontend offers them. Nothing of it is read again from shared memory. */
struct data_pages {
        uint32_t order;
        uint32_t n_refs;                /* 1 << order */
        uint32_t refs[PVCALLS_REFS_MAX];
};

/*
 * Copies the order and the references. order_max: as announced in the store, at most PVCALLS_ORDER_MAX. Returns 0, or -ERANGE if the order
 * is not from 1 to order_max ("max-page-order" must be 1 or more: with 0, a direction would have half a page).
 */
int indexes_read(struct pvcalls_indexes *indexes, uint32_t order_max, struct data_pages *ret_pages);

/* For a frontend: says it, on a page that nobody else knows of yet. */
void indexes_write(struct pvcalls_indexes *indexes, uint32_t order, const uint32_t *refs);
