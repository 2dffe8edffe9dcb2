/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Waiting until nobody is connected to a server: QEMU says nothing when its last client has gone. */

#include "connections.h"
#include "server-private.h"

#define LOOK_USEC UINT64_C(1000000)

static void look(struct server *server);

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        look(userdata);
        return 0;
}

static void look(struct server *server) {
        int r = 0;

        server->timer = sd_event_source_disable_unref(server->timer);
        if (connections_count(server->socket_path) != 0) {
                r = sd_event_add_time_relative(server->vdi->sr->storage->event, &server->timer, CLOCK_MONOTONIC, LOOK_USEC, 0, on_look, server);
                if (r >= 0)
                        return;
        }
        server->when_unconnected(server, r);
}

void server_when_unconnected(struct server *server, void (*then)(struct server *server, int r)) {
        server->when_unconnected = then;
        look(server);
}
