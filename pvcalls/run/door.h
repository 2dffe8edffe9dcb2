/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The place in a domain where programs meet their supervisor: a socket in the domain's folder of the run directory. A domain has one device, and so one
 * supervisor at a time; the first program starts it, and it ends after the last.
 */

#include "ranges.h"

/* The folder, made if it is not there: $XCP_RUNDIR/domN, /run/xcpbus/domN without that. Returns a path that is the caller's; NULL and errno. */
char *door_directory(void);

/* Finds a supervisor that runs, or makes ret_lock and ret_door for a new one. Returns a connection to it, 0 if there is none, or an error. */
int door_find(const char *path, int *ret_lock, int *ret_door);

/* Hands over a program. */
int door_hand_over(int connection, int listener, const struct ranges *ranges);

/* For a supervisor: takes one. Returns its listener. */
int door_take(int door, struct ranges *ret_ranges);

/* For a supervisor that wants to end: false if somebody is coming in. The lock is kept: the next one is made when this one has let go of the device, at its end. */
bool door_close(int door, int lock, const char *path);
