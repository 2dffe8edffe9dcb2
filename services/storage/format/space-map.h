/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which units of a storage repository in one file belong to a disk: a bit each. Looks for room from where it last found some, so that
 * disks made one after the other cost the same each. Also hands out slots of the table, in the same way. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct space_map {
        uint64_t *words;
        uint64_t n;                     /* bits */
        uint64_t n_used;
        uint64_t next;                  /* where to look first */
};

int space_map_init(struct space_map *map, uint64_t n);
void space_map_done(struct space_map *map);

/* Takes n bits in a row: 0 and the first, or -ENOSPC. */
int space_map_take(struct space_map *map, uint64_t n, uint64_t *ret_first);

/* Takes exactly these. -EBUSY: one of them is taken. -ERANGE: there are not so many. */
int space_map_take_at(struct space_map *map, uint64_t first, uint64_t n);

void space_map_give(struct space_map *map, uint64_t first, uint64_t n);

/* The longest row of bits that are free. Looks at all of them: for an error. */
uint64_t space_map_longest(const struct space_map *map);
