/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How fast the counter runs that a guest has as its TSC in software emulation: it is the host's own.
 *
 * Guests find that out by a PIT, PM timer or HPET. A Linux that has ACPI of the kind that a microvm has looks for none of them, and with KVM need
 * not; in software emulation it waits for ever, unless it is told. The counter is looked at twice, with whatever time there was in between: nobody waits.
 */

#include <stdint.h>

struct ticks {
        uint64_t counter, nsec;         /* as it was */
};

void ticks_begin(struct ticks *ticks);

/* In kHz; 0: it cannot be told, as on another host than an x86. */
uint64_t ticks_khz(const struct ticks *ticks);
