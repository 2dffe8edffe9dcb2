/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "indexes.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int indexes_read(struct pvcalls_indexes *indexes, uint32_t order_max, struct data_pages *ret_pages) {
        uint32_t untrusted_order = atomic_load(&indexes->ring_order), n_refs;

        assert(order_max <= PVCALLS_ORDER_MAX);
        if (untrusted_order < 1 || untrusted_order > order_max)
                return -ERANGE;
        n_refs = 1u << untrusted_order;
        for (uint32_t i = 0; i < n_refs; i++)
                ret_pages->refs[i] = atomic_load_explicit(&indexes->refs[i], memory_order_relaxed);
        ret_pages->order = untrusted_order;
        ret_pages->n_refs = n_refs;
        return 0;
}

void indexes_write(struct pvcalls_indexes *indexes, uint32_t order, const uint32_t *refs) {
        assert(order >= 1 && order <= PVCALLS_ORDER_MAX);
        memset((void *) indexes, 0, sizeof *indexes);
        for (uint32_t i = 0; i < 1u << order; i++)
                atomic_store_explicit(&indexes->refs[i], refs[i], memory_order_relaxed);
        atomic_store(&indexes->ring_order, order);
}
