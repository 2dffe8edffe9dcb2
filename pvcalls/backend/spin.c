/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "spin.h"

#define FIRST_USEC 4u                   /* of a new try: about what it costs to be woken */
#define SKIPPED_MAX 32u                 /* sleeps between tries when it does not pay: three per cent of them cost FIRST_USEC more */

void spin_init(struct spin *spin, uint32_t max_usec, unsigned n_cpus) {
        *spin = (struct spin) { .max_usec = n_cpus > 1 ? max_usec : 0 };
}

uint32_t spin_next(struct spin *spin) {
        if (spin->usec > 0 || spin->max_usec == 0)
                return spin->usec;
        if (spin->n_skipped < SKIPPED_MAX) {
                spin->n_skipped++;
                return 0;
        }
        spin->n_skipped = 0;
        spin->usec = FIRST_USEC < spin->max_usec ? FIRST_USEC : spin->max_usec;
        return spin->usec;
}

void spin_tell(struct spin *spin, bool paid) {
        if (!paid)
                spin->usec = spin->usec / 2 < FIRST_USEC ? 0 : spin->usec / 2;
        else
                spin->usec = spin->usec * 2 < spin->max_usec ? spin->usec * 2 : spin->max_usec;
}
