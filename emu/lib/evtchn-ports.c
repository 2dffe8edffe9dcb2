/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of a handle's ports; see evtchn-ports.h. */

#include "evtchn-ports.h"

#include <errno.h>
#include <stdlib.h>

void evtchn_ports_deinit(struct evtchn_ports *ports) {
        for (uint32_t i = 0; i < EVTCHN_PORTS_MAX / EVTCHN_PORTS_PER_CHUNK; i++)
                free(ports->chunks[i]);
}

struct evtchn_port *evtchn_ports_get(struct evtchn_ports *ports, uint32_t number) {
        struct evtchn_port *chunk;

        if (number >= EVTCHN_PORTS_MAX)
                return NULL;
        chunk = ports->chunks[number / EVTCHN_PORTS_PER_CHUNK];
        if (!chunk || !chunk[number % EVTCHN_PORTS_PER_CHUNK].page)
                return NULL;
        return &chunk[number % EVTCHN_PORTS_PER_CHUNK];
}

int evtchn_ports_add(struct evtchn_ports *ports, uint32_t number, const struct evtchn_port *port) {
        struct evtchn_port **chunk, *slot;

        if (number >= EVTCHN_PORTS_MAX)
                return -ERANGE;

        chunk = &ports->chunks[number / EVTCHN_PORTS_PER_CHUNK];
        if (!*chunk)
                *chunk = calloc(EVTCHN_PORTS_PER_CHUNK, sizeof **chunk);
        if (!*chunk)
                return -ENOMEM;

        slot = &(*chunk)[number % EVTCHN_PORTS_PER_CHUNK];
        if (slot->page)
                return -EEXIST;
        *slot = *port;
        return 0;
}

bool evtchn_ports_take(struct evtchn_ports *ports, uint32_t number, struct evtchn_port *ret_port) {
        struct evtchn_port *port = evtchn_ports_get(ports, number);

        if (!port)
                return false;
        *ret_port = *port;
        port->page = NULL;
        return true;
}

struct evtchn_port *evtchn_ports_next(struct evtchn_ports *ports, uint32_t *number) {
        uint32_t i = *number;

        while (i < EVTCHN_PORTS_MAX) {
                struct evtchn_port *port = evtchn_ports_get(ports, i);

                if (port) {
                        *number = i;
                        return port;
                }
                if (ports->chunks[i / EVTCHN_PORTS_PER_CHUNK])
                        i++;
                else
                        i = (i / EVTCHN_PORTS_PER_CHUNK + 1) * EVTCHN_PORTS_PER_CHUNK;
        }
        return NULL;
}
