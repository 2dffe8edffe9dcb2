/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handshake.h"

/* Whether there is, or may be, something of the frontend's to let go of. */
static bool is_open(enum xenbus_state own) {
        return own == XENBUS_CONNECTED || own == XENBUS_INITIALISED;
}

/* The frontend is ready: it has written version, ring-ref and port, and waits for us; or it believes that we are connected. */
static enum handshake_step frontend_ready(const struct handshake_view *view) {
        switch (view->own) {
        case XENBUS_UNKNOWN:
        case XENBUS_INITIALISING:
                return view->failed ? HANDSHAKE_CLOSE : HANDSHAKE_PUBLISH;      /* it did not wait for our nodes */
        case XENBUS_INIT_WAIT:
                return view->failed ? HANDSHAKE_CLOSE : HANDSHAKE_CONNECT;
        case XENBUS_CONNECTED:
                return view->failed ? HANDSHAKE_CLOSE : HANDSHAKE_REST;
        default:
                return HANDSHAKE_REST;          /* we have closed, and wait until it has seen that */
        }
}

/* The frontend begins, for the first time or anew. */
static enum handshake_step frontend_begins(const struct handshake_view *view) {
        if (!view->online)
                return view->own == XENBUS_CLOSED ? HANDSHAKE_LEAVE : HANDSHAKE_CLOSED;
        if (is_open(view->own))
                return HANDSHAKE_CLOSE;         /* it was restarted without a word: what it had is let go of first */
        return view->own == XENBUS_INIT_WAIT ? HANDSHAKE_REST : HANDSHAKE_PUBLISH;
}

static enum handshake_step frontend_gone(const struct handshake_view *view) {
        if (view->own != XENBUS_CLOSED)
                return HANDSHAKE_CLOSED;
        return view->online && view->frontend_exists ? HANDSHAKE_REST : HANDSHAKE_LEAVE;
}

enum handshake_step handshake_next(const struct handshake_view *view) {
        if (!view->frontend_exists)
                return frontend_gone(view);
        switch (view->frontend) {
        case XENBUS_INITIALISING:
                return frontend_begins(view);
        case XENBUS_INITIALISED:
        case XENBUS_CONNECTED:
                return frontend_ready(view);
        case XENBUS_CLOSING:
                return view->own == XENBUS_CLOSING || view->own == XENBUS_CLOSED ? HANDSHAKE_REST : HANDSHAKE_CLOSE;
        case XENBUS_CLOSED:
        case XENBUS_UNKNOWN:
                return frontend_gone(view);
        default:
                /* States that no frontend of PV Calls has a use for. They change nothing, except that who has failed is closed. */
                return view->failed && is_open(view->own) ? HANDSHAKE_CLOSE : HANDSHAKE_REST;
        }
}
