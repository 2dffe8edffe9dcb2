/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Streams: descriptors of one domain that are carried to another; docs/bridge-protocol.md, "Descriptors".
 *
 * Who passes a descriptor offers it: the bridge here keeps it, and reads and writes it. The bridge there makes something of the same kind,
 * gives one end of that away and keeps the other. What is read at one end is written at the other, each way with credit of its own, so one that nobody
 * reads stops nobody else. A bundle is what one message has; with copies in it, it is whole when they are.
 *
 * What a stream may have waiting here is taken out of a budget when it begins.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "budget.h"
#include "frame.h"

#define STREAMS_WINDOW (64u * 1024)     /* bytes of one stream, one way, on their way or waiting: as much as a pipe holds */

struct streams;
struct bundle;

struct streams_options {
        sd_event *event;
        struct budget *budget;
        struct frame_buffer *control;   /* where frames that are not data go; those go before all data */
        void (*kick)(void *userdata);   /* there is something to send */
        void (*whole)(void *userdata, uint32_t peer);   /* a bundle of this peer of the other domain is whole; not called from within */
        void (*fail)(void *userdata, int error);        /* the link cannot go on */
        void *userdata;
};

int streams_new(struct streams **ret_streams, const struct streams_options *options);
struct streams *streams_free(struct streams *streams);          /* closes all: whoever has the other ends notices */

/* How many there are that have not ended, of either side. */
uint64_t streams_count(const struct streams *streams);

/*
 * Announces a message's descriptors, at most limit with those there are; they are taken. NULL, or the name of the error for which they cannot
 * be carried, and a sentence in text; then nothing was sent, and they are closed.
 */
const char *streams_offer(struct streams *streams, uint32_t peer, int *fds, size_t n, uint64_t limit, char *text, size_t n_text);

/*
 * The other domain announces some. 0 and a bundle, which may be one that cannot be had (bundle_error()); FRAME_VIOLATION; or a negative
 * errno. The bundle is freed before the streams are.
 */
int streams_announced(struct streams *streams, const struct frame_content *content, uint64_t limit, struct bundle **ret_bundle);

/* The contents of the other frames. 0 or FRAME_VIOLATION, or a negative errno. */
int streams_data(struct streams *streams, const struct frame_content *content);
int streams_credit(struct streams *streams, const struct frame_content *content);
int streams_end(struct streams *streams, const struct frame_content *content);
int streams_stop(struct streams *streams, const struct frame_content *content);

/* Whether streams_fill() might yield anything. */
bool streams_ready(const struct streams *streams);

/* Appends data to out while it is shorter than limit, and nothing waits in control. 0 or -ENOMEM. */
int streams_fill(struct streams *streams, struct frame_buffer *out, size_t limit);

bool bundle_is_whole(const struct bundle *bundle);
size_t bundle_size(const struct bundle *bundle);

/* The error's name if the descriptors cannot be had, and a sentence; or NULL. */
const char *bundle_error(const struct bundle *bundle, const char **ret_text);

/* The descriptors, in an array to be freed; both become the caller's. Of a bundle that is whole and has no error. */
int *bundle_take(struct bundle *bundle);

struct bundle *bundle_free(struct bundle *bundle);
