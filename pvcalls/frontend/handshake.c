/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handshake.h"

#include <stddef.h>

enum front_state front_state_parse(const char *text) {
        if (!text || text[0] < '0' || text[0] >= '0' + _FRONT_STATE_N || text[1] != '\0')
                return FRONT_STATE_UNKNOWN;
        return (enum front_state) (text[0] - '0');
}

/* Whether the backend has, as far as its state tells, nothing of ours. */
static bool backend_let_go(enum front_state backend) {
        return backend != FRONT_STATE_CONNECTED && backend != FRONT_STATE_INITIALISED;
}

static enum front_step offered(const struct front_view *view) {
        switch (view->backend) {
        case FRONT_STATE_CONNECTED:
                return FRONT_CONNECT;
        case FRONT_STATE_INIT_WAIT:
                return FRONT_REST;
        default:
                return FRONT_CLOSE;     /* it would not have us, or is another that has not seen our offer */
        }
}

enum front_step front_next(const struct front_view *view) {
        switch (view->own) {
        case FRONT_STATE_INITIALISED:
                return view->leaving || view->failed ? FRONT_CLOSE : offered(view);
        case FRONT_STATE_CONNECTED:
                return view->leaving || view->failed || view->backend != FRONT_STATE_CONNECTED ? FRONT_CLOSE : FRONT_REST;
        case FRONT_STATE_CLOSING:
                return backend_let_go(view->backend) ? FRONT_CLOSED : FRONT_REST;
        case FRONT_STATE_INITIALISING:
                if (view->leaving)
                        return FRONT_CLOSED;
                return view->backend == FRONT_STATE_INIT_WAIT ? FRONT_OFFER : FRONT_REST;
        default:
                if (view->leaving || view->backend == FRONT_STATE_UNKNOWN)
                        return FRONT_REST;
                /* A backend that is Closing has yet to see that we have closed. One that is so at the start closes on our predecessor. */
                return view->own == FRONT_STATE_CLOSED && view->backend == FRONT_STATE_CLOSING ? FRONT_REST : FRONT_BEGIN;
        }
}
