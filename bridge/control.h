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
#define CONTROL_NEWS_FD 5               /* memory of the hub's: struct control_news */
#define CONTROL_WATCH_FD 6              /* an epoll descriptor, readable while the bus has told the hub what it has not read yet */
#define CONTROL_POLICY_FD 7             /* the policy in force: bridge_policy_read() */

enum control_type {
        /* From the process */
        CONTROL_STATE = 1,              /* value: enum xcp_link_state, number: the version, first: why */
        CONTROL_PEER,                   /* first: unique name here, second: there, value: hops, number: its figures */
        CONTROL_PEER_GONE,              /* first */
        CONTROL_NAME,                   /* first: the name, second: whose, or "" */
        CONTROL_ACTIVATABLE,            /* first: the name, value: hops and 1, or 0 */
        CONTROL_STARTED,                /* number: the tag, first: an error's name or "", second: a sentence */
        CONTROL_DENIED,                 /* struct control_denied */
        CONTROL_LISTENER,               /* first: unique name of its connection that hears of signals */
        CONTROL_SYNC,                   /* answered by CONTROL_SYNCED */
        CONTROL_IN_FORCE,               /* number: of the policy that holds now for all that passes */

        /* From the hub */
        CONTROL_PEER_KNOWN,             /* first */
        CONTROL_FOREIGN,                /* first: unique name here of another domain's peer, value: hops */
        CONTROL_FOREIGN_GONE,           /* first */
        CONTROL_START,                  /* number: a tag, first: a name */
        CONTROL_RELOAD,                 /* fd: the policy from now on, number: its number. Answered by CONTROL_IN_FORCE */
        CONTROL_BRIDGED,                /* first: a name that this bus starts in another domain, value: enum session_bridged; 0: no longer */
        CONTROL_ACTIVATABLES,           /* what this bus would start, or what was said of it by the one above, has changed */
        CONTROL_MOVES,                  /* first: a name that moves to the process's domain (value: 1), or has done so or not (0) */
        CONTROL_WANT,                   /* first: a match rule of somebody on this bus, which was nobody's before */
        CONTROL_UNWANT,                 /* first: one that is nobody's any longer */
        CONTROL_SYNCED,                 /* number: the generation of what was told before this */
        CONTROL_END,                    /* first: why */
};

#define CONTROL_TEXT_MAX 1100u          /* more than WIRE_TEXT_MAX and what is said before it */

struct control {
        uint32_t type;
        uint32_t value;
        uint64_t number;
        int fd;                         /* that came with it, the receiver's; -1: none */
        char first[CONTROL_TEXT_MAX];
        char second[CONTROL_TEXT_MAX];
};

struct control_figures {
        uint64_t counters[64];          /* by enum session_counter */
        struct session_figures peers[SESSION_FIGURES_MAX];
};

/*
 * What clients want to hear is known to the hub first, and a process must not pass on what they call afterwards before it knows, too. It does, and
 * need not ask (CONTROL_SYNC), if there is nothing to be read at CONTROL_WATCH_FD, the hub is not busy, and the generation is what it was; it has to
 * look in this order.
 */
struct control_news {
        uint32_t busy;                  /* reading what the bus has told */
        uint32_t generation;            /* one more for each change */
};

/*
 * Sends. A text that is too long is cut. The hub does not wait (wait is false): -EAGAIN if the process does not read. A process waits for its
 * hub, which never waits for it.
 */
int control_send(int fd, bool wait, enum control_type type, uint32_t value, uint64_t number, const char *first, const char *second);

/* The same, with a descriptor (-1: without), and without waiting. */
int control_send_fd(int fd, enum control_type type, uint32_t value, uint64_t number, const char *first, int passed);

/* 1 and a packet, 0 if there is none, or a negative errno: -EPIPE at the other's end. */
int control_receive(int fd, struct control *ret_control);

/* Also takes a descriptor, which a hub does of nobody. */
int control_receive_fd(int fd, struct control *ret_control);

/* In the process: the memory that its hub has given it. */
int control_map(struct control_figures **ret_figures, const struct control_news **ret_news);
