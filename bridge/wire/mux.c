/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "mux.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

#define URGENT_IN_A_ROW 16u             /* small messages, before a fragment of a large one has its turn */

struct entry {
        struct mux_message message;
        struct entry *next;
};

struct stream {
        uint32_t id;
        uint64_t credit;
        uint64_t n_queued;              /* bytes that are not sent yet */
        uint32_t offset;                /* of the first message, where the rest of it begins */
        struct entry *first, **last;
        bool closing;
        struct turn *turn;              /* where it waits for its turn; NULL if it cannot send */
        struct stream *before, *after;
};

/* Streams that can send, in the order in which they will. */
struct turn {
        struct stream *first, *last;
};

struct mux {
        struct table *streams;
        struct frame_buffer control;
        struct turn urgent, bulk;
        unsigned n_urgent;              /* in a row, with bulk waiting */
        uint32_t window;                /* 0: not known yet */
        uint64_t n_queued;
        mux_sent_t sent;
        void *userdata;
};

static void turn_remove(struct stream *stream) {
        struct turn *turn = stream->turn;

        if (!turn)
                return;
        *(stream->before ? &stream->before->after : &turn->first) = stream->after;
        *(stream->after ? &stream->after->before : &turn->last) = stream->before;
        stream->turn = NULL;
        stream->before = stream->after = NULL;
}

static void turn_append(struct turn *turn, struct stream *stream) {
        stream->before = turn->last;
        stream->after = NULL;
        *(turn->last ? &turn->last->after : &turn->first) = stream;
        turn->last = stream;
        stream->turn = turn;
}

/* Puts a stream where it belongs: at the end of its turn, or nowhere. */
static void schedule(struct mux *mux, struct stream *stream) {
        turn_remove(stream);
        if (!stream->first || stream->credit == 0 || mux->window == 0)
                return;
        turn_append(stream->offset == 0 && stream->first->message.size <= WIRE_FRAGMENT_MAX ? &mux->urgent : &mux->bulk, stream);
}

int mux_new(struct mux **ret_mux, mux_sent_t sent, void *userdata) {
        struct mux *mux = calloc(1, sizeof *mux);
        int r;

        if (!mux)
                return -ENOMEM;
        mux->sent = sent;
        mux->userdata = userdata;
        r = table_new(&mux->streams);
        if (r < 0) {
                free(mux);
                return r;
        }
        *ret_mux = mux;
        return 0;
}

/* Drops the first message. */
static void drop_first(struct mux *mux, struct stream *stream) {
        struct entry *entry = stream->first;
        uint32_t left = entry->message.size - stream->offset;

        stream->first = entry->next;
        if (!stream->first)
                stream->last = &stream->first;
        stream->n_queued -= left;
        mux->n_queued -= left;
        stream->offset = 0;
        if (mux->sent)
                mux->sent(mux->userdata, entry->message.owner, entry->message.size);
        free(entry->message.data);
        free(entry);
}

static void stream_free(struct mux *mux, struct stream *stream) {
        turn_remove(stream);
        while (stream->first)
                drop_first(mux, stream);
        free(stream);
}

struct mux *mux_free(struct mux *mux) {
        struct stream *stream;
        size_t iterator = 0;

        if (!mux)
                return NULL;
        mux->sent = NULL;
        while ((stream = table_next(mux->streams, &iterator)))
                stream_free(mux, stream);
        table_free(mux->streams);
        frame_buffer_done(&mux->control);
        free(mux);
        return NULL;
}

void mux_set_window(struct mux *mux, uint32_t window) {
        struct stream *stream;
        size_t iterator = 0;

        assert(mux->window == 0 && window > 0);
        mux->window = window;
        while ((stream = table_next(mux->streams, &iterator))) {
                stream->credit = window;
                schedule(mux, stream);
        }
}

struct frame_buffer *mux_control(struct mux *mux) {
        return &mux->control;
}

int mux_stream_open(struct mux *mux, uint32_t id) {
        struct stream *stream = calloc(1, sizeof *stream);
        int r;

        if (!stream)
                return -ENOMEM;
        stream->id = id;
        stream->credit = mux->window;
        stream->last = &stream->first;
        r = table_add_number(mux->streams, id, stream);
        if (r < 0)
                free(stream);
        return r;
}

int mux_send(struct mux *mux, uint32_t id, const struct mux_message *message) {
        struct stream *stream = table_get_number(mux->streams, id);
        struct entry *entry = NULL;
        int r = -ENOENT;

        if (stream && !stream->closing) {
                entry = malloc(sizeof *entry);
                r = -ENOMEM;
        }
        if (!entry) {
                if (mux->sent)
                        mux->sent(mux->userdata, message->owner, message->size);
                free(message->data);
                return r;
        }
        *entry = (struct entry) { .message = *message };
        *stream->last = entry;
        stream->last = &entry->next;
        stream->n_queued += message->size;
        mux->n_queued += message->size;
        if (!stream->turn)
                schedule(mux, stream);
        return 0;
}

static int finish(struct mux *mux, struct stream *stream) {
        int r;

        r = frame_append_peer_gone(&mux->control, stream->id);
        table_remove_number(mux->streams, stream->id);
        stream_free(mux, stream);
        return r;
}

int mux_stream_close(struct mux *mux, uint32_t id) {
        struct stream *stream = table_get_number(mux->streams, id);

        if (!stream || stream->closing)
                return -ENOENT;
        stream->closing = true;
        return stream->first ? 0 : finish(mux, stream);
}

int mux_credit(struct mux *mux, uint32_t id, uint32_t n_bytes) {
        struct stream *stream = table_get_number(mux->streams, id);

        if (!stream)
                return 0;
        /* A receiver gives back what it was sent: a stream never has more than it began with. */
        if (stream->credit + n_bytes > mux->window)
                return FRAME_VIOLATION;
        stream->credit += n_bytes;
        if (!stream->turn)
                schedule(mux, stream);
        return 0;
}

uint64_t mux_queued(const struct mux *mux) {
        return mux->n_queued;
}

bool mux_ready(const struct mux *mux) {
        return frame_buffer_length(&mux->control) > 0 || mux->urgent.first || mux->bulk.first;
}

/* The stream whose turn it is. */
static struct stream *next_stream(struct mux *mux) {
        if (!mux->urgent.first || (mux->bulk.first && mux->n_urgent >= URGENT_IN_A_ROW)) {
                mux->n_urgent = 0;
                return mux->bulk.first;
        }
        mux->n_urgent = mux->bulk.first ? mux->n_urgent + 1 : 0;
        return mux->urgent.first;
}

static int send_fragment(struct mux *mux, struct stream *stream, struct frame_buffer *out) {
        const struct mux_message *message = &stream->first->message;
        const uint8_t *bytes = message->data + stream->offset;
        uint32_t n = message->size - stream->offset;
        int r;

        if (n > WIRE_FRAGMENT_MAX)
                n = WIRE_FRAGMENT_MAX;
        if (n > stream->credit)
                n = (uint32_t) stream->credit;
        if (stream->offset == 0) {
                const struct wire_message head = {
                        .stream = stream->id,
                        .destination = message->destination,
                        .call = message->call,
                        .size = message->size,
                        .flags = message->flags,
                };

                r = frame_append_message(out, &head, bytes, n);
        } else
                r = frame_append_fragment(out, stream->id, bytes, n);
        if (r < 0)
                return r;
        stream->credit -= n;
        stream->offset += n;
        stream->n_queued -= n;
        mux->n_queued -= n;
        if (stream->offset == message->size)
                drop_first(mux, stream);
        schedule(mux, stream);
        return stream->closing && !stream->first ? finish(mux, stream) : 0;
}

/* Control frames are whole in their buffer: it is taken as it is, at most all of it, at least one frame. */
static int move_control(struct mux *mux, struct frame_buffer *out) {
        struct frame_buffer swap;

        if (frame_buffer_length(out) == 0) {            /* the usual case: nothing is copied */
                swap = *out;
                *out = mux->control;
                mux->control = swap;
                return 0;
        }
        while (frame_buffer_length(&mux->control) > 0) {
                struct frame_buffer *control = &mux->control;
                struct wire_head head;
                size_t n;
                int r;

                memcpy(&head, control->data + control->start, sizeof head);
                n = sizeof head + le32toh(head.n_body);
                r = frame_append(out, le16toh(head.type), control->data + control->start + sizeof head, n - sizeof head, NULL, 0, NULL, 0);
                if (r < 0)
                        return r;
                frame_buffer_take(control, n);
        }
        return 0;
}

int mux_fill(struct mux *mux, struct frame_buffer *out, size_t limit) {
        int r;

        while (frame_buffer_length(out) < limit) {
                struct stream *stream;

                if (frame_buffer_length(&mux->control) > 0) {
                        r = move_control(mux, out);
                        if (r < 0)
                                return r;
                        continue;
                }
                stream = next_stream(mux);
                if (!stream)
                        return 0;
                r = send_fragment(mux, stream, out);
                if (r < 0)
                        return r;
        }
        return 0;
}
