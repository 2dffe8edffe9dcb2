/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The rendezvous: how two bridges find one ring, by way of the store. docs/bridge-protocol.md, "Setting up a link".
 *
 * Of two domains, the one with the higher id serves: it offers the pages, out of its own limits. The client writes a number of its own into
 * the store, of this attempt and no other; the server makes a ring for it and says for which number it is. So a ring has one client
 * process, ever: nobody comes upon a ring in which somebody else has left half a frame.
 */

#include <systemd/sd-event.h>

#include "vchan.h"

struct rendezvous;

struct rendezvous_handlers {
        /* There is an open ring, which is the handler's. Called once. */
        void (*met)(void *userdata, struct vchan *vchan);

        /* The ring's event, once there is one. */
        vchan_event_t on_event;

        /* The client asks for another ring, so it no longer has this one; or (error is not 0) the store is gone. */
        void (*over)(void *userdata, int error);
};

/*
 * Begins. handlers have to live as long as it does. A server takes a watch of the store's quota and up to six nodes, and for an instant
 * a transaction; a client a watch and three nodes.
 */
int rendezvous_new(struct rendezvous **ret_rendezvous, sd_event *event, unsigned own_domain, unsigned domain,
                   const struct rendezvous_handlers *handlers, void *userdata);

/* Removes what it has written. The ring stays: free it first, it has nodes in the same directory. */
struct rendezvous *rendezvous_free(struct rendezvous *rendezvous);
