/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Standing in for a program that runs elsewhere: who signals, stops or waits for us means it.
 *
 * Signals sent to us go on to the program; those the terminal sends reach it anyway, as it is in our process group. When it stops, we
 * stop; when it ends, we end the same way.
 */

#include <sys/types.h>

/* Before fork: from here on signals wait for supervise(). */
void supervise_prepare(void);

/* In the child before exec: undoes that. */
void supervise_restore_signals(void);

/*
 * Waits for the child and gives its exit status, or dies of the signal it died of. When session_fd reaches its end, the domain is
 * gone, and all descendants are killed.
 */
int supervise(pid_t child, int session_fd);
