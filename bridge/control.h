/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the bridge's hub and its processes, one for each other domain, tell each other.
 *
 * Packets over a pair of sequenced-packet sockets, between two processes of the same build. A process believes its hub. The hub believes that
 * what a process says is about its own domain, and bounds how much it remembers of it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session.h"

#define CONTROL_FD 3                    /* in the process */
#define CONTROL_FIGURES_FD 4            /* memory that both have: struct control_figures */

enum control_type {
        /* From the process */
        CONTROL_STATE = 1,              /* value: enum xcp_link_state, number: the version, first: why */
        CONTROL_PEER,                   /* first: unique name here, second: there, value: hops, number: its figures */
        CONTROL_PEER_GONE,              /* first */
        CONTROL_NAME,                   /* first: the name, second: whose, or "" */
        CONTROL_ACTIVATABLE,            /* first: the name, value: 1 or 0 */
        CONTROL_STARTED,                /* number: the tag, first: an error's name or "", second: a sentence */
        CONTROL_DENIED,                 /* struct control_denied */

        /* From the hub */
        CONTROL_PEER_KNOWN,             /* first */
        CONTROL_FOREIGN,                /* first: unique name here of another domain's peer, value: hops */
        CONTROL_FOREIGN_GONE,           /* first */
        CONTROL_START,                  /* number: a tag, first: a name */
        CONTROL_RELOAD,
        CONTROL_END,                    /* first: why */
};

#define CONTROL_TEXT_MAX 1100u          /* more than WIRE_TEXT_MAX and what is said before it */

struct control {
        uint32_t type;
        uint32_t value;
        uint64_t number;
        char first[CONTROL_TEXT_MAX];
        char second[CONTROL_TEXT_MAX];
};

struct control_figures {
        uint64_t counters[64];          /* by enum session_counter */
        struct session_figures peers[SESSION_FIGURES_MAX];
};

/*
 * Sends. A text that is too long is cut. The hub does not wait (wait is false): -EAGAIN if the process does not read. A process waits for its
 * hub, which never waits for it.
 */
int control_send(int fd, bool wait, enum control_type type, uint32_t value, uint64_t number, const char *first, const char *second);

/* 1 and a packet, 0 if there is none, or a negative errno: -EPIPE at the other's end. */
int control_receive(int fd, struct control *ret_control);
