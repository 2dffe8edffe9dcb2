/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handshake.h"

/* Whether the backend has, as far as its state tells, nothing of ours. */
static bool backend_let_go(enum xenbus_state backend) {
        return backend != XENBUS_CONNECTED && backend != XENBUS_INITIALISED;
}

static enum front_step offered(const struct front_view *view) {
        switch (view->backend) {
        case XENBUS_CONNECTED:
                return FRONT_CONNECT;
        case XENBUS_INIT_WAIT:
                return FRONT_REST;
        default:
                return FRONT_CLOSE;     /* it would not have us, or is another that has not seen our offer */
        }
}

enum front_step front_next(const struct front_view *view) {
        switch (view->own) {
        case XENBUS_INITIALISED:
                return view->leaving || view->failed ? FRONT_CLOSE : offered(view);
        case XENBUS_CONNECTED:
                return view->leaving || view->failed || view->backend != XENBUS_CONNECTED ? FRONT_CLOSE : FRONT_REST;
        case XENBUS_CLOSING:
                return backend_let_go(view->backend) ? FRONT_CLOSED : FRONT_REST;
        case XENBUS_INITIALISING:
                if (view->leaving)
                        return FRONT_CLOSED;
                return view->backend == XENBUS_INIT_WAIT ? FRONT_OFFER : FRONT_REST;
        default:
                if (view->leaving || view->backend == XENBUS_UNKNOWN || view->backend > XENBUS_CLOSED)      /* none of PV Calls's */
                        return FRONT_REST;
                /* A backend that is Closing has yet to see that we have closed. One that is so at the start closes on our predecessor. */
                return view->own == XENBUS_CLOSED && view->backend == XENBUS_CLOSING ? FRONT_REST : FRONT_BEGIN;
        }
}
