/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Moves: has a service hand over to one that stands by, step by step, as docs/service-move.md has it.
 *
 * A mover is a client of both, by names of its own bus, and does not care which domains they are in. It holds nothing that would be lost with
 * it: if it dies, the two find out by themselves.
 */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "error.h"

enum move_step {
        MOVE_FIND,                      /* the two */
        MOVE_REHEARSE,                  /* with a copy of the state, before anybody waits */
        MOVE_QUIESCE,                   /* from here on, calls wait */
        MOVE_COPY,
        MOVE_LOAD,
        MOVE_RETIRE,                    /* from here on, it is not cancelled any more */
        MOVE_ACTIVATE,                  /* the name changes hands */
        MOVE_RELAY,                     /* and the new one serves */
        _MOVE_STEP_N,
};

struct move_result {
        uint64_t pause_usec;            /* for how long calls had to wait */
        uint32_t waiting_calls;         /* how many had come to the old one, and were passed on */
        uint64_t epoch;
};

struct move_listener {
        void (*step)(enum move_step step, void *userdata);      /* begins; may be NULL, may cancel, may not free the move */

        /* The end, once; frees the move, or has it freed later. r: 0, or a negative errno with error set, and then it is undone. */
        void (*end)(int r, struct idl_error *error, const struct move_result *result, void *userdata);
};

struct move_options {
        const char *name;               /* of the service */
        bool may_start;                 /* who stands by may be started by this bus */
        bool old_is_here;               /* on this bus, and not in another domain: when it is gone from the bus it is dead */
        uint32_t quiesce_ms;            /* how long it may take to finish what it has begun; 0: 5 s */
};

struct move;

/* The bus and the loop are referenced; the listener is kept, not copied. Nothing is told before this returns. */
int move_start(struct move **ret_move, sd_bus *bus, sd_event *event, const struct move_options *options,
               const struct move_listener *listener, void *userdata);

/* Asks it to end, as Cancelled, within MOVE_CANCEL_USEC. -EBUSY: it is too late. */
int move_cancel(struct move *move);

#define MOVE_CANCEL_USEC UINT64_C(5000000)      /* org.xen.xcp.bridge1.Manager.xml, MoveService */

/* Without a word to anybody: the two notice. */
struct move *move_free(struct move *move);

const char *move_step_name(enum move_step step);
