/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a handle of grants knows about the memory it has given out: which addresses, and what they are called at the daemon.
 *
 * Users may munmap(2) such memory themselves, as libxenvchan does, and nobody hears of it. But when the same addresses are given out
 * again, it is certain: regions_take_overlap() yields what was there before, so that it can be given back to the daemon.
 * Does no I/O and no locking.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct region {
        uintptr_t address;
        size_t n_pages;
        size_t n_ids;                   /* shares or mappings it consists of */
        uint32_t *ids;                  /* the region's own, malloc()ed */
        bool notifies;                  /* its end has been asked to be told of */
};

struct regions {
        struct region *array;           /* ascending by address, none overlaps another */
        size_t n;
        size_t n_allocated;
};

/* Frees everything; does not touch the memory that regions are about. */
void regions_deinit(struct regions *regions);

/* Makes room for one more, so that the next regions_add() cannot fail. Returns 0 or -ENOMEM. */
int regions_reserve(struct regions *regions);

/* Adds a region, whose ids now belong to it. There must be room, and nothing in the way. */
void regions_add(struct regions *regions, const struct region *region);

/* Takes out the region that begins at address and has n_pages. Returns false if there is none; the caller frees its ids. */
bool regions_take(struct regions *regions, uintptr_t address, size_t n_pages, struct region *ret_region);

/* Takes out a region that has a page in common with address and n_pages. Returns false if there is none (any more). */
bool regions_take_overlap(struct regions *regions, uintptr_t address, size_t n_pages, struct region *ret_region);
