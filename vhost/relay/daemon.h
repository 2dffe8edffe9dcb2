/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The daemon: a process of qemu-storage-daemon that serves connections to a socket without a name, so that nobody else can connect to it. The socket is the
 * process's alone, and ends with it: who waits for an answer then waits no more.
 */

#include <sys/types.h>

#include <systemd/sd-event.h>

struct daemon {
        sd_event *event;
        int place_fd;                   /* the socket's inode, by which it is connected to; -1: there was none yet */
        pid_t pid;                      /* 0: none runs */
        sd_event_source *child;
        void (*ended)(int status, void *userdata);      /* it has ended by itself, or was asked to */
        void *userdata;
};

/*
 * Starts a program whose descriptor 3 is the socket, which inherits all others that are to be, and which ends with this one. beside: a socket with a path: for a
 * moment there is a file in its directory, called as that is, with ".in" behind it.
 */
int daemon_start(struct daemon *daemon, int beside, char *const argv[]);

/* Ends one that has nothing to lose, and waits for that; it is not told of. */
void daemon_kill(struct daemon *daemon);

/* Returns a connected socket. -ECONNREFUSED: it has ended. */
int daemon_connect(const struct daemon *daemon);
