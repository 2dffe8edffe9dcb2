/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The way out: what is to be sent to the other domain, in the order in which it goes.
 *
 * Messages of one sender are a stream, and keep their order. Streams take turns, a fragment at a time, so that nobody waits behind
 * somebody else's large message; messages that fit into one fragment go before parts of larger ones, up to a limit that keeps those
 * moving. Everything that is not a message goes before all messages. A stream sends only what the receiver has given credit for.
 *
 * A pure state machine: mux_fill() yields bytes, and what they go through is somebody else's business.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

struct mux;

struct mux_message {
        uint32_t destination;
        uint64_t call;
        uint32_t flags;                 /* enum wire_message_flag */
        uint8_t *data;                  /* the mux frees it */
        uint32_t size;
        void *owner;                    /* what mux_sent_t is told: who is charged for it */
};

/* A message's last byte has gone out, or its stream was dropped: its memory is free. */
typedef void (*mux_sent_t)(void *userdata, void *owner, uint32_t size);

int mux_new(struct mux **ret_mux, mux_sent_t sent, void *userdata);
struct mux *mux_free(struct mux *mux);

/* Until the peer's hello has said its window, streams do not send. */
void mux_set_window(struct mux *mux, uint32_t window);

/* Frames other than messages: append to this with frame_append_...(). What is longer than MUX_CONTROL_MAX says: read nothing more. */
struct frame_buffer *mux_control(struct mux *mux);
#define MUX_CONTROL_MAX (1024u * 1024)

/* -EEXIST: there is such a stream. */
int mux_stream_open(struct mux *mux, uint32_t stream);

/* Takes the message, also if it fails. -ENOENT: there is no such stream, or it is being closed. */
int mux_send(struct mux *mux, uint32_t stream, const struct mux_message *message);

/* After what is queued, WIRE_PEER_GONE. */
int mux_stream_close(struct mux *mux, uint32_t stream);

/* Credit from the peer. FRAME_VIOLATION: more than a stream could have used. For streams that are gone: 0. */
int mux_credit(struct mux *mux, uint32_t stream, uint32_t n_bytes);

/* Bytes that wait, of all streams. */
uint64_t mux_queued(const struct mux *mux);

/* Whether mux_fill() would yield anything. */
bool mux_ready(const struct mux *mux);

/*
 * Appends whole frames to out while it is shorter than limit, so that little is already decided when something more urgent comes. 0, or
 * -ENOMEM.
 */
int mux_fill(struct mux *mux, struct frame_buffer *out, size_t limit);

static inline void mux_freep(struct mux **mux) {
        mux_free(*mux);
}
