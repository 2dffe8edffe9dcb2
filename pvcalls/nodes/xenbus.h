/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* States of either side of a device, which it writes into the store for the other to see. */

/* The numbers of io/xenbus.h, which the store has as text. */
enum xenbus_state {
        XENBUS_UNKNOWN,                 /* also: the node is not there, or is no number of a state */
        XENBUS_INITIALISING,
        XENBUS_INIT_WAIT,
        XENBUS_INITIALISED,
        XENBUS_CONNECTED,
        XENBUS_CLOSING,
        XENBUS_CLOSED,
        XENBUS_RECONFIGURING,
        XENBUS_RECONFIGURED,
        _XENBUS_N,
};

/* A state node's text; XENBUS_UNKNOWN for NULL and for what is no state. */
enum xenbus_state xenbus_state_parse(const char *text);
const char *xenbus_state_name(enum xenbus_state state);
