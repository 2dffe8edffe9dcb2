/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Joints: how a stream (stream.h) moves bytes if its peer is a socket of another guest's. They go from ring to ring in one copy, and there is no
 * socket between. Whoever has the stream has the other guest's pages mapped as well; as with the first guest's, each index is loaded once, checked,
 * and what was checked is used.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "data-ring.h"

struct stream;

struct joint {                          /* the other guest's rings */
        struct data_consumer out;
        struct data_producer in;
        bool in_done, out_done;         /* this direction has ended, and the other guest was told */
        bool out_ends;                  /* it has said where its out ends */
        uint32_t out_end;
        bool resets;                    /* that is not an orderly end: the first guest is told of a reset */
        bool lied;                      /* it has written what cannot be: the joint is no good any more */
};

void joint_init(struct joint *joint, struct pvcalls_indexes *indexes, uint8_t *data, uint32_t size, bool suppress);

/* Ends a direction of the other guest's, with a negative number of error.h, unless it has ended. It must be notified. */
void joint_end_in(struct joint *joint, int32_t number);
void joint_end_out(struct joint *joint, int32_t number);

/* Whether the other guest must be notified. */
bool joint_must_notify(struct joint *joint);

/* As stream_run() uses them: bytes that were moved, 0 if there is nothing to do for now, or -EPROTO: the first guest has lied. */
ssize_t joint_send(struct stream *stream, size_t budget);
ssize_t joint_receive(struct stream *stream, size_t budget);
