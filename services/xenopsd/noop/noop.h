/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The hypervisor that runs nothing: for tests of all that is above hypervisors, and of programs that use the VM manager.
 *
 * A guest is a file that says what it is and since when, and the clock: what it does, it does at times that follow from the two. So
 * guests survive the manager as real ones do, and end with the host's boot. They have a console to type at, addresses and figures, and
 * misbehave as their backend_options say (docs/xenopsd.md).
 */

#include "hypervisor.h"

extern const struct hypervisor noop_hypervisor;
