/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Questions to backends that are under way: vm_ask() of vm.h. */

#include "vm.h"

/* The VM goes: nobody is answered, but dropped() is called for all. */
void vm_asking_drop_all(struct vm *vm);
