/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A session: this domain's bus joined to another domain's, over one ring, from its beginning to its end.
 *
 * Everybody of the other domain who talks gets a connection of its own to this bus, a ghost: what it sends comes from there, and what it is
 * sent arrives there. Everybody of this bus who talks is made known to the other bridge, which does the same. docs/bridge.md has the whole.
 *
 * A session ends once, and then is over: nothing of it is known to the next one, so nothing can be replayed.
 */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "vchan.h"
#include "wants.h"

struct guard;
struct session;
struct table;

/* What is counted; session_counter_name() has the names. */
enum session_counter {
        COUNTER_MESSAGES_IN,            /* whole D-Bus messages that came over the link */
        COUNTER_MESSAGES_OUT,
        COUNTER_BYTES_IN,               /* of frames */
        COUNTER_BYTES_OUT,
        COUNTER_CALLS_IN,
        COUNTER_CALLS_OUT,
        COUNTER_CALLS_FAILED,           /* outgoing calls that this bridge answered with an error: denied, refused, link lost */
        COUNTER_SIGNALS_IN,
        COUNTER_SIGNALS_OUT,
        COUNTER_SIGNALS_DROPPED,        /* either way, for a limit, or descriptors that cannot be carried */
        COUNTER_DENIED_IN,
        COUNTER_DENIED_OUT,
        COUNTER_INVALID,                /* messages of the other domain that no bus takes */
        COUNTER_REPLIES_UNEXPECTED,     /* answers to nothing, and second ones, either way */
        COUNTER_NAMES_REFUSED,          /* names that the other domain may not own, or that somebody else owns */
        COUNTER_FRAMES_UNKNOWN,
        COUNTER_PEERS,                  /* now: connections that the other domain has on this bus */
        COUNTER_PEERS_LOCAL,            /* now: connections of this bus that the other domain knows */
        COUNTER_CALLS_WAITING_IN,       /* now */
        COUNTER_CALLS_WAITING_OUT,      /* now */
        COUNTER_BYTES_QUEUED_OUT,       /* now: bytes of messages that wait for the ring */
        COUNTER_DESCRIPTORS,            /* now: carried, of either side */
        COUNTER_ROUND_TRIP_USEC,        /* now: what the last ping took */
        _COUNTER_N,
};

const char *session_counter_name(enum session_counter counter);

/* Of one peer of the other domain, four times a second. */
struct session_figures {
        uint32_t n_calls;               /* calls, either way, that are not answered yet */
        uint64_t n_queued;              /* bytes that wait for it, or that it has sent and that wait */
};

/* Of a name that this bus starts in another domain: may the other domain be told of it, as one that is a link further away? */
enum session_bridged { SESSION_BRIDGED = 1, SESSION_BRIDGED_NOT_FOR_IT };

#define SESSION_FIGURES_MAX 1024u       /* WIRE_PEERS_MAX */

struct session_options {
        sd_event *event;
        const char *bus_path;           /* the socket of this domain's bus */
        unsigned own_domain, domain;
        const char *uuid;               /* the other domain's, as the store has it; "" if it cannot be known */
        const char *own_uuid;
        uint64_t epoch;
        struct guard *guard;            /* what policy says */
        const struct table *foreign;    /* connections of this bus that other sessions' domains have: their hops plus one, by unique name */
        const struct table *moving;     /* names that move to the other domain, and are taken from whoever has them */
        const struct table *bridged;    /* names that this bus starts in other domains: enum session_bridged */
        const struct wants *wants;      /* what clients of this bus want to hear */
        uint64_t *counters;             /* _COUNTER_N of them, 0 at first */
        struct session_figures *figures;        /* SESSION_FIGURES_MAX of them */
};

/* Strings are valid during the call. */
struct session_handlers {
        void (*up)(void *userdata, unsigned version, uint64_t remote_epoch);
        /* This connection to the bus is the one that hears of signals for the other domain. */
        void (*listener)(void *userdata, const char *unique);

        /* Has session_wants() called for all that clients had asked the bus for when it passed on a message that has come. Negative errno: it cannot. */
        int (*settle)(void *userdata);

        /*
         * Brings foreign up to date. A connection of a third domain is told of before the bus hears anything from it: whoever has read that from the bus
         * has to be told by now, but may have looked last before it came. May call session_wants() too.
         */
        int (*hear)(void *userdata);

        void (*stalled)(void *userdata, bool stalled);

        /* The other domain has one more connection on this bus, or one less. What it sends waits until session_peer_known(). */
        void (*peer)(void *userdata, const char *unique, const char *remote_unique, unsigned hops, unsigned figures);
        void (*peer_gone)(void *userdata, const char *unique);

        /* A peer owns a name on this bus; NULL: nobody of the other domain does any longer. */
        void (*name)(void *userdata, const char *name, const char *unique);

        /* The other domain would start a service of this name, and may own the name; or no longer. */
        void (*activatable)(void *userdata, const char *name, bool is, unsigned hops);

        /* How session_start_service() went: error is "" if it started. */
        void (*started)(void *userdata, uint64_t tag, const char *error, const char *text);

        /* All that session_policy_changed() has begun is done. */
        void (*policy_in_force)(void *userdata);

        /* It is over: all that waited has its error. To be freed, not from within. */
        void (*ended)(void *userdata, const char *reason);
};

/* Takes the ring, also if it fails. handlers have to live as long as the session. */
int session_new(struct session **ret_session, const struct session_options *options, struct vchan *vchan,
                const struct session_handlers *handlers, void *userdata);
struct session *session_free(struct session *session);

/* The ring's event. */
void session_on_ring(struct session *session);

/* Everybody who has to know about this peer does: what it sends may go out. */
void session_peer_known(struct session *session, const char *unique);

/* Has the other domain start a service. */
int session_start_service(struct session *session, uint64_t tag, const char *name);

/* A rule was added to the wants, or taken out of them. To be called also while it settles. */
int session_wants(struct session *session, const struct match *match, bool wanted);

/* What this bus would start has changed, or what is to be told of it. */
int session_activatables_changed(struct session *session);

/*
 * The policy has changed: names that may no longer be owned or exported go, others come. When those that go have gone, so that nobody reaches the other
 * domain by them, the handler is called, maybe from within; never once it is over.
 */
int session_policy_changed(struct session *session);

/* Ends it: the other end is told, and all that waits gets an error. The handler is called before this returns. */
void session_end(struct session *session, const char *reason);
