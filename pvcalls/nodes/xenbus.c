/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "xenbus.h"

#include <stddef.h>

static const char *const state_names[_XENBUS_N] = {
        [XENBUS_UNKNOWN] = "Unknown",
        [XENBUS_INITIALISING] = "Initialising",
        [XENBUS_INIT_WAIT] = "InitWait",
        [XENBUS_INITIALISED] = "Initialised",
        [XENBUS_CONNECTED] = "Connected",
        [XENBUS_CLOSING] = "Closing",
        [XENBUS_CLOSED] = "Closed",
        [XENBUS_RECONFIGURING] = "Reconfiguring",
        [XENBUS_RECONFIGURED] = "Reconfigured",
};

enum xenbus_state xenbus_state_parse(const char *text) {
        if (!text || text[0] < '0' || text[0] >= '0' + _XENBUS_N || text[1] != '\0')
                return XENBUS_UNKNOWN;
        return (enum xenbus_state) (text[0] - '0');
}

const char *xenbus_state_name(enum xenbus_state state) {
        return state < _XENBUS_N ? state_names[state] : "Unknown";
}
