/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Backends as processes that outlive the service: a controller that is restarted must not cost anybody a connection. (child.h is for
 * children that must not.)
 *
 * A process is known by a pidfd from its start on, or, if an earlier controller has started it, from the moment at which it has answered
 * at its socket: so a signal never reaches another that has its number by now.
 */

#include <stdbool.h>
#include <sys/types.h>

struct launch {
        const char *program;            /* a path */
        const char *const *argv;
        int directory_fd;               /* that it runs in */
        int namespace_fd;               /* a network namespace to be in; -1: ours */
        int ready_fd;                   /* becomes its descriptor 3 */
};

/* Starts one in a session of its own, with our environment and standard error. */
int launch_start(const struct launch *launch, pid_t *ret_pid, int *ret_pidfd);

/* How one has ended: true if that can be told, as waitpid(2) has it; another's child's end cannot. */
bool launch_reap(int pidfd, int *ret_status);

/* A network namespace that ip-netns(8) has made. -ENOENT: there is none. -EINVAL: that is no name. */
int launch_open_namespace(const char *name);
