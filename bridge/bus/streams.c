/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All streams of a session: those that this side offers, and the frames about all of them. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream.h"

#define ERROR(name) "org.freedesktop.DBus.Error." name

static uint64_t key_of(uint32_t id, bool ours) {
        return id | (uint64_t) ours << 32;
}

int streams_new(struct streams **ret_streams, const struct streams_options *options) {
        struct streams *streams = calloc(1, sizeof *streams);
        int r;

        if (!streams)
                return -ENOMEM;
        streams->options = *options;
        r = table_new(&streams->by_id);
        if (r < 0) {
                free(streams);
                return r;
        }
        r = stream_pipe_open(streams->pipe);
        if (r < 0) {
                table_free(streams->by_id);
                free(streams);
                return r;
        }
        *ret_streams = streams;
        return 0;
}

/* Whatever it has or not. */
static void stream_free(struct stream *stream) {
        struct streams *streams = stream->streams;

        table_remove_number(streams->by_id, key_of(stream->id, stream->ours));
        stream_close(stream);
        budget_return(streams->options.budget, stream->n_budget);
        streams->n_theirs -= !stream->ours;
        free(stream);
}

struct streams *streams_free(struct streams *streams) {
        struct stream *stream;
        size_t iterator = 0;

        if (!streams)
                return NULL;
        while ((stream = table_next(streams->by_id, &iterator)))
                stream_free(stream);
        table_free(streams->by_id);
        close(streams->pipe[0]);
        close(streams->pipe[1]);
        free(streams);
        return NULL;
}

uint64_t streams_count(const struct streams *streams) {
        return streams->n_live;
}

void stream_release(struct stream *stream) {
        if (!stream->sends && !stream->receives && !stream->bundle && !stream->buffer)
                stream_free(stream);
}

/* Those that can send, in turn */

void streams_add_ready(struct stream *stream) {
        struct streams *streams = stream->streams;

        if (stream->ready)
                return;
        stream->ready = true;
        stream->before = streams->last_ready;
        stream->after = NULL;
        *(stream->before ? &stream->before->after : &streams->first_ready) = stream;
        streams->last_ready = stream;
        streams->options.kick(streams->options.userdata);
}

void streams_remove_ready(struct stream *stream) {
        struct streams *streams = stream->streams;

        if (!stream->ready)
                return;
        stream->ready = false;
        *(stream->before ? &stream->before->after : &streams->first_ready) = stream->after;
        *(stream->after ? &stream->after->before : &streams->last_ready) = stream->before;
}

bool streams_ready(const struct streams *streams) {
        return streams->first_ready;
}

int streams_fill(struct streams *streams, struct frame_buffer *out, size_t limit) {
        while (streams->first_ready && frame_buffer_length(out) < limit && frame_buffer_length(streams->options.control) == 0) {
                struct stream *stream = streams->first_ready;
                int r;

                streams_remove_ready(stream);
                r = stream_send(stream, out);
                stream_release(stream);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What this side offers */

static const char *refuse_kind(size_t i, size_t n, const char *what, const char *error, char *text, size_t n_text) {
        snprintf(text, n_text, "Descriptor %zu of %zu is %s: that does not pass between domains", i + 1, n, what);
        return error;
}

static uint32_t free_id(struct streams *streams) {
        do
                streams->next_id++;
        while (streams->next_id == 0 || table_get_number(streams->by_id, key_of(streams->next_id, true)));
        return streams->next_id;
}

/* Takes fd. */
static int stream_new_ours(struct streams *streams, int fd, const struct stream_kind *kind, struct stream **ret_stream) {
        struct stream *stream = calloc(1, sizeof *stream);
        uint64_t window = stream_kind_comes_back(kind->kind) ? STREAMS_WINDOW : 0;
        int r = -ENOMEM;

        if (stream && budget_take(streams->options.budget, window)) {
                *stream = (struct stream) {
                        .streams = streams,
                        .id = free_id(streams),
                        .ours = true,
                        .kind = *kind,
                        .sends = true,
                        .receives = true,
                        .n_budget = window,
                };
                r = table_add_number(streams->by_id, key_of(stream->id, true), stream);
                if (r < 0)
                        budget_return(streams->options.budget, window);
        } else if (stream)
                r = -EDQUOT;
        if (r < 0) {
                close(fd);
                free(stream);
                return r;
        }
        stream->fd = stream_kind_prepare(fd, kind);
        streams->n_live++;
        r = stream_start(stream);
        if (r < 0) {
                stream_free(stream);
                return r;
        }
        *ret_stream = stream;
        return 0;
}

static int announce(struct streams *streams, uint32_t peer, struct stream *const *list, size_t n) {
        struct wire_descriptor descriptors[WIRE_DESCRIPTORS_MAX];
        int r;

        for (size_t i = 0; i < n; i++)
                descriptors[i] = (struct wire_descriptor) {
                        .id = list[i]->id,
                        .kind = (uint16_t) list[i]->kind.kind,
                        .size = list[i]->kind.size,
                        .offset = list[i]->kind.offset,
                };
        r = frame_append_descriptors(streams->options.control, peer, descriptors, (uint16_t) n);
        for (size_t i = 0; i < n && r >= 0; i++) {
                if (stream_kind_comes_back(list[i]->kind.kind))
                        r = stream_allow(list[i]);
                if (r >= 0 && !stream_kind_goes_there(list[i]->kind.kind))
                        r = stream_send_end(list[i], WIRE_DATA_HALF);
                stream_watch(list[i]);
        }
        streams->options.kick(streams->options.userdata);
        return r;
}

static void close_all(int *fds, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (fds[i] >= 0)
                        close(fds[i]);
}

static const char *cannot(int error, char *text, size_t n_text) {
        snprintf(text, n_text, "Descriptors cannot be carried: %s",
                 error == -EDQUOT ? "more would wait than may (limit queued-bytes)" : strerrordesc_np(-error) ?: "unknown error");
        return ERROR("LimitsExceeded");
}

/* All of them, or none. Takes fds. */
static int make_ours(struct streams *streams, int *fds, const struct stream_kind *kinds, size_t n, struct stream **list) {
        size_t i;
        int r = 0;

        for (i = 0; i < n && r >= 0; i++)
                r = stream_new_ours(streams, fds[i], &kinds[i], &list[i]);
        if (r >= 0)
                return 0;
        close_all(fds + i, n - i);
        for (i--; i > 0; i--)
                stream_free(list[i - 1]);
        return r;
}

const char *streams_offer(struct streams *streams, uint32_t peer, int *fds, size_t n, uint64_t limit, char *text, size_t n_text) {
        struct stream_kind kinds[WIRE_DESCRIPTORS_MAX];
        struct stream *list[WIRE_DESCRIPTORS_MAX];
        const char *error = NULL;
        char what[128];
        int r;

        if (limit > WIRE_STREAMS_MAX)
                limit = WIRE_STREAMS_MAX;
        if (n > WIRE_DESCRIPTORS_MAX || table_count(streams->by_id) + n > limit) {
                snprintf(text, n_text, "A message has %zu descriptors, %zu are carried already, and %" PRIu64 " may be (limit fds)", n,
                         table_count(streams->by_id), limit);
                error = ERROR("LimitsExceeded");
        }
        for (size_t i = 0; i < n && !error; i++) {
                error = stream_kind_find(fds[i], &kinds[i], what, sizeof what);
                if (error)
                        refuse_kind(i, n, what, error, text, n_text);
        }
        if (error) {
                close_all(fds, n);
                return error;
        }
        r = make_ours(streams, fds, kinds, n, list);
        if (r < 0)
                return cannot(r, text, n_text);
        r = announce(streams, peer, list, n);
        if (r < 0)
                streams->options.fail(streams->options.userdata, r);
        return NULL;
}

/* Frames */

static struct stream *find(struct streams *streams, const struct frame_content *content) {
        return table_get_number(streams->by_id, key_of(content->data.id, content->data.is_receivers));
}

/* After whatever a frame has done to it. */
static int done(struct stream *stream, int r) {
        if (stream->fd >= 0)
                stream_watch(stream);
        stream_release(stream);
        return r;
}

int streams_data(struct streams *streams, const struct frame_content *content) {
        struct stream *stream = find(streams, content);

        return stream ? done(stream, stream_receive(stream, content->bytes, content->n_bytes)) : FRAME_VIOLATION;
}

int streams_credit(struct streams *streams, const struct frame_content *content) {
        struct stream *stream = find(streams, content);

        if (!stream)                    /* it has ended while this was on its way */
                return 0;
        if (stream->credit + content->data.n_bytes > WIRE_STREAM_CREDIT_MAX)
                return FRAME_VIOLATION;
        stream->credit += content->data.n_bytes;
        return done(stream, 0);
}

int streams_end(struct streams *streams, const struct frame_content *content) {
        struct stream *stream = find(streams, content);
        bool was_whole = true;
        struct bundle *bundle;
        uint32_t peer = 0;
        int r;

        if (!stream)
                return FRAME_VIOLATION;
        bundle = stream->bundle;
        if (bundle) {
                was_whole = bundle_is_whole(bundle);
                peer = bundle->peer;
        }
        r = done(stream, stream_receive_end(stream, content->data.reason));
        if (r == 0 && !was_whole && bundle_is_whole(bundle))
                streams->options.whole(streams->options.userdata, peer);
        return r;
}

int streams_stop(struct streams *streams, const struct frame_content *content) {
        struct stream *stream = find(streams, content);

        return stream ? done(stream, stream_receive_stop(stream)) : 0;
}
