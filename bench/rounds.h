/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rounds: a measuring program stays ready and measures when it is told to.
 *
 * Each line "N" on standard input is a round: the program does its operation N times and prints the nanoseconds that took. Thus two
 * programs that are to be compared can take turns, and what disturbs the machine disturbs both. The end of the input ends the program.
 */

#include <stdint.h>
#include <sys/types.h>

/* Serves rounds. operate does n operations and returns 0 or a negative errno. Returns an exit status for main(). */
int rounds_serve(const char *program, int (*operate)(void *userdata, uint64_t n), void *userdata);

/* For the side that is not measured: returns at the end of standard input. */
void rounds_await_end(void);

/* Prints what, the system's reason for it, and returns the exit status of a failure. */
int rounds_fail(const char *program, const char *what);

/*
 * Forks a process that lives at most as long as this one, on CPU cpu only. It has a session of its own: the kernel schedules sessions
 * as groups, and programs in two domains are in two. Returns as fork(2).
 */
pid_t rounds_fork(int cpu);
