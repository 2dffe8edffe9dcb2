/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The limits of the manager and of storage on what a file of VMs has: said with the line, before anything is made. */

#include "vm-file.h"

/* A VM with its devices. */
void vm_limits_check(const struct wish *vm, struct problems *problems);
