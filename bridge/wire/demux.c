/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "demux.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

struct stream {
        uint32_t id;
        uint32_t credit;                /* bytes that the peer may still send */
        uint32_t owed;                  /* bytes that it may be told to send, and is not yet */
        uint8_t *data;                  /* of the message that is coming; NULL if there is none */
        uint32_t received, size;
        uint32_t destination;
        uint64_t call;
        uint32_t flags;
        bool has_memory;                /* out of the budget, for all of a message that is larger than the window */
        bool waits;                     /* for that */
        struct stream *next_waiting;
};

struct demux {
        struct table *streams;
        uint32_t window;
        struct budget *budget;
        demux_credit_t credit;
        void *userdata;
        struct stream *waiting, **last_waiting;
};

int demux_new(struct demux **ret_demux, uint32_t window, struct budget *budget, demux_credit_t credit, void *userdata) {
        struct demux *demux = calloc(1, sizeof *demux);
        int r;

        if (!demux)
                return -ENOMEM;
        demux->window = window;
        demux->budget = budget;
        demux->credit = credit;
        demux->userdata = userdata;
        demux->last_waiting = &demux->waiting;
        r = table_new(&demux->streams);
        if (r < 0) {
                free(demux);
                return r;
        }
        *ret_demux = demux;
        return 0;
}

static void stop_waiting(struct demux *demux, struct stream *stream) {
        if (!stream->waits)
                return;
        for (struct stream **p = &demux->waiting; *p; p = &(*p)->next_waiting)
                if (*p == stream) {
                        *p = stream->next_waiting;
                        if (!*p)
                                demux->last_waiting = p;
                        break;
                }
        stream->waits = false;
        stream->next_waiting = NULL;
}

static void stream_free(struct demux *demux, struct stream *stream) {
        stop_waiting(demux, stream);
        if (stream->has_memory)
                budget_return(demux->budget, stream->size);
        free(stream->data);
        free(stream);
}

struct demux *demux_free(struct demux *demux) {
        struct stream *stream;
        size_t iterator = 0;

        if (!demux)
                return NULL;
        while ((stream = table_next(demux->streams, &iterator)))
                stream_free(demux, stream);
        table_free(demux->streams);
        free(demux);
        return NULL;
}

int demux_stream_open(struct demux *demux, uint32_t id) {
        struct stream *stream = calloc(1, sizeof *stream);
        int r;

        if (!stream)
                return -ENOMEM;
        stream->id = id;
        stream->credit = demux->window;
        r = table_add_number(demux->streams, id, stream);
        if (r < 0)
                free(stream);
        return r;
}

/* The message that is coming fits into the window, and its rest not into what the peer may send: it would wait for what is owed. */
static bool is_short(const struct demux *demux, const struct stream *stream) {
        return stream->data && stream->size <= demux->window && stream->size - stream->received > stream->credit;
}

/* Tells the peer of what it may send once it is worth a frame, or it cannot go on without. */
static int give_credit(struct demux *demux, struct stream *stream, uint32_t n) {
        int r;

        stream->owed += n;
        if (stream->owed == 0 || (stream->owed < demux->window / 4 && !is_short(demux, stream)))
                return 0;
        r = demux->credit(demux->userdata, stream->id, stream->owed);
        if (r < 0)
                return r;
        stream->credit += stream->owed;
        stream->owed = 0;
        return 0;
}

/* Gives the stream memory for all of its message, if there is any: what has come of it takes nothing of the window any longer. */
static int give_memory(struct demux *demux, struct stream *stream) {
        uint8_t *data;

        if (!budget_take(demux->budget, stream->size)) {
                if (!stream->waits) {
                        stream->waits = true;
                        *demux->last_waiting = stream;
                        demux->last_waiting = &stream->next_waiting;
                }
                return 0;
        }
        stop_waiting(demux, stream);
        stream->has_memory = true;
        data = realloc(stream->data, stream->size);
        if (!data)
                return -ENOMEM;
        stream->data = data;
        return give_credit(demux, stream, stream->received);
}

static int serve_waiting(struct demux *demux) {
        while (demux->waiting) {
                struct stream *stream = demux->waiting;
                int r;

                r = give_memory(demux, stream);
                if (r < 0)
                        return r;
                if (stream->waits)
                        return 0;
        }
        return 0;
}

int demux_stream_close(struct demux *demux, uint32_t id) {
        struct stream *stream = table_remove_number(demux->streams, id);

        if (!stream)
                return -ENOENT;
        stream_free(demux, stream);
        return serve_waiting(demux);
}

/* Bytes of the message that is coming. */
static int receive(struct demux *demux, struct stream *stream, const uint8_t *bytes, size_t n, struct demux_message *ret_message) {
        int r;

        if (n > stream->size - stream->received || n > stream->credit)
                return FRAME_VIOLATION;
        memcpy(stream->data + stream->received, bytes, n);
        stream->received += (uint32_t) n;
        stream->credit -= (uint32_t) n;
        if (stream->has_memory || stream->received < stream->size) {
                r = give_credit(demux, stream, stream->has_memory ? (uint32_t) n : 0);
                if (r < 0)
                        return r;
        }
        if (stream->received < stream->size)
                return 0;

        *ret_message = (struct demux_message) {
                .stream = stream->id,
                .destination = stream->destination,
                .call = stream->call,
                .flags = stream->flags,
                .data = stream->data,
                .size = stream->size,
        };
        stream->data = NULL;
        stream->has_memory = false;     /* the message takes it along: demux_taken() knows by its size */
        return DEMUX_MESSAGE;
}

int demux_message(struct demux *demux, const struct frame_content *content, struct demux_message *ret_message) {
        const struct wire_message *message = &content->message;
        struct stream *stream = table_get_number(demux->streams, message->stream);
        bool large = message->size > demux->window;
        int r;

        if (!stream || stream->data || content->n_bytes > stream->credit)
                return FRAME_VIOLATION;
        stream->data = malloc(large ? demux->window : message->size);
        if (!stream->data)
                return -ENOMEM;
        stream->size = message->size;
        stream->received = 0;
        stream->destination = message->destination;
        stream->call = message->call;
        stream->flags = message->flags;
        if (large) {
                r = give_memory(demux, stream);
                if (r < 0)
                        return r;
        }
        return receive(demux, stream, content->bytes, content->n_bytes, ret_message);
}

int demux_fragment(struct demux *demux, const struct frame_content *content, struct demux_message *ret_message) {
        struct stream *stream = table_get_number(demux->streams, content->message.stream);

        if (!stream || !stream->data)
                return FRAME_VIOLATION;
        return receive(demux, stream, content->bytes, content->n_bytes, ret_message);
}

int demux_taken(struct demux *demux, uint32_t id, uint32_t size) {
        struct stream *stream;

        if (size > demux->window) {
                budget_return(demux->budget, size);
                return serve_waiting(demux);
        }
        stream = table_get_number(demux->streams, id);
        return stream ? give_credit(demux, stream, size) : 0;
}
