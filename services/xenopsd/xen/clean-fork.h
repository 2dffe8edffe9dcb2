/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Forks of a process with threads whose child goes on with code that takes locks.
 *
 * A child has the one thread that forked. A lock that another thread held just then stays held in it for ever, and POSIX leaves such a child
 * nothing but to execute a program (fork(), "Application Usage"). Libraries that fork all the same, as libxl does to destroy a domain, have a
 * child every now and then that never ends, and wait for it. This child is asked first whether it can take the locks; one that cannot is
 * killed, and another is forked.
 */

#include <sys/types.h>

#define CLEAN_FORK_MS 200u              /* usual for limit_ms: a thousand times what taking locks takes */
#define CLEAN_FORK_TRIES 8u

/*
 * try: in the child, takes the locks that it is going to take, and lets go of them.
 * limit_ms: how long the first child has for that; each one after it has twice as long, and CLEAN_FORK_TRIES have their turn.
 * Returns what fork() does; -1 with errno EAGAIN if no child could take the locks.
 */
pid_t clean_fork(void (*try)(void *userdata), void *userdata, unsigned limit_ms);
