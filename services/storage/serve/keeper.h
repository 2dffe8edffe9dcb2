/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A keeper: what is left of the service in a process from which it has moved, as long as disks are used that are served there, or have
 * loop devices there (device.h).
 *
 * It has a connection of its own with a name that nobody else ever has, so that it can be reached from whichever domain the service is in, and does what
 * the service asks for there (org.xen.xcp.storage1.Keeper). Who it believes knows a word, which is in the state that was handed over, as is the name.
 */

#include <stdbool.h>

struct keeper;
struct storage;

/* Makes one, before it is known whether the service moves: the state has to say how it is called. */
int keeper_new(struct keeper **ret_keeper, struct storage *storage);
struct keeper *keeper_free(struct keeper *keeper);

/* Its name and its word, with a space between them. */
const char *keeper_text(const struct keeper *keeper);

/* Whether there is anything to keep. If so, the process ends by itself when there is not any more. */
bool keeper_stays(struct keeper *keeper);

/* Something is not kept any more. keeper may be NULL. */
void keeper_look(struct keeper *keeper);
