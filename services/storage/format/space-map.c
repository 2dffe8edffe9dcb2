/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "space-map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define WORD 64u

int space_map_init(struct space_map *map, uint64_t n) {
        uint64_t *words = calloc(n / WORD + 1, sizeof *words);

        if (!words)
                return -ENOMEM;
        *map = (struct space_map) { .words = words, .n = n };
        return 0;
}

void space_map_done(struct space_map *map) {
        free(map->words);
        *map = (struct space_map) {};
}

static bool is_used(const struct space_map *map, uint64_t i) {
        return map->words[i / WORD] >> i % WORD & 1;
}

static void set(struct space_map *map, uint64_t first, uint64_t n, bool used) {
        for (uint64_t i = first; i < first + n; i++)
                if (used)
                        map->words[i / WORD] |= UINT64_C(1) << i % WORD;
                else
                        map->words[i / WORD] &= ~(UINT64_C(1) << i % WORD);
        if (used)
                map->n_used += n;
        else
                map->n_used -= n;
}

/* The first row of n free bits in [begin, end): 1 and where, or 0. Passes over words that are all taken at once. */
static int find(const struct space_map *map, uint64_t begin, uint64_t end, uint64_t n, uint64_t *ret_first) {
        uint64_t run = 0;

        for (uint64_t i = begin; i < end;) {
                if (i % WORD == 0 && map->words[i / WORD] == UINT64_MAX) {
                        run = 0;
                        i += WORD;
                        continue;
                }
                run = is_used(map, i) ? 0 : run + 1;
                i++;
                if (run == n) {
                        *ret_first = i - n;
                        return 1;
                }
        }
        return 0;
}

int space_map_take(struct space_map *map, uint64_t n, uint64_t *ret_first) {
        uint64_t first;

        if (n == 0 || n > map->n - map->n_used)
                return -ENOSPC;
        if (find(map, map->next, map->n, n, &first) == 0 && find(map, 0, map->n, n, &first) == 0)
                return -ENOSPC;
        set(map, first, n, true);
        map->next = first + n;
        *ret_first = first;
        return 0;
}

int space_map_take_at(struct space_map *map, uint64_t first, uint64_t n) {
        if (first > map->n || n > map->n - first)
                return -ERANGE;
        for (uint64_t i = first; i < first + n; i++)
                if (is_used(map, i))
                        return -EBUSY;
        set(map, first, n, true);
        return 0;
}

void space_map_give(struct space_map *map, uint64_t first, uint64_t n) {
        for (uint64_t i = first; i < first + n; i++)
                assert(is_used(map, i));
        set(map, first, n, false);
}

uint64_t space_map_longest(const struct space_map *map) {
        uint64_t longest = 0, run = 0;

        for (uint64_t i = 0; i < map->n; i++) {
                run = is_used(map, i) ? 0 : run + 1;
                if (run > longest)
                        longest = run;
        }
        return longest;
}
