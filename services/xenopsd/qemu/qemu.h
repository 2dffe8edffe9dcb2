/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * QEMU: each guest is a process of QEMU, which goes on when the manager ends, and is found again by the next.
 *
 * Nothing of QEMU is linked in: it is started with a command line (command-line.h) and talked to on its monitor (qmp.h). docs/xenopsd.md
 * says what its guests have.
 */

#include "hypervisor.h"

extern const struct hypervisor qemu_hypervisor;
