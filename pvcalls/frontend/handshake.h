/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The handshake from the frontend's side: what it does next, given what state it is in itself and what the backend's state node says.
 *
 * No I/O. Whatever the backend writes, whoever repeats the steps comes to rest, and goes on when the backend does: a backend that closes, dies
 * and comes back, or is another's now, is connected to anew.
 */

#include <stdbool.h>

#include "xenbus.h"

enum front_step {
        FRONT_REST,                     /* there is nothing to do until something changes */
        FRONT_BEGIN,                    /* go to Initialising: a backend publishes its nodes then */
        FRONT_OFFER,                    /* make a command ring, write its nodes, and go to Initialised; if that fails, to Closed */
        FRONT_CONNECT,                  /* go to Connected: commands can be sent */
        FRONT_CLOSE,                    /* all connections are lost; go to Closing */
        FRONT_CLOSED,                   /* the backend has let go of the pages: take them back, and go to Closed */
};

struct front_view {
        enum xenbus_state own;           /* as this frontend has written it last; UNKNOWN at the start, whatever the node says */
        enum xenbus_state backend;
        bool leaving;                   /* the device is closed for good */
        bool failed;                    /* the backend has broken the protocol */
};

enum front_step front_next(const struct front_view *view);
