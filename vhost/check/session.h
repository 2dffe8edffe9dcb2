/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What clauses are made of: a connection, memory, a ring, and requests of a block device; and a way to say what went wrong.
 *
 * Each clause gets a session of its own. After a step that fails, the clause returns: MUST() does both.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver.h"
#include "frontend.h"

enum verdict {
        VERDICT_PASSED,
        VERDICT_FAILED,
        VERDICT_NOT_OFFERED,            /* the back-end does not have what the clause is about */
};

struct session {
        const char *path;
        int timeout_ms;                 /* for what has to come */
        int quiet_ms;                   /* for what must not come: how long to wait for it */
        struct vhost_frontend frontend;
        uint64_t features, protocol_features;   /* that the back-end offers */
        uint64_t more_protocol_features;        /* that are to be negotiated beside the usual ones, if they are offered */
        struct vhost_driver_memory memory;
        uint32_t xen_own, xen_backend;  /* domains: this program's, and the back-end's, to which it grants pages */
        bool want_packed;               /* the ring is to be a packed one */
        struct vhost_driver driver;
        bool has_driver;
        uint8_t *buffer;                /* two pages for headers and status, and data from DATA on */
        uint64_t capacity;              /* sectors */
        enum verdict verdict;
        char why[240];
};

typedef void clause_function(struct session *session);

struct clause {
        const char *id;
        const char *level;              /* MUST, SHOULD, MAY */
        const char *title;
        clause_function *run;
        bool writes;                    /* to the disk */
};

#define DATA 8192u                      /* in session->buffer */
#define DATA_MAX (256u * 1024u)
#define SESSION_MEMORY (1u << 20)
#define RING_SIZE 64u

void session_fail(struct session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));
void session_not_offered(struct session *session, const char *what);

#define MUST(session, condition, ...)                                   \
        do {                                                            \
                if (!(condition)) {                                     \
                        session_fail((session), __VA_ARGS__);           \
                        return;                                         \
                }                                                       \
        } while (false)

#define OFFERED(session, condition, what)                               \
        do {                                                            \
                if (!(condition)) {                                     \
                        session_not_offered((session), what);           \
                        return;                                         \
                }                                                       \
        } while (false)

/* Steps: 0, or a negative errno, of which the session has the words. */
int session_connect(struct session *session);                   /* and asks for both kinds of features */
int session_negotiate(struct session *session, uint64_t without);       /* all that is offered but these features, the log, and the other kind of rings */
int session_make_driver(struct session *session);               /* memory, and in it a ring, and room for a request */
int session_start(struct session *session);                     /* negotiates, lends memory, starts queue 0 */
void session_forget_driver(struct session *session);            /* and its memory, of which the back-end is told nothing */
void session_close(struct session *session);                    /* the connection, and all that came with it */

/* Once more, as a new front-end: the back-end is still there. */
bool session_is_alive(struct session *session);

/* Whether a request was refused, in a way that a front-end can see: a reply that is not zero, or the end of the connection. */
bool session_is_refused(struct session *session, uint32_t request, const void *payload, uint32_t size, const int *fds, size_t n_fds);

bool session_has(const struct session *session, enum vhost_protocol_feature feature);

/* A request of the block device, in descriptors 0 to 2 (header, data, status). n_data: 0, no data. */
void block_describe(struct session *session, uint32_t type, uint64_t sector, uint32_t n_data, bool to_write);

/* Makes it available and kicks; waits for its answer. Returns the status, or a negative errno. */
int block_send(struct session *session);
int block_wait(struct session *session);
int block_do(struct session *session, uint32_t type, uint64_t sector, uint32_t n_data, bool to_write);

/* Whether an answer comes that must not: waits for quiet_ms. */
bool block_comes(struct session *session);

/* A request that is right but for what spoil() does to it once it is in the ring. It must not succeed, and a new front-end finds the device as ever. */
void block_spoilt(struct session *session, void (*spoil)(struct session *session));

/* Connects, negotiates, asks for an inflight region for one queue, and gives it back. Returns its descriptor, which is the reply's. */
int session_begin_inflight(struct session *session, union vhost_payload *payload, struct vhost_message *reply);

int session_vring(struct session *session, uint32_t request, uint32_t num);     /* of a vring state, queue 0 */
int session_get_base(struct session *session);
