/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The ports of one event channel handle: a table from port number to what a notification needs, found in two steps.
 *
 * Does no locking and owns nothing but its own memory: descriptors and mappings in it are the caller's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"

#define EVTCHN_PORTS_MAX 131072u        /* event_channel.h, EVTCHN_FIFO_NR_CHANNELS */
#define EVTCHN_PORTS_PER_CHUNK 256u     /* a handle of few ports costs one chunk, about a page and a half */

struct evtchn_port {
        struct channel_page *page;      /* NULL: not bound through this handle */
        int receive;                    /* eventfd that this end waits on */
        int send;                       /* eventfd that the other end waits on */
        uint32_t side;                  /* which word of page is this end's */
};

struct evtchn_ports {
        struct evtchn_port *chunks[EVTCHN_PORTS_MAX / EVTCHN_PORTS_PER_CHUNK];
};

/* Frees the table, not what is in it. */
void evtchn_ports_deinit(struct evtchn_ports *ports);

/* Returns the port, or NULL if it is not bound. Valid until it is taken out. */
struct evtchn_port *evtchn_ports_get(struct evtchn_ports *ports, uint32_t number);

/* Puts a port in. Returns 0, -EEXIST, -ERANGE if there cannot be such a port, or -ENOMEM. */
int evtchn_ports_add(struct evtchn_ports *ports, uint32_t number, const struct evtchn_port *port);

/* Takes a port out. Returns false if it is not bound. */
bool evtchn_ports_take(struct evtchn_ports *ports, uint32_t number, struct evtchn_port *ret_port);

/* Returns the first bound port whose number is at least *number, and sets *number to it; NULL if there is none. */
struct evtchn_port *evtchn_ports_next(struct evtchn_ports *ports, uint32_t *number);
