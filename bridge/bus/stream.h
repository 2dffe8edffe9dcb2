/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One stream, which streams.c has many of: between a descriptor and frames, each way on its own. */

#include "streams.h"
#include "stream-kind.h"
#include "table.h"

struct stream {
        struct streams *streams;
        uint32_t id;
        bool ours;                      /* offered by this side */
        struct stream_kind kind;
        int fd;                         /* -1: closed */
        sd_event_source *io;            /* NULL for files */
        bool hung_up;                   /* the event loop has said so, and will not stop saying it */

        bool sends;                     /* the other side has not been told of the end */
        uint64_t credit;                /* what may be sent */
        uint64_t place;                 /* of a file: what is read or written next */
        bool ready;                     /* it is in the list of those */
        struct stream *before, *after;

        bool receives;                  /* the other side has not told of the end */
        bool stopped;                   /* what comes is dropped */
        uint64_t n_budget;              /* what it has of the budget */
        enum wire_data_reason reason;   /* for which it has ended */
        uint32_t allowed, owed;         /* what may come, and what else may be allowed */
        uint8_t *buffer;                /* what has come and is not written yet, from start to end; NULL if there is nothing */
        size_t start, end;

        struct bundle *bundle;          /* that is not taken yet: until then it stays */
        size_t index;                   /* in that */
};

struct bundle {
        struct streams *streams;
        uint32_t peer;
        size_t n, n_missing;            /* copies that are not whole */
        const char *error;
        char text[256];
        struct stream **members;
        int *fds;
};

struct streams {
        struct streams_options options;
        struct table *by_id;            /* struct stream, by id and side */
        uint32_t next_id;
        uint64_t n_live;                /* that have a descriptor */
        size_t n_theirs;
        struct stream *first_ready, *last_ready;
        int pipe[2];                    /* empty but during one call: stream-io.c */
        uint8_t piece[WIRE_PACKET_MAX];
};

/* streams.c: frees it if it has ended both ways, and its bundle is taken. For who was called from outside, at the end. */
void stream_release(struct stream *stream);
void streams_add_ready(struct stream *stream);
void streams_remove_ready(struct stream *stream);
void bundle_copied(struct stream *stream, bool whole);

/* stream.c: */
int stream_start(struct stream *stream);                /* watches the descriptor */
void stream_watch(struct stream *stream);
int stream_allow(struct stream *stream);                /* the first credit; only with a window */
void stream_close(struct stream *stream);               /* its descriptor, now, and what waits for it */
int stream_send(struct stream *stream, struct frame_buffer *out);       /* at most one frame */
int stream_send_end(struct stream *stream, enum wire_data_reason reason);
int stream_stop(struct stream *stream);                 /* nothing more is taken */
int stream_receive(struct stream *stream, const uint8_t *data, size_t n);       /* or FRAME_VIOLATION */
int stream_receive_end(struct stream *stream, enum wire_data_reason reason);    /* or FRAME_VIOLATION */
int stream_receive_stop(struct stream *stream);

/* stream-io.c: bytes or one packet; negative errno, 0 at the end. */
int stream_pipe_open(int ret_pipe[2]);
ssize_t stream_read(struct stream *stream, void *data, size_t n);
ssize_t stream_write(struct stream *stream, const void *data, size_t n);

static inline bool stream_has_packets(const struct stream *stream) {
        return stream->kind.kind == WIRE_SOCKET_PACKETS;
}

static inline bool stream_is_terminal(const struct stream *stream) {
        return stream->kind.kind == WIRE_TERMINAL || stream->kind.kind == WIRE_TERMINAL_MASTER;
}

static inline bool stream_is_socket(const struct stream *stream) {
        return stream->kind.way == STREAM_WAY_SOCKET;
}

static inline enum wire_side stream_side(const struct stream *stream) {
        return stream->ours ? WIRE_SENDERS : WIRE_RECEIVERS;
}
