/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The insides of handing over:
 *
 *     handover.c          what both have: the second connection, the object, times
 *     handover-old.c      who hands over: Active ─► Quiescing ─► Quiet ─► Retired ─► Relaying
 *     handover-new.c      who takes over: StandBy ─► Ready ─► Taking ─► Active
 *     handover-files.c    what the latter has on its disk
 *     handover-relay.c    calls that come to the one and are the other's
 *     handover-state.c    the state as bytes
 *     handover-mark.c     whose the state on the disk is
 */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "call.h"
#include "handover-mark.h"
#include "handover-state.h"
#include "handover.h"
#include "handover1.h"

#define HANDOVER_PART_MAX (UINT64_C(64) << 10)  /* of a state, in one call: half of what a bridge takes of one sender at a time */
#define HANDOVER_TOKEN_MIN 16u
#define HANDOVER_TOKEN_MAX 64u

#define HANDOVER_PREDECESSOR "the one before"   /* what a mark says of who is gone soon */

#define HANDOVER_QUIESCE_MAX_MS 10000u          /* calls wait meanwhile: below the 25 s after which clients give up */
#define HANDOVER_QUIET_USEC UINT64_C(15000000)  /* in which a state is copied and loaded; the same */
#define HANDOVER_RETIRED_USEC UINT64_C(5000000) /* in which whoever moves it has to go on */
#define HANDOVER_STAND_BY_USEC UINT64_C(120000000)
#define HANDOVER_READY_USEC UINT64_C(30000000)
#define HANDOVER_TAKING_USEC UINT64_C(15000000)         /* longer than Retired, so that the old one comes first */
#define HANDOVER_LOCK_USEC UINT64_C(20000000)   /* for who stands by, while an old one in the same place passes on what still comes */
#define HANDOVER_ANSWER_USEC UINT64_C(5000000)  /* of the other of the two */
#define HANDOVER_LINGER_USEC UINT64_C(5000000)  /* after the last call that was passed on */
#define HANDOVER_LINGER_MAX_USEC UINT64_C(60000000)

typedef void (*handover_then_t)(struct handover *handover);

struct handover {
        struct service *service;
        const struct handover_kind *kind;
        int lock;                       /* on the state directory: one process at a time, from its start to its end */
        struct handover_mark mark;
        struct handover_mark prepared;  /* lies beside it on the disk */
        bool is_prepared;
        enum xcp_handover_state state;
        sd_bus *control;                /* NULL before Prepare() */
        uint64_t haste;                 /* bounds are so many times shorter: for tests, $XCP_HANDOVER_HASTE */
        sd_event_source *timer;         /* what this state does by itself after some time */
        handover_then_t then;
        struct idl_call *waiting;       /* Quiesce(), Relay(), Resume() or Check(): to be answered */

        uint8_t *stream;                /* of Export() or Import() */
        size_t n_stream;
        uint64_t stream_size;           /* what there is to be */

        /* Who hands over */
        sd_event_source *settle;        /* looks, from the loop, whether all is quiet */
        bool service_quiet;
        bool watches_name;
        bool name_left;                 /* the name has changed hands */
        bool in_doubt;                  /* the successor may serve: nobody here knows */
        bool has_let_go;                /* all of it is over; what the service keeps has to be seen to */
        bool resuming;                  /* its successor was asked to abandon it */
        uint64_t held_usec;             /* since when calls wait */
        char *successor;
        char token[HANDOVER_TOKEN_MAX + 1];
        struct relay *relay;

        /* Who takes over */
        struct handover_check *check;
        struct handover_mark before;    /* what the mark was before it said stand-by */
        bool has_before;
        sd_event_source *sync;          /* has the disk waited for, after an answer */
        bool is_synced;
        int synced_r;
        char *bus;                      /* of the predecessor */
        char *predecessor;
        bool is_holding;                /* Active, but the predecessor's calls come first */
        char *behalf;                   /* whose the predecessor's next call is */
        uint64_t behalf_cookie;         /* which one that is, while it is handled */
};

/* handover.c */
int handover_own(struct handover *handover, const char *suffix);        /* a name for the second connection */
int handover_disown(struct handover *handover, const char *suffix);     /* asks for it to be given back */
int handover_connect(struct handover *handover);        /* makes the second connection, with the object on it */
void handover_later(struct handover *handover, uint64_t usec, handover_then_t then);    /* replaces what was set before; 0: nothing */
void handover_set_state(struct handover *handover, enum xcp_handover_state state);
int handover_wrong_state(struct handover *handover, const char *expected, struct idl_error *error);
int handover_write_mark(struct handover *handover, enum handover_claim claim, uint64_t epoch, const char *peer);
void handover_prepare_mark(struct handover *handover, enum handover_claim claim, uint64_t epoch, const char *peer);    /* is faster to write then */
void handover_end(struct handover *handover, int status);               /* of the process */
void handover_fail(struct handover *handover, struct idl_error *error); /* answers who waits */
bool handover_mark_is_higher(const struct handover *handover, uint64_t epoch, struct idl_error *error);
uint64_t handover_now(void);

/* handover-old.c */
int handover_on_export(void *object, struct idl_call *call, uint64_t offset, struct idl_error *error);
int handover_on_quiesce(void *object, struct idl_call *call, uint32_t limit_ms, struct idl_error *error);
int handover_on_retire(void *object, struct idl_call *call, uint64_t epoch, const char *successor, const char *token, struct idl_error *error);
int handover_on_relay(void *object, struct idl_call *call, struct idl_error *error);
int handover_on_resume(void *object, struct idl_call *call, struct idl_error *error);
int handover_watch_name(struct handover *handover);

/* handover-new.c */
int handover_on_import(void *object, struct idl_call *call, uint64_t offset, const uint8_t *part, size_t n_part, uint64_t size,
                       struct idl_error *error);
int handover_on_check(void *object, struct idl_call *call, struct idl_error *error);
int handover_on_load(void *object, struct idl_call *call, struct idl_error *error);
int handover_on_activate(void *object, struct idl_call *call, uint64_t epoch, const char *token, struct idl_error *error);
int handover_on_open(void *object, struct idl_call *call, const char *token, struct idl_error *error);
int handover_on_behalf_of(void *object, struct idl_call *call, const char *caller, struct idl_error *error);
int handover_on_drained(void *object, struct idl_call *call, struct idl_error *error);
int handover_on_abandon(void *object, struct idl_call *call, struct idl_error *error);
void handover_check_end(struct handover *handover);

/* handover-files.c */
int handover_file_write(struct handover *handover, const char *name, const uint8_t *data, size_t size);
void handover_file_remove(struct handover *handover, const char *name);
int handover_files_prepare(struct handover *handover);          /* nobody is to start with what will be there; on the disk when it returns */
int handover_files_write(struct handover *handover, const struct handover_state *state);        /* not on the disk yet */
int handover_files_sync_later(struct handover *handover);       /* what there is to be done on the disk, once an answer is on its way */
int handover_files_sync(struct handover *handover);             /* now, if it was not before; what came of it */
void handover_files_give_up(struct handover *handover);

/*
 * handover-relay.c. Passes on, from now on, all calls that come to the service's own connection; drained is called when those have been
 * passed on that came before the name changed hands, idle when there were none for a while and all are answered.
 */
int relay_new(struct relay **ret_relay, struct handover *handover, handover_then_t drained, handover_then_t idle);
struct relay *relay_free(struct relay *relay);
uint64_t relay_count(const struct relay *relay);
