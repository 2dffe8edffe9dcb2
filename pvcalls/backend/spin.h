/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How long to look for more before sleeping: as long as that has paid lately, and not at all where it would keep the one who is waited for from
 * running. No I/O and no clock.
 */

#include <stdbool.h>
#include <stdint.h>

struct spin {
        uint32_t max_usec;              /* 0: never */
        uint32_t usec;                  /* now */
        uint32_t n_skipped;             /* sleeps since it was last tried */
};

/* n_cpus: that this process may run on. With one, nobody else runs while we look. */
void spin_init(struct spin *spin, uint32_t max_usec, unsigned n_cpus);

/* How many microseconds to look for this time. */
uint32_t spin_next(struct spin *spin);

/* Whether something came meanwhile. */
void spin_tell(struct spin *spin, bool paid);
