/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The way in: whole messages of the other domain, out of the fragments that come.
 *
 * Each stream has a window: so many bytes of messages may come on it before somebody has taken them. It is given back by demux_taken(). A
 * message that is larger than the window needs memory of its own, out of a budget for all streams together: while there is none, its
 * stream waits, because it gets no credit, and others go on. So all streams together hold at most the budget, and a window each.
 *
 * A pure state machine. What it is told comes from frame_parse().
 */

#include <stdint.h>

#include "budget.h"
#include "frame.h"

struct demux;

struct demux_message {
        uint32_t stream;
        uint32_t destination;
        uint64_t call;
        uint32_t flags;                 /* enum wire_message_flag, and others */
        uint8_t *data;                  /* the caller's, to be freed */
        uint32_t size;
};

enum demux_outcome {                    /* positive results besides FRAME_VIOLATION */
        DEMUX_MESSAGE = 3,              /* there is a whole message */
};

/* Tells the peer that it may send more. An error ends the link. */
typedef int (*demux_credit_t)(void *userdata, uint32_t stream, uint32_t n_bytes);

/* budget: of messages larger than window, at least the largest message. It is the caller's, who may use it for other things too. */
int demux_new(struct demux **ret_demux, uint32_t window, struct budget *budget, demux_credit_t credit, void *userdata);
struct demux *demux_free(struct demux *demux);

/* -EEXIST: there is such a stream. */
int demux_stream_open(struct demux *demux, uint32_t stream);

/* What is not complete is dropped. -ENOENT: there is no such stream. */
int demux_stream_close(struct demux *demux, uint32_t stream);

/* The contents of WIRE_MESSAGE and WIRE_FRAGMENT. 0, DEMUX_MESSAGE and a message, FRAME_VIOLATION, or a negative errno. */
int demux_message(struct demux *demux, const struct frame_content *content, struct demux_message *ret_message);
int demux_fragment(struct demux *demux, const struct frame_content *content, struct demux_message *ret_message);

/* A message of this stream, which may be gone, no longer takes memory. An error ends the link. */
int demux_taken(struct demux *demux, uint32_t stream, uint32_t size);

static inline void demux_freep(struct demux **demux) {
        demux_free(*demux);
}
