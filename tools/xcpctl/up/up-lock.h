/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One up or down of a user's at a time on a bus: two at once, of files that share a VM or an image, would each see that a disk is not there, and make
 * it. It is held until the program ends.
 */

#include "context.h"

/* Waits for its turn, and says so. Without a place to have a file at, nobody waits. */
bool up_lock(struct context *context, GError **error);
