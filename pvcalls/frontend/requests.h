/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Requests on their way: those that wait for a slot of the command ring, and those that the backend has.
 *
 * Parked ACCEPTs hold a slot each for as long as nobody connects. They get at most ACCEPTS_MAX, so that there are always slots for what is
 * answered soon; and of those, one is for RELEASE alone, which goes first: what it frees may be what others wait for.
 *
 * A response is matched by its slot's own number and its command, and by nothing else that the backend says.
 */

#include <stdbool.h>
#include <stdint.h>

#include "command-ring.h"

#define ACCEPTS_MAX 24u
#define RELEASE_SLOTS 1u

struct request {
        struct request *next;           /* of those that wait */
        struct pvcalls_request wire;
        void *owner;                    /* the caller's; NULL: nobody waits for it any more */
        void *brought;                  /* the socket of an ACCEPT */
        uint32_t len;                   /* of the answer, if it is a long one */
        uint8_t piece[PVCALLS_PIECE_SIZE];
};

struct request_queue {
        struct request *first, **end;
};

struct requests {
        struct command_ring_front ring;
        struct request *flying[PVCALLS_SLOTS];
        uint32_t next_number;           /* of the next req_id, above the bits of its place in flying[] */
        uint32_t n_flying, n_accepts;
        struct request_queue releases, others;
};

void requests_init(struct requests *requests);

/* A request of this command for an id, to be filled in and queued. NULL: no memory. */
struct request *request_new(uint32_t cmd, uint64_t id, void *owner);

/* May one more ACCEPT be queued? */
bool requests_may_accept(const struct requests *requests);

void requests_queue(struct requests *requests, struct request *request);

/* Puts as many into the ring as may be. Returns whether the backend must be notified. */
bool requests_put(struct requests *requests);

/* Returns 0 and an answered request, which is the caller's then; COMMAND_RING_EMPTY; or -EPROTO. */
int requests_take(struct requests *requests, struct request **ret_request, int32_t *ret_result);

/* Takes back a request of the owner's that no backend has yet. NULL: there is none. */
struct request *requests_withdraw(struct requests *requests, const void *owner);

/* Has nobody wait for this owner's ACCEPTs that the backend has and will, by all that can be told, never answer: they have no owner then. */
unsigned requests_disown(struct requests *requests, const void *owner);

/* Takes back any: the backend is gone. */
struct request *requests_withdraw_any(struct requests *requests);
