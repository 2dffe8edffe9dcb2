/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the process gives up once its file and its socket are open: to be root, if there is somebody else to be, all capabilities, new privileges, and
 * the system calls that it has no use for. What a guest could make of a mistake in here is then what is left: its own disk and memory.
 *
 * io_uring would do behind the filter's back what it does not allow: so each queue's ring is restricted, too (io.c).
 */

#include <stdbool.h>

/* user: who to be if this is root; NULL: nobody else. connects: to a front-end's socket, so that it can make its own. Before there are threads. -ENOENT: there is no such user. Cannot be undone. */
int sandbox_enter(const char *user, bool connects);
