/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "spin.h"

#define FIRST_USEC 8u                   /* of a new try: about what it costs to sleep and be woken */

void spin_init(struct spin *spin, uint32_t max_usec, unsigned n_cpus) {
        *spin = (struct spin) { .max_usec = n_cpus > 1 ? max_usec : 0 };
}

uint32_t spin_next(const struct spin *spin) {
        return spin->usec;
}

/* A wait within the bound would have been seen by looking, so it need not be tried out: the waits that are slept through tell as well. */
void spin_tell(struct spin *spin, uint64_t waited_usec) {
        uint32_t usec;

        if (waited_usec > spin->max_usec)
                usec = spin->usec / 2 < FIRST_USEC ? 0 : spin->usec / 2;
        else
                usec = spin->usec == 0 ? FIRST_USEC : spin->usec * 2;
        spin->usec = usec < spin->max_usec ? usec : spin->max_usec;
}
