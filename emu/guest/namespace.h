/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Makes the namespaces that the hypervisor started an isolated domain in into a place of its own: its own /proc and temporary
 * directories, of the run directory only the domain's part, its own host name, and a network of which the loopback is up.
 *
 * Returns 0, or a negative errno and in text what could not be done.
 */

#include <stddef.h>

#include "protocol.h"

int namespace_isolate(const struct emu_guest_boot *boot, char *text, size_t n_text);
