/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "spin.h"

#define FIRST_USEC 8u                   /* of a new try: about what it costs to sleep and be woken */
#define CROWDED_FIRST 64u               /* waits without it, when others want the CPU; twice as many each time, */
#define CROWDED_MAX 4096u               /* and after so many it is tried again all the same */

void spin_init(struct spin *spin, uint32_t max_usec, unsigned n_cpus) {
        *spin = (struct spin) { .max_usec = n_cpus > 1 ? max_usec : 0 };
}

uint32_t spin_next(const struct spin *spin) {
        return spin->usec;
}

/* A wait within the bound would have been seen by looking, so it need not be tried out: the waits that are slept through tell as well. */
void spin_tell(struct spin *spin, uint64_t waited_usec) {
        uint32_t usec;

        if (spin->n_waits_left > 0) {
                spin->n_waits_left--;
                return;
        }
        if (spin->usec > 0 && spin->n_waits_next > 0)
                spin->n_waits_next--;
        if (waited_usec > spin->max_usec)
                usec = spin->usec / 2 < FIRST_USEC ? 0 : spin->usec / 2;
        else
                usec = spin->usec == 0 ? FIRST_USEC : spin->usec * 2;
        spin->usec = usec < spin->max_usec ? usec : spin->max_usec;
}

void spin_tell_crowded(struct spin *spin) {
        spin->usec = 0;
        spin->n_waits_left = spin->n_waits_next > 0 ? spin->n_waits_next : CROWDED_FIRST;
        spin->n_waits_next = spin->n_waits_left * 2 < CROWDED_MAX ? spin->n_waits_left * 2 : CROWDED_MAX;
}
