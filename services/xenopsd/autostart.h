/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Autostart: the VMs that the manager starts when it starts itself, in the order that they ask for and with their delays between.
 *
 * A VM that was switched off since the host was booted stays so: a manager that is restarted is no reason to undo that. One that was
 * moved elsewhere is not started at all.
 */

#include "vm.h"

/* After all VMs were found. */
int autostart_begin(struct xenopsd *xenopsd);
void autostart_end(struct xenopsd *xenopsd);
