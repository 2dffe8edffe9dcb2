/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The memory that a handle has given out; see grant-regions.h. */

#include "grant-regions.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol.h"

void regions_deinit(struct regions *regions) {
        for (size_t i = 0; i < regions->n; i++)
                free(regions->array[i].ids);
        free(regions->array);
        *regions = (struct regions) {};
}

static uintptr_t region_end(const struct region *region) {
        return region->address + region->n_pages * EMU_PAGE_SIZE;
}

/* The index of the first region that ends behind address. */
static size_t regions_find(const struct regions *regions, uintptr_t address) {
        size_t low = 0, high = regions->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (region_end(&regions->array[middle]) <= address)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

int regions_reserve(struct regions *regions) {
        size_t n = regions->n_allocated ? 2 * regions->n_allocated : 8;
        struct region *bigger;

        if (regions->n < regions->n_allocated)
                return 0;
        bigger = reallocarray(regions->array, n, sizeof *bigger);
        if (!bigger)
                return -ENOMEM;
        regions->array = bigger;
        regions->n_allocated = n;
        return 0;
}

void regions_add(struct regions *regions, const struct region *region) {
        size_t i = regions_find(regions, region->address);

        assert(regions->n < regions->n_allocated);
        assert(i == regions->n || region_end(region) <= regions->array[i].address);

        memmove(&regions->array[i + 1], &regions->array[i], (regions->n - i) * sizeof *regions->array);
        regions->array[i] = *region;
        regions->n++;
}

static void regions_take_at(struct regions *regions, size_t i, struct region *ret_region) {
        *ret_region = regions->array[i];
        regions->n--;
        memmove(&regions->array[i], &regions->array[i + 1], (regions->n - i) * sizeof *regions->array);
}

bool regions_take(struct regions *regions, uintptr_t address, size_t n_pages, struct region *ret_region) {
        size_t i = regions_find(regions, address);

        if (i == regions->n || regions->array[i].address != address || regions->array[i].n_pages != n_pages)
                return false;
        regions_take_at(regions, i, ret_region);
        return true;
}

bool regions_take_overlap(struct regions *regions, uintptr_t address, size_t n_pages, struct region *ret_region) {
        size_t i = regions_find(regions, address);

        if (i == regions->n || regions->array[i].address >= address + n_pages * EMU_PAGE_SIZE)
                return false;
        regions_take_at(regions, i, ret_region);
        return true;
}
