/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A session's insides, which its parts share:
 *
 *     session.c           its life: hello, liveness, the end
 *     session-frames.c    the ring, and what each frame does
 *     session-locals.c    who of this bus the other domain knows, and the names they own
 *     session-remotes.c   ghosts
 *     session-names.c     the names they own
 *     session-activatable.c   services that could be started, of both sides
 *     session-out.c       messages from this bus to the other domain
 *     session-in.c        messages from the other domain to this bus
 *     session-rules.c     what each side has asked the other for
 *     session-wants.c     what the other side is asked for
 *     session-limits.c    descriptors of messages, and how much may wait
 *     session-turns.c     how much of the other domain the bus has before it
 */

#include "budget.h"
#include "connection.h"
#include "demux.h"
#include "frame.h"
#include "guard.h"
#include "message.h"
#include "mux.h"
#include "session.h"
#include "streams.h"
#include "table.h"

#define BUS_NAME "org.freedesktop.DBus"

#define SESSION_MEMORY_MAX (UINT64_C(256) << 20)        /* of large messages, each way: two of the largest at once */
#define SESSION_QUEUE_MAX (1024u * 1024)                /* bytes on their way from one ghost's socket, before it is not read */
#define SESSION_NO_STREAM UINT32_MAX                    /* of what a bridge itself says: no peer has this id */
#define SESSION_HOPS_MAX 1u                             /* a domain that came over one link goes over one more and no further */

/* A connection of this bus that the other domain knows. Its id is its stream. */
struct local {
        uint32_t id;
        unsigned hops;                  /* 0: a program of this domain. 1: it is another domain's */
        unsigned n_names;               /* that it owns and that the other domain knows of */
        size_t n_passing;               /* it has left its bus; ghosts that have not read yet what it sent before, and one */
        struct call *calls;             /* that it waits for */
        char unique[];
};

/* A connection of the other domain; its stream, and its ghost here. */
struct remote {
        struct session *session;
        uint32_t id;
        unsigned hops;
        struct connection *connection;  /* NULL until it is needed, and when it is lost */
        bool known;                     /* the ghost was announced, and may talk */
        unsigned figures;               /* where its figures are */
        unsigned n_calls;               /* that the ghost has to answer */
        bool flooded;                   /* it is not read, as the bus does not take what it is answered */
        bool lost;                      /* there was a ghost, and the bus ended it: there is no second one */
        bool leaving;                   /* it has left its bus; what it sent last still goes out */
        struct remote *next_leaving;
        uint64_t lately;                /* session->lately when it sent something; 0: never */
        uint64_t n_forwarding;          /* bytes that came to the ghost, and are not on the ring yet */
        struct table *pending;          /* struct pending by serial: calls that the ghost made */
        struct call *calls;             /* that the ghost has to answer */
        struct owned *names;
        struct arriving *bundles;       /* descriptors whose messages have not come; the oldest first */
        struct arriving *held;          /* messages that wait for copies, and all after them */
        bool gone;                      /* it has left its bus, and some are held */
        char unique[];                  /* there */
};

/* What a remote has sent and that has to wait: a bundle for its message, or a message with or without one. */
struct arriving {
        struct demux_message message;
        struct bundle *bundle;
        struct arriving *next;
};

/* A name that a remote owns there, and its ghost here if it could. */
struct owned {
        struct remote *remote;
        struct owned *next;             /* of the same remote */
        bool has;                       /* the ghost owns it */
        bool refused;                   /* policy does not let it */
        bool heard;                     /* the other domain is asked for its signals, as far as they are wanted */
        char name[];
};

/* A call of this bus that was sent to the other domain. */
struct call {
        uint64_t id;
        uint32_t serial;                /* what the caller gave it */
        struct remote *remote;          /* whose ghost has to answer */
        struct local *local;            /* who waits */
        struct call *next_of_remote, **link_of_remote;
        struct call *next_of_local, **link_of_local;
};

/* A call of the other domain that a ghost made. */
struct pending {
        uint64_t call;
        uint32_t serial;
};

/* A name of this bus that the other domain knows of. */
struct export {
        struct local *local;
        char name[];
};

struct session {
        struct session_options options;
        const struct session_handlers *handlers;
        void *userdata;
        uint64_t *counters;
        bool up, over, stalled;
        bool retry;                     /* there is memory, or room, for somebody who may wait for it */
        unsigned version;

        struct vchan *vchan;
        struct frame_reader *reader;
        struct frame_buffer out;        /* what the ring did not take yet */
        struct mux *mux;
        struct demux *demux;
        struct streams *streams;
        struct budget memory_in, memory_out, memory_streams;
        uint32_t message_max, their_message_max;        /* what the hellos have said: ours, and the other's */
        bool passes_descriptors;                        /* the other end does */
        uint64_t n_arriving;            /* bytes of messages that this bus has not taken yet */
        unsigned n_in_turn, n_turns;    /* messages since the bus was asked a question; questions that it has not answered */
        unsigned n_lately, n_senders;   /* messages, and how many remotes they are of */
        uint64_t lately;                /* which these are counted for: those of before have another number */
        bool many;                      /* of those of before there were many */
        struct outbox outbox;
        bool kicked;                    /* there is something to write to the ring, or to read */
        sd_event_source *again;         /* that there still is, after a turn: the loop does not wait */
        sd_event_source *timer;
        uint64_t last_heard_usec, last_progress_usec, ping_usec;
        bool ping_waits;

        struct connection_bus bus;
        struct connection *listener;    /* hears of names and signals */
        bool listener_ready;

        struct table *locals;           /* by unique name */
        struct table *locals_by_id;
        struct table *remotes;          /* by id */
        struct remote *leaving;         /* in no table any longer */
        struct table *ghosts;           /* remotes by their unique name here */
        struct table *exports;          /* by name */
        struct table *owners;           /* of this bus's well-known names: strings, by name */
        struct table *imports;          /* struct owned by name */
        struct table *activatable;      /* names that the other domain would start */
        struct table *told;             /* that this one would, and the other knows */
        struct table *calls;            /* by id */
        struct table *rules;            /* struct rule by text: what the other domain wants to hear of */
        struct table *rules_by_id;
        struct table *wanted;           /* struct wanted by rule: what this one does */
        bool everything, coarse;        /* somebody wants to hear everything; all signals of each name are asked for */
        unsigned n_adding;              /* rules that this bus has not taken yet: messages wait for that */
        uint32_t next_local, next_wanted;
        uint64_t next_call;
        uint64_t n_pending;
        unsigned n_releasing;           /* names that policy has taken away, which this bus has not let go yet */
        uint64_t n_ghosts;              /* connections of the other domain's peers, those that are not ready among them */
        bool *figures_used;
        const char **names;             /* room for names_of_...() */
        size_t names_size;
};

/* session.c */
void session_kick(struct session *session);             /* look at the ring before the event loop waits */
void session_fail(struct session *session, int error, const char *what);
void session_end_with(struct session *session, enum wire_goodbye reason, const char *text);
uint64_t session_now(void);
uint64_t session_loop_now(const struct session *session);       /* when the event loop has last waited: costs nothing */
int start_for_other(struct session *session, uint64_t tag, const struct frame_text *untrusted_name);
int uuid_parse(const char *text, uint8_t ret_uuid[16]);         /* -EINVAL: it is none */

/* session-frames.c. Negative errno: the link cannot go on. */
int session_read_ring(struct session *session);
int session_write_ring(struct session *session);

/* session-locals.c */
int locals_start(struct session *session);
int local_ensure(struct session *session, const char *unique, struct local **ret_local);       /* -EMLINK: too many, or too far away */
int locals_policy_changed(struct session *session);
void locals_done(struct session *session);
void on_listener_message(void *userdata, uint8_t *data, size_t size, const struct message *message);

/* All well-known names of a connection, on this bus and of a remote on its own; valid until the next call of either. */
int names_of_unique(struct session *session, const char *unique, const char *const **ret_names, size_t *ret_n);
int names_of_remote(const struct remote *remote, const char *const **ret_names, size_t *ret_n);

/* session-remotes.c */
int remote_new(struct session *session, uint32_t id, unsigned hops, const struct frame_text *unique);
int remote_gone(struct session *session, uint32_t id);
int remote_connect(struct remote *remote);              /* makes the ghost, if there is none; -EMLINK: policy lets it have no more */
void remotes_retry(struct session *session);            /* there is memory again */
void remotes_end(struct session *session, const char *reason);
void remotes_done(struct session *session);

/* session-names.c */
void owned_free(struct owned *owned);
int remote_name(struct session *session, uint32_t id, const struct frame_text *name);
int remote_name_gone(struct session *session, const struct frame_text *name);
void remote_name_changed(struct session *session, const char *name, const char *owner);        /* on this bus; NULL: nobody has it now, and we may */
int names_policy_changed(struct session *session);

/* session-activatable.c */
int activatables_look(struct session *session);         /* what this bus would start now: what has changed is told */
int remote_activatable(struct session *session, const struct frame_text *name, bool is, unsigned hops);
int activatables_policy_changed(struct session *session);
void activatables_done(struct session *session);

/* session-out.c. data is taken. */
void out_from_ghost(struct remote *remote, uint8_t *data, size_t size, const struct message *message);
void out_signal(struct session *session, uint8_t *data, size_t size, const struct message *message);
void out_sent(void *userdata, void *owner, uint32_t size);
int out_fail(struct session *session, struct call *call, const char *error, const char *text);  /* answers it; it is gone */
void call_free(struct session *session, struct call *call);
void release(struct session *session, uint8_t *data, size_t size);     /* a message of this bus that goes nowhere */

/* session-in.c */
int in_message(struct session *session, const struct demux_message *message);
int in_held(struct session *session, struct remote *remote);            /* a bundle is whole: those that need not wait any longer */
int in_refused(struct session *session, uint64_t call, const struct frame_text *error, const struct frame_text *text);

/* session-limits.c. Of errors, their names: a sentence is in text. */
int limits_start(struct session *session);
void limits_policy_changed(struct session *session);
const char *limits_out(struct session *session, size_t size, char *text, size_t n_text);        /* may it wait here? NULL: it may */
const char *limits_in(struct session *session, size_t size, char *text, size_t n_text);
const char *descriptors_offer(struct session *session, uint32_t stream, struct connection *connection, unsigned n, char *text, size_t n_text);
int descriptors_announced(struct session *session, const struct frame_content *content);
struct arriving *arriving_free(struct arriving *arriving);              /* all of a list; NULL */

/* session-turns.c */
int turns_count(struct session *session, struct remote *remote);        /* a message goes to this bus, as this one's */
bool turns_exhausted(const struct session *session);    /* it has enough of them: nothing is read from the ring */

/* session-rules.c */
int rules_want(struct session *session, const char *rule);              /* this bus wants to hear of it; counted */
int rules_unwant(struct session *session, const char *rule);
int rules_want_name(struct session *session, const char *name);         /* of all signals of a name */
int rules_unwant_name(struct session *session, const char *name);
int rules_subscribe(struct session *session, uint32_t id, const struct frame_text *untrusted_rule);
int rules_unsubscribe(struct session *session, uint32_t id);
void rules_done(struct session *session);

/* session-wants.c */
int wants_start(struct session *session);
int wants_name(struct session *session, struct owned *owned, bool wanted);      /* the other domain has this name here, or no longer */
int wants_ghost(struct session *session, struct remote *remote, const char *unique, bool wanted);       /* there is this ghost, or no longer */

/* A copy with an end; NULL if there is no memory. */
char *text_copy(const struct frame_text *text);

static inline bool is_unique(const char *name) {
        return name[0] == ':';
}
