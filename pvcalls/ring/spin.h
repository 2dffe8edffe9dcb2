/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How long to look for more before sleeping: long enough if what is waited for has lately come soon, and not at all if it has not, or where it
 * would keep somebody else from running. No I/O and no clock.
 */

#include <stdbool.h>
#include <stdint.h>

struct spin {
        uint32_t max_usec;              /* 0: never */
        uint32_t usec;                  /* now */
        uint32_t n_waits_left;          /* that it is not done for, as the CPU was wanted by others; 0: none */
        uint32_t n_waits_next;          /* the next time */
};

/* n_cpus: that this process may run on. With one, nobody else runs while we look. */
void spin_init(struct spin *spin, uint32_t max_usec, unsigned n_cpus);

/* How many microseconds to look for this time. */
uint32_t spin_next(const struct spin *spin);

/* How long it was until something came, whether that was seen by looking or sleeping. */
void spin_tell(struct spin *spin, uint64_t waited_usec);

/* The CPU was taken away since this was last told: others want it, and who looks before it sleeps gets less of it when it has something to do. */
void spin_tell_crowded(struct spin *spin);
