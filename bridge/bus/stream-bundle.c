/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the other domain offers: the descriptors of one message, which are made here at once, and given away with it. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream.h"

#define ERROR(name) "org.freedesktop.DBus.Error." name

static uint64_t key_of(uint32_t id) {
        return id;                      /* as streams.c has it: not ours */
}

/* A stream that has nothing yet: it may be that it gets nothing. */
static int stream_new_theirs(struct bundle *bundle, size_t i, const struct wire_descriptor *descriptor) {
        struct streams *streams = bundle->streams;
        struct stream *stream;
        int r;

        if (descriptor->id == 0 || streams->n_theirs >= WIRE_STREAMS_MAX)
                return FRAME_VIOLATION;
        stream = calloc(1, sizeof *stream);
        if (!stream)
                return -ENOMEM;
        *stream = (struct stream) {
                .streams = streams,
                .id = descriptor->id,
                .kind = { .kind = (enum wire_descriptor_kind) descriptor->kind, .size = descriptor->size, .offset = descriptor->offset },
                .fd = -1,
                .sends = true,
                .receives = true,
                .bundle = bundle,
                .index = i,
        };
        r = table_add_number(streams->by_id, key_of(stream->id), stream);
        if (r < 0) {
                free(stream);
                return r == -EEXIST ? FRAME_VIOLATION : r;
        }
        streams->n_theirs++;
        bundle->members[i] = stream;
        return 0;
}

/* Gives it a descriptor. Sets the bundle's error if that cannot be. */
static int make(struct bundle *bundle, struct stream *stream) {
        struct streams *streams = bundle->streams;
        bool copy = stream_kind_is_copy(stream->kind.kind);
        uint64_t n = (stream_kind_goes_there(stream->kind.kind) ? STREAMS_WINDOW : 0) + (copy ? stream->kind.size : 0);
        int r;

        if (!budget_take(streams->options.budget, n))
                return -EDQUOT;
        stream->n_budget = n;
        r = stream_kind_make(stream->kind.kind, &stream->fd, &bundle->fds[stream->index], &stream->kind.way);
        if (r < 0)
                return r;
        streams->n_live++;
        bundle->n_missing += copy;
        r = stream_start(stream);
        if (r >= 0 && stream_kind_goes_there(stream->kind.kind))
                r = stream_allow(stream);
        if (r >= 0)
                stream_watch(stream);
        return r;
}

static const char *find_obstacle(struct bundle *bundle, uint64_t limit) {
        const struct streams *streams = bundle->streams;

        if (streams->n_live + bundle->n > limit) {
                snprintf(bundle->text, sizeof bundle->text,
                         "A message has %zu descriptors, %" PRIu64 " are carried already, and %" PRIu64 " may be (limit fds)", bundle->n,
                         streams->n_live, limit);
                return ERROR("LimitsExceeded");
        }
        for (size_t i = 0; i < bundle->n; i++) {
                const struct stream_kind *kind = &bundle->members[i]->kind;

                if (kind->kind < WIRE_PIPE_READER || kind->kind >= _WIRE_DESCRIPTOR_KIND_N) {
                        snprintf(bundle->text, sizeof bundle->text, "Descriptor %zu of %zu is of a kind that this bridge does not know", i + 1,
                                 bundle->n);
                        return ERROR("NotSupported");
                }
                if (stream_kind_is_copy(kind->kind) && kind->size > WIRE_COPY_MAX) {
                        snprintf(bundle->text, sizeof bundle->text, "Descriptor %zu of %zu has %" PRIu64 " bytes, and %u may be copied", i + 1,
                                 bundle->n, kind->size, WIRE_COPY_MAX);
                        return ERROR("LimitsExceeded");
                }
        }
        return NULL;
}

/* Nothing of it can be had: all that comes is dropped. */
static int give_up(struct bundle *bundle, const char *error) {
        int r = 0;

        bundle->error = error;
        bundle->n_missing = 0;
        for (size_t i = 0; i < bundle->n && r >= 0; i++) {
                stream_close(bundle->members[i]);
                bundle->members[i]->stopped = false;
                r = stream_stop(bundle->members[i]);
        }
        return r;
}

static int make_all(struct bundle *bundle) {
        int r = 0;

        for (size_t i = 0; i < bundle->n && r >= 0; i++)
                r = make(bundle, bundle->members[i]);
        if (r >= 0)
                return 0;
        snprintf(bundle->text, sizeof bundle->text, "Descriptors cannot be made: %s",
                 r == -EDQUOT ? "more would wait than may (limit queued-bytes)" : strerrordesc_np(-r) ?: "unknown error");
        return give_up(bundle, ERROR("LimitsExceeded"));
}

static struct bundle *bundle_new(struct streams *streams, const struct frame_content *content) {
        struct bundle *bundle = calloc(1, sizeof *bundle);
        size_t n = content->data.n;

        if (!bundle)
                return NULL;
        bundle->members = calloc(n, sizeof *bundle->members);
        bundle->fds = calloc(n, sizeof *bundle->fds);
        if (!bundle->members || !bundle->fds) {
                free(bundle->members);
                free(bundle->fds);
                free(bundle);
                return NULL;
        }
        bundle->streams = streams;
        bundle->peer = content->data.stream;
        bundle->n = n;
        for (size_t i = 0; i < n; i++)
                bundle->fds[i] = -1;
        return bundle;
}

int streams_announced(struct streams *streams, const struct frame_content *content, uint64_t limit, struct bundle **ret_bundle) {
        struct bundle *bundle = bundle_new(streams, content);
        const char *error;
        int r = bundle ? 0 : -ENOMEM;

        for (unsigned i = 0; r == 0 && i < content->data.n; i++) {
                struct wire_descriptor untrusted_descriptor = frame_descriptor(content, i);

                r = stream_new_theirs(bundle, i, &untrusted_descriptor);
        }
        if (r == 0) {
                error = find_obstacle(bundle, limit);
                r = error ? give_up(bundle, error) : make_all(bundle);
        }
        if (r != 0) {
                bundle_free(bundle);
                return r;
        }
        *ret_bundle = bundle;
        return 0;
}

/* A copy has come to its end. */
void bundle_copied(struct stream *stream, bool whole) {
        struct bundle *bundle = stream->bundle;
        int r = 0;

        if (bundle && whole && !bundle->error) {
                r = stream_kind_seal(stream->fd, &stream->kind, &bundle->fds[stream->index]);
                stream->fd = -1;        /* it has become the other */
                stream->streams->n_live--;
                bundle->n_missing--;
        } else
                stream_close(stream);
        if (!bundle || bundle->error || (whole && r == 0))
                return;
        snprintf(bundle->text, sizeof bundle->text, "Descriptor %zu of %zu could not be copied whole", stream->index + 1, bundle->n);
        bundle->error = ERROR("IOError");
        bundle->n_missing = 0;
}

bool bundle_is_whole(const struct bundle *bundle) {
        return bundle->n_missing == 0;
}

size_t bundle_size(const struct bundle *bundle) {
        return bundle->n;
}

const char *bundle_error(const struct bundle *bundle, const char **ret_text) {
        *ret_text = bundle->text;
        return bundle->error;
}

int *bundle_take(struct bundle *bundle) {
        int *fds = bundle->fds;

        bundle->fds = NULL;
        return fds;
}

/* Who has announced them may now forget those that have ended. */
static void let_go(struct stream *stream) {
        const struct streams_options options = stream->streams->options;
        int r = 0;

        stream->bundle = NULL;
        if (stream_kind_is_copy(stream->kind.kind) && stream->fd >= 0) {       /* nobody waits for it any longer */
                r = stream_stop(stream);
                stream_close(stream);
        }
        if (r >= 0 && (stream->fd < 0 || !stream_kind_comes_back(stream->kind.kind)))
                r = stream_send_end(stream, WIRE_DATA_CLOSED);
        stream_release(stream);
        if (r < 0)
                options.fail(options.userdata, r);
}

struct bundle *bundle_free(struct bundle *bundle) {
        if (!bundle)
                return NULL;
        for (size_t i = 0; i < bundle->n; i++) {
                if (bundle->fds && bundle->fds[i] >= 0)
                        close(bundle->fds[i]);
                if (bundle->members[i])
                        let_go(bundle->members[i]);
        }
        free(bundle->members);
        free(bundle->fds);
        free(bundle);
        return NULL;
}
