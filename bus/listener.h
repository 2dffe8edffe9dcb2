/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The socket of a domain's bus, DOMAIN-DIR/bus, and that there is only one such bus.
 *
 * Whoever may enter the directory may connect: what a connection may do is a matter of policy. The directory stays locked (flock(2)) as
 * long as the listener lives, so a socket that is found there while we hold the lock was left behind, or belongs to something else that
 * answers on it.
 */

struct listener {
        int directory_fd;               /* locked */
        int fd;                         /* the listening socket, or -1 when it was handed on */
        char *path;
};

#define LISTENER_NULL (struct listener) { .directory_fd = -1, .fd = -1 }

enum listener_outcome {
        LISTENER_IN_USE = 1,            /* there is a bus already */
        LISTENER_TOO_LONG,              /* the path does not fit into a socket's address: more than LISTENER_PATH_MAX bytes */
        LISTENER_NOT_A_SOCKET,          /* something else has the socket's name; it is not touched */
};

#define LISTENER_PATH_MAX 107           /* unix(7): sun_path is 108 bytes, of which one is the terminating NUL */

/* Returns 0 and a listener, an outcome, or a negative errno. *ret_path is the socket's path whenever there was memory for it. */
int listener_open(const char *directory, struct listener *ret_listener, char **ret_path);

/* Removes the socket and unlocks the directory. */
void listener_done(struct listener *listener);
