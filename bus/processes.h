/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Starting programs, and ending all that they have become.
 *
 * This process is a subreaper (prctl(2)): what a child leaves behind when it ends becomes a child of ours, so nothing that was started on
 * the bus's behalf, by us or by the broker, is out of reach.
 */

#include <stdint.h>
#include <sys/types.h>

struct program {
        const char *const *argv;        /* argv[0] is its path; NULL ends it */
        const char *const *environment; /* more variables, NAME=VALUE, or NULL */
        const int *fds;                 /* what it gets as descriptors 3, 4, ..., and no others; or NULL */
        unsigned n_fds;
        uint64_t n_open_files;          /* raises the limit of open files as far towards this as it can be; 0: leaves it */
        int end_with_us;                /* a signal that it gets when we die, or 0 */
        unsigned n_listen_fds;          /* how many of the first fds are told to sd_listen_fds(3) */
};

/* Before the first program is started. Blocks SIGCHLD, SIGTERM, SIGINT and SIGHUP, but not for programs. Returns 0 or a negative errno. */
int processes_prepare(void);

/* Starts a program with /dev/null as its standard input. Returns 0, or a negative errno if it cannot be run. */
int processes_start(const struct program *program, pid_t *ret_pid);

/*
 * Ends all descendants but the spared one and waits for them: asks with SIGTERM, and kills what is left when the time is over. 0 spares
 * none. May be called while none is left.
 */
void processes_end(pid_t spared, unsigned seconds);

/* The same of those that are in our session: what has begun one of its own, as a VM's QEMU has, is meant to outlive who started it. */
void processes_end_session(unsigned seconds);
