/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What an isolated domain sees of the host's files.
 *
 * Everything, except that the places where programs of one host meet are its own and empty at first (mounts.c has the list), and that of
 * the run directory only the domain's part is there. Directories that are to be kept stay although they lie in such a place.
 *
 * A failure names the step and the path in text and returns a negative errno.
 */

#include <stddef.h>

#include "protocol.h"

int mounts_isolate(const struct emu_guest_boot *boot, char *text, size_t n_text);
