/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Two guests that talk to each other over this host's loopback are joined (docs/pvcalls.md, "Joined guests"): the backend of the one that listens
 * has the pages and the port of the one that connects, and moves the bytes. That one's backend has the commands, and hears of the end.
 */

#include "guest-private.h"

/* A listener: from now on, guests of other backends find it. What fails is left to TCP. */
void guest_join_listen(struct socket *socket, int backlog);
/* The other way. Also for who listens at nothing. */
void guest_join_unlisten(struct socket *socket);

/* Whether somebody listens there who can be joined. If so, the socket is connected. */
bool guest_join_connect(struct socket *socket, const struct pvcalls_name *address);

enum join_outcome {                     /* positive results of guest_join_take() */
        JOIN_IS_BAD = 1,                /* that one is gone, or no good; there may be others */
};

/* Takes a connection of another guest's. 0, the joint that it is, and who came; JOIN_IS_BAD; or a negative errno: -EAGAIN if there is none. */
int guest_join_take(struct socket *listener, struct join **ret_join, struct pvcalls_name *ret_remote);
/* Gives it to the socket that waited for it, which is open then. */
void guest_join_open(struct socket *socket, struct join *join);

/* There is something from the other backend. */
void guest_join_ready(struct socket *socket);
/* Looks whether a turn has shown that the other guest lies, and sends its notifications. */
void guest_join_ran(struct socket *socket, bool notify);

/* For the side that connected: says to the other one what the guest has asked for. */
void guest_join_shutdown(struct socket *socket, uint32_t how, uint32_t out_prod);
void guest_join_release(struct socket *socket);
/* It has waited long enough. Returns whether that was not said before, and there is an answer to come. */
bool guest_join_abort(struct socket *socket);

/* Ends it. error: a negative errno for the other guest, or 0: all was sent. */
void guest_join_end(struct socket *socket, int error);

/* Tries again to have ports back that a backend had that was killed. Returns whether some are still missing. */
bool guest_join_rebind(struct guest *guest);

/* What a joined socket is called; -ENOTCONN if it is not joined. */
int guest_join_local_name(const struct socket *socket, struct pvcalls_name *ret_name);
