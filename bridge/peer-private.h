/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What peer.c, which has the ring and the session of the process for one other domain, and peer-hub.c, which talks to the hub, have of each other. */

#include <stdint.h>
#include <sys/types.h>

#include <systemd/sd-event.h>

#include "control.h"
#include "session.h"
#include "table.h"

struct later;

struct peer {
        struct session_options options;
        const char *name, *type;        /* the other domain's, for the policy */
        int log_level;
        uid_t user;                     /* who it is to be; 0: who it is */
        sd_event *event;
        struct rendezvous *rendezvous;
        struct session *session;
        struct guard *guard;
        struct table *foreign;
        struct table *moving, *bridged; /* by name: those that move to the other domain; enum session_bridged */
        struct wants *wants;
        struct control_figures *figures;
        const struct control_news *news;
        uint32_t generation;            /* of the wants */
        uint64_t policy;                /* the number of the one that the hub has given last */
        struct later *later, **last_later;
        sd_event_source *later_source;
};

/* Ends the session, and with it the process. */
void peer_end(struct peer *peer, const char *reason);

/* What the hub is told. That it is gone is noticed where it is read from. */
void peer_tell(enum control_type type, uint32_t value, uint64_t number, const char *first, const char *second);

/* The policy that the hub gave last is in force. */
void peer_hub_in_force(struct peer *peer);

/* Takes the descriptor. */
int peer_hub_load_policy(struct peer *peer, int fd);

/* For session_handlers: the userdata is the peer. */
int peer_hub_settle(void *userdata);
int peer_hub_hear(void *userdata);

/* From here on it is heard. */
int peer_hub_watch(struct peer *peer);
void peer_hub_unwatch(struct peer *peer);
