/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Child processes of the hypervisor, known by pidfd so that no other process can be meant. */

#include <stdint.h>
#include <systemd/sd-event.h>

struct process_spec {
        const char *const *argv;        /* argv[0] is the absolute path */
        const char *const *environment; /* NULL: the caller's */
        uint64_t clone_flags;           /* CLONE_NEW*, 0 for none */
        int standard_output;            /* -1: where the caller's standard error goes */
        int inherit_fd;                 /* becomes descriptor 3; -1 for none */
};

/*
 * Starts a process that is killed when its parent dies. All other descriptors of the caller must be close-on-exec.
 * Returns 0 and a pidfd, or a negative errno. That the program cannot be executed shows as exit status 127.
 */
int process_start(const struct process_spec *spec, int *ret_pidfd);

/*
 * Calls callback(source, pidfd, ...) when the process has ended; it must then call process_reap. ret_source is owned by the caller.
 */
int process_watch(sd_event *event, int pidfd, sd_event_io_handler_t callback, void *userdata, sd_event_source **ret_source);

/* Returns the wait status of an ended child (as of waitpid(2)), -EAGAIN while it runs, or another negative errno. */
int process_reap(int pidfd);

void process_kill(int pidfd, int signal_number);

/* Kills a child that nobody watches yet, waits until it is gone, and closes pidfd. Always returns -1. */
int process_end(int pidfd);
