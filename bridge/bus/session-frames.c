/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ring, and what each frame that comes out of it does. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "session-private.h"

#define READ_TURN (1024u * 1024)        /* bytes that are read before others of the event loop have their turn */
#define OUT_LIMIT (64u * 1024)          /* of frames that are made before the ring takes them: as much as it holds */

static int on_hello(struct session *session, const struct wire_hello *hello) {
        static const uint8_t unknown[16];
        uint8_t uuid[16];
        int r;

        if (session->up)
                return -EBADMSG;
        if (hello->version_min > WIRE_VERSION) {
                session_end_with(session, WIRE_GOODBYE_VERSION, "no version of the bridge protocol that both speak");
                return 0;
        }
        /* The store knows who it is. What it says of itself may only agree: another domain may have got the same id meanwhile. */
        r = uuid_parse(session->options.uuid, uuid);
        if (r == 0 && memcmp(hello->uuid, unknown, sizeof unknown) != 0 && memcmp(hello->uuid, uuid, sizeof uuid) != 0) {
                session_end_with(session, WIRE_GOODBYE_IDENTITY, "the domain is not the one that was expected: its UUID is another");
                return 0;
        }
        session->version = hello->version_max < WIRE_VERSION ? hello->version_max : WIRE_VERSION;
        session->up = true;
        session->their_message_max = hello->message_max;
        session->passes_descriptors = hello->features & WIRE_FEATURE_DESCRIPTORS;
        mux_set_window(session->mux, hello->window);
        session->handlers->up(session->userdata, session->version, hello->epoch);
        return 0;
}

static int on_credit(struct session *session, const struct wire_credit *credit) {
        return mux_credit(session->mux, credit->stream, credit->n_bytes) == FRAME_VIOLATION ? -EBADMSG : 0;
}

static int on_stream(struct session *session, int r) {
        session->counters[COUNTER_DESCRIPTORS] = streams_count(session->streams);
        return r == FRAME_VIOLATION ? -EBADMSG : r;
}

static int on_part(struct session *session, int r, const struct demux_message *message) {
        if (r == DEMUX_MESSAGE)
                return in_message(session, message);
        return r == FRAME_VIOLATION ? -EBADMSG : r;
}

static int on_ping(struct session *session, uint16_t type, uint64_t cookie) {
        if (type == WIRE_PING) {
                session_kick(session);
                return frame_append_ping(mux_control(session->mux), WIRE_PONG, cookie);
        }
        if (session->ping_waits && cookie == session->ping_usec) {
                session->ping_waits = false;
                session->counters[COUNTER_ROUND_TRIP_USEC] = session_now() - cookie;
        }
        return 0;
}

static int on_goodbye(struct session *session, const struct frame_content *content) {
        char *text = text_copy(&content->text);

        session_end(session, text && *text ? text : "its bridge said goodbye");
        free(text);
        return 0;
}

static int on_started(struct session *session, const struct frame_content *content) {
        char *error = text_copy(&content->error), *text = text_copy(&content->text);
        int r = error && text ? 0 : -ENOMEM;

        if (r == 0)
                session->handlers->started(session->userdata, content->tag, error, text);
        free(error);
        free(text);
        return r;
}

static int on_content(struct session *session, uint16_t type, const struct frame_content *content) {
        struct demux_message message;

        switch (type) {
        case WIRE_PEER:
                return remote_new(session, content->id, content->hops, &content->text);
        case WIRE_PEER_GONE:
                return remote_gone(session, content->id);
        case WIRE_NAME:
                return remote_name(session, content->id, &content->text);
        case WIRE_NAME_GONE:
                return remote_name_gone(session, &content->text);
        case WIRE_ACTIVATABLE:
                return remote_activatable(session, &content->text, content->is, content->hops);
        case WIRE_START:
                return start_for_other(session, content->tag, &content->text);
        case WIRE_STARTED:
                return on_started(session, content);
        case WIRE_SUBSCRIBE:
                return rules_subscribe(session, content->id, &content->text);
        case WIRE_UNSUBSCRIBE:
                return rules_unsubscribe(session, content->id);
        case WIRE_MESSAGE:
                if (content->message.size > session->message_max)       /* our hello has said so */
                        return -EBADMSG;
                return on_part(session, demux_message(session->demux, content, &message), &message);
        case WIRE_FRAGMENT:
                return on_part(session, demux_fragment(session->demux, content, &message), &message);
        case WIRE_REFUSED:
                return in_refused(session, content->tag, &content->error, &content->text);
        case WIRE_CREDIT:
                return on_credit(session, &content->credit);
        case WIRE_DESCRIPTORS:
                return on_stream(session, descriptors_announced(session, content));
        case WIRE_DATA:
                return on_stream(session, streams_data(session->streams, content));
        case WIRE_DATA_CREDIT:
                return on_stream(session, streams_credit(session->streams, content));
        case WIRE_DATA_END:
                return on_stream(session, streams_end(session->streams, content));
        case WIRE_DATA_STOP:
                return on_stream(session, streams_stop(session->streams, content));
        case WIRE_PING:
        case WIRE_PONG:
                return on_ping(session, type, content->tag);
        case WIRE_GOODBYE:
                return on_goodbye(session, content);
        default:
                session->counters[COUNTER_FRAMES_UNKNOWN]++;
                return 0;
        }
}

static int on_frame(struct session *session, const struct frame *frame) {
        struct frame_content content;
        int r;

        session->counters[COUNTER_BYTES_IN] += sizeof(struct wire_head) + frame->n_body;
        r = frame_parse(frame, &content);
        if (r != 0)
                r = -EBADMSG;
        else if (frame->type == WIRE_HELLO)
                r = on_hello(session, &content.hello);
        else if (frame->type == WIRE_GOODBYE || session->up)
                r = on_content(session, frame->type, &content);
        else
                r = -EBADMSG;           /* the first frame is a hello */
        if (r == -EBADMSG)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_FRAME", wire_type_name(frame->type) }),
                          "Domain %u broke the bridge protocol with a frame of type %u (%s), %" PRIu32 " bytes", session->options.domain,
                          frame->type, wire_type_name(frame->type), frame->n_body);
        return r;
}

/* As many as have come, or until the bus has enough of them: others of it have their turns, too. The rest is handled when it answers. */
static int on_frames(struct session *session) {
        struct frame frame;
        int r = FRAME_MORE;

        while (!session->over && !turns_exhausted(session) && (r = frame_reader_next(session->reader, &frame)) == 0) {
                r = on_frame(session, &frame);
                if (r < 0)
                        return r;
        }
        return r == 0 || r == FRAME_MORE ? 0 : -EBADMSG;
}

int session_read_ring(struct session *session) {
        size_t n_read = 0;
        int r;

        r = on_frames(session);         /* that are left of before */
        if (r < 0)
                return r;
        while (!session->over && n_read < READ_TURN) {
                void *data;
                size_t size;
                int n;

                if (turns_exhausted(session))
                        return 0;
                if (frame_buffer_length(mux_control(session->mux)) > MUX_CONTROL_MAX)
                        return 0;       /* it makes more work than it takes answers: read on when they are gone */
                frame_reader_buffer(session->reader, &data, &size);
                n = vchan_read(session->vchan, data, size);
                if (n <= 0)
                        return n;
                n_read += (size_t) n;
                session->last_heard_usec = session_loop_now(session);
                frame_reader_commit(session->reader, (size_t) n);
                r = on_frames(session);
                if (r < 0)
                        return r;
        }
        session_kick(session);
        return 0;
}

int session_write_ring(struct session *session) {
        while (!session->over) {
                size_t n;
                int r;

                /* Messages and descriptors share the ring: what neither needs is the other's. */
                r = mux_fill(session->mux, &session->out, streams_ready(session->streams) ? OUT_LIMIT / 2 : OUT_LIMIT);
                if (r >= 0)
                        r = streams_fill(session->streams, &session->out, OUT_LIMIT);
                if (r < 0)
                        return r;
                n = frame_buffer_length(&session->out);
                if (n == 0)
                        break;
                r = vchan_write(session->vchan, session->out.data + session->out.start, n);
                if (r < 0)
                        return r;
                if (r == 0)             /* it is full, and we are told when it is not */
                        break;
                frame_buffer_take(&session->out, (size_t) r);
                session->counters[COUNTER_BYTES_OUT] += (uint64_t) r;
                session->last_progress_usec = session_loop_now(session);
        }
        session->counters[COUNTER_DESCRIPTORS] = streams_count(session->streams);
        session->counters[COUNTER_BYTES_QUEUED_OUT] = mux_queued(session->mux) + frame_buffer_length(&session->out);
        return 0;
}
