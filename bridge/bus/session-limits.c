/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How much of the other domain may wait here (limit queued-bytes), and the descriptors of messages (limit fds).
 *
 * A bundle of descriptors is announced before its message, and belongs to the next one of its stream that says it has some. A message whose
 * bundle is not whole yet is held, and so is everything that its sender sends after it, so that order is kept. What is held is not taken:
 * it has its place in the stream's window.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "session-private.h"

static uint64_t queued_max(const struct session *session) {
        uint64_t limit = guard_limit(session->options.guard, BRIDGE_LIMIT_QUEUED_BYTES);

        return limit < SESSION_MEMORY_MAX ? limit : SESSION_MEMORY_MAX;
}

static void on_kick(void *userdata) {
        session_kick(userdata);
}

static void on_fail(void *userdata, int error) {
        session_fail(userdata, error, "carry a descriptor");
}

static void on_whole(void *userdata, uint32_t peer) {
        struct session *session = userdata;
        struct remote *remote = table_get_number(session->remotes, peer);
        int r = remote && !session->over ? in_held(session, remote) : 0;

        if (r < 0)
                session_fail(session, r, "hand over a message that has waited");
}

void limits_policy_changed(struct session *session) {
        uint64_t limit = queued_max(session);

        session->memory_streams.limit = limit;
        /* A message that is as large as our hello has said must come through, or else its stream would wait for ever. */
        session->memory_in.limit = limit > session->message_max ? limit : session->message_max;
}

int limits_start(struct session *session) {
        const struct streams_options options = {
                .event = session->options.event,
                .budget = &session->memory_streams,
                .control = mux_control(session->mux),
                .kick = on_kick,
                .whole = on_whole,
                .fail = on_fail,
                .userdata = session,
        };
        uint64_t limit = queued_max(session);

        session->message_max = limit > WIRE_MESSAGE_MAX ? WIRE_MESSAGE_MAX : limit < WIRE_WINDOW ? WIRE_WINDOW : (uint32_t) limit;
        limits_policy_changed(session);
        return streams_new(&session->streams, &options);
}

const char *limits_out(struct session *session, size_t size, char *text, size_t n_text) {
        uint64_t limit = queued_max(session), queued = mux_queued(session->mux);

        if (size > session->their_message_max)
                snprintf(text, n_text, "A message has %zu bytes, and domain %u takes %" PRIu32, size, session->options.domain,
                         session->their_message_max);
        else if (queued + size > limit)
                snprintf(text, n_text, "%" PRIu64 " bytes wait for domain %u, and with %zu more it were more than %" PRIu64 " (limit queued-bytes)",
                         queued, session->options.domain, size, limit);
        else
                return NULL;
        return BUS_NAME ".Error.LimitsExceeded";
}

const char *limits_in(struct session *session, size_t size, char *text, size_t n_text) {
        uint64_t limit = queued_max(session);

        if (session->n_arriving + size <= limit)
                return NULL;
        snprintf(text, n_text, "%" PRIu64 " bytes of domain %u wait for the bus, and with %zu more it were more than %" PRIu64
                 " (limit queued-bytes)", session->n_arriving, session->options.domain, size, limit);
        return BUS_NAME ".Error.LimitsExceeded";
}

const char *descriptors_offer(struct session *session, uint32_t stream, struct connection *connection, unsigned n, char *text, size_t n_text) {
        const char *error;
        int *fds;

        if (!session->passes_descriptors) {
                snprintf(text, n_text, "The bridge of domain %u does not carry descriptors, and this message has %u", session->options.domain, n);
                return BUS_NAME ".Error.NotSupported";
        }
        fds = connection_take_fds(connection);
        error = streams_offer(session->streams, stream, fds, n, guard_limit(session->options.guard, BRIDGE_LIMIT_FDS), text, n_text);
        free(fds);
        session->counters[COUNTER_DESCRIPTORS] = streams_count(session->streams);
        return error;
}

int descriptors_announced(struct session *session, const struct frame_content *content) {
        struct remote *remote = table_get_number(session->remotes, content->data.stream);
        struct arriving *arriving, **p;
        int r;

        if (!remote || remote->gone)
                return -EBADMSG;
        arriving = calloc(1, sizeof *arriving);
        if (!arriving)
                return -ENOMEM;
        r = streams_announced(session->streams, content, guard_limit(session->options.guard, BRIDGE_LIMIT_FDS), &arriving->bundle);
        if (r != 0) {
                free(arriving);
                return r;
        }
        for (p = &remote->bundles; *p; p = &(*p)->next)
                ;
        *p = arriving;
        return 0;
}

struct arriving *arriving_free(struct arriving *arriving) {
        while (arriving) {
                struct arriving *next = arriving->next;

                bundle_free(arriving->bundle);
                free(arriving->message.data);
                free(arriving);
                arriving = next;
        }
        return NULL;
}
