/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The handshake: what a backend does next, given what state it is in itself and what the frontend's state node says. No I/O.
 *
 * pvcalls.pandoc, "Initialization" and "Closing", have the good order. On top of that nothing that a frontend writes is an error: it may
 * skip states, repeat them, go back, write nonsense or vanish; each leads to a step here, and whoever repeats the steps comes to rest.
 */

#include <stdbool.h>

#include "xenbus.h"

enum handshake_step {
        HANDSHAKE_REST,                 /* there is nothing to do until something changes */
        HANDSHAKE_PUBLISH,              /* write the backend's nodes, and go to InitWait */
        HANDSHAKE_CONNECT,              /* map the command ring, and go to Connected; if that fails, to Closing */
        HANDSHAKE_CLOSE,                /* let go of all that is the frontend's, and go to Closing */
        HANDSHAKE_CLOSED,               /* the same, and go to Closed */
        HANDSHAKE_LEAVE,                /* the device is gone: end */
};

struct handshake_view {
        enum xenbus_state own;          /* as this backend has written it last */
        enum xenbus_state frontend;
        bool online;                    /* the toolstack wants the device; without it, Closed is the end */
        bool frontend_exists;           /* its directory is there, and its domain lives */
        bool failed;                    /* the frontend has broken the protocol: not before it begins anew is it served again */
};

enum handshake_step handshake_next(const struct handshake_view *view);
