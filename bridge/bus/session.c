/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A session's life: its beginning, the hello, whether the other side is alive, and the end. */

#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "body.h"
#include "log.h"
#include "session-private.h"

#define USEC_PER_SEC UINT64_C(1000000)
#define TICK_USEC (USEC_PER_SEC / 4)            /* how often the clock is looked at */
#define PING_USEC (2 * USEC_PER_SEC)            /* of silence, before the other side is asked whether it lives */
#define STALL_USEC (3 * USEC_PER_SEC)           /* without progress, before it is said to be stalled */
#define SILENCE_USEC (15 * USEC_PER_SEC)        /* before it is given up */

#define PRIORITY_LISTENER (SD_EVENT_PRIORITY_NORMAL - 10)       /* names and signals before what others say about them */

static const char *const counter_names[_COUNTER_N] = {
        [COUNTER_MESSAGES_IN] = "messages.in",
        [COUNTER_MESSAGES_OUT] = "messages.out",
        [COUNTER_BYTES_IN] = "bytes.in",
        [COUNTER_BYTES_OUT] = "bytes.out",
        [COUNTER_CALLS_IN] = "calls.in",
        [COUNTER_CALLS_OUT] = "calls.out",
        [COUNTER_CALLS_FAILED] = "calls.failed",
        [COUNTER_SIGNALS_IN] = "signals.in",
        [COUNTER_SIGNALS_OUT] = "signals.out",
        [COUNTER_SIGNALS_DROPPED] = "signals.dropped",
        [COUNTER_DENIED_IN] = "denied.in",
        [COUNTER_DENIED_OUT] = "denied.out",
        [COUNTER_INVALID] = "messages.invalid",
        [COUNTER_REPLIES_UNEXPECTED] = "replies.unexpected",
        [COUNTER_NAMES_REFUSED] = "names.refused",
        [COUNTER_FRAMES_UNKNOWN] = "frames.unknown",
        [COUNTER_PEERS] = "peers",
        [COUNTER_PEERS_LOCAL] = "peers.local",
        [COUNTER_CALLS_WAITING_IN] = "calls.waiting.in",
        [COUNTER_CALLS_WAITING_OUT] = "calls.waiting.out",
        [COUNTER_BYTES_QUEUED_OUT] = "bytes.queued.out",
        [COUNTER_DESCRIPTORS] = "descriptors",
        [COUNTER_ROUND_TRIP_USEC] = "round-trip-us",
};

const char *session_counter_name(enum session_counter counter) {
        return counter_names[counter];
}

uint64_t session_loop_now(const struct session *session) {
        uint64_t usec;

        return sd_event_now(session->options.event, CLOCK_MONOTONIC, &usec) < 0 ? session_now() : usec;
}

uint64_t session_now(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * USEC_PER_SEC + (uint64_t) now.tv_nsec / 1000;
}

char *text_copy(const struct frame_text *text) {
        return strndup(text->text, text->n);
}

int uuid_parse(const char *text, uint8_t ret_uuid[16]) {
        size_t n = 0;

        for (; *text; text++) {
                unsigned byte;

                if (*text == '-')
                        continue;
                if (n == 16 || sscanf(text, "%2x", &byte) != 1 || text[1] == '\0')
                        return -EINVAL;
                ret_uuid[n++] = (uint8_t) byte;
                text++;
        }
        return n == 16 ? 0 : -EINVAL;
}

/* The end */

static void stop_io(struct session *session) {
        session->again = sd_event_source_disable_unref(session->again);
        session->timer = sd_event_source_disable_unref(session->timer);
        session->listener = connection_free(session->listener);
}

void session_end_with(struct session *session, enum wire_goodbye reason, const char *text) {
        if (session->over)
                return;
        /* As far as the ring takes it: a peer that does not read is told nothing. */
        if (frame_append_goodbye(mux_control(session->mux), reason, text) >= 0)
                session_write_ring(session);
        session_end(session, text);
}

void session_end(struct session *session, const char *reason) {
        if (session->over)
                return;
        session->over = true;
        remotes_end(session, reason);
        stop_io(session);
        session->handlers->ended(session->userdata, reason);
}

void session_fail(struct session *session, int error, const char *what) {
        char text[256];

        if (session->over)
                return;
        switch (error) {
        case -EPIPE:
                session_end(session, "the other end of the ring is gone");
                return;
        case -EUCLEAN:
                session_end(session, "the ring's indexes are corrupt");
                return;
        case -EBADMSG:
                session_end_with(session, WIRE_GOODBYE_VIOLATION, "the bridge protocol was broken");
                return;
        case -EMLINK:
                session_end_with(session, WIRE_GOODBYE_RESOURCES, "more peers, names or rules than a domain may have");
                return;
        default:
                snprintf(text, sizeof text, "cannot %s: %s", what, strerrordesc_np(-error) ?: "unknown error");
                session_end_with(session, WIRE_GOODBYE_RESOURCES, text);
        }
}

/* Its course */

static bool answers_too_much(struct session *session) {
        return frame_buffer_length(mux_control(session->mux)) > MUX_CONTROL_MAX;
}

static void use_ring(struct session *session) {
        bool waits;
        int r;

        session->kicked = false;
        if (session->retry) {
                session->retry = false;
                remotes_retry(session);
        }
        r = session_read_ring(session);
        if (r >= 0 && !session->over) {
                outbox_send(&session->outbox);  /* gives credit, which goes out at once */
                waits = answers_too_much(session);
                r = session_write_ring(session);
                if (waits && !answers_too_much(session))
                        session_kick(session);  /* what was not read for it */
        }
        if (r < 0)
                session_fail(session, r, "use the ring");
}

/*
 * Before the event loop waits, all that has come in goes out. That needs no event of its own, for which the loop would look at its sockets once
 * more. What is left after a turn has another one when those have had theirs.
 */
static int before_wait(sd_event_source *source, void *userdata) {
        struct session *session = userdata;

        if (session->kicked)
                use_ring(session);
        outbox_send(&session->outbox);
        return session->again ? sd_event_source_set_enabled(session->again, session->kicked ? SD_EVENT_ONESHOT : SD_EVENT_OFF) : 0;
}

static int on_again(sd_event_source *source, void *userdata) {
        return 0;
}

void session_kick(struct session *session) {
        session->kicked = true;
}

void session_on_ring(struct session *session) {
        session_kick(session);
}

static void tell_figures(struct session *session) {
        struct remote *remote;
        size_t iterator = 0;

        while ((remote = table_next(session->remotes, &iterator)))
                session->options.figures[remote->figures] = (struct session_figures) {
                        .n_calls = (uint32_t) table_count(remote->pending) + remote->n_calls,
                        .n_queued = remote->n_forwarding + (remote->connection ? connection_queued(remote->connection) : 0),
                };
}

static void look_for_stall(struct session *session, uint64_t now) {
        bool waits = frame_buffer_length(&session->out) > 0;
        bool stalled = waits && now - session->last_progress_usec > STALL_USEC;

        if (!waits)
                session->last_progress_usec = now;
        if (stalled == session->stalled)
                return;
        session->stalled = stalled;
        session->handlers->stalled(session->userdata, stalled);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        struct session *session = userdata;
        uint64_t now = session_now();
        int r;

        r = vchan_check(session->vchan);
        if (r == 0 && vchan_state(session->vchan) == VCHAN_CLOSED)
                session_kick(session);  /* reads what is left, and notices the end */
        if (r == 0 && session->up && !session->ping_waits && now - session->last_heard_usec > PING_USEC) {
                session->ping_waits = true;
                session->ping_usec = now;
                r = frame_append_ping(mux_control(session->mux), WIRE_PING, now);
                session_kick(session);
        }
        if (r < 0) {
                session_fail(session, r, "ask whether it lives");
                return 0;
        }
        if (now - session->last_heard_usec > SILENCE_USEC) {
                session_end(session, session->up ? "nothing was heard of it for 15 s" : "it did not say hello within 15 s");
                return 0;
        }
        look_for_stall(session, now);
        tell_figures(session);
        r = sd_event_source_set_time_relative(source, TICK_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return r;
}

/* Services that are started for the other domain */

struct starting {
        struct session *session;
        uint64_t tag;
};

static void on_service_started(void *userdata, const struct message *reply) {
        struct starting *starting = userdata;
        struct session *session = starting->session;
        const char *text = "";

        if (reply && !session->over) {
                if (reply->type == MESSAGE_ERROR && message_read(reply, "s", &text) < 0)
                        text = "";
                frame_append_result(mux_control(session->mux), WIRE_STARTED, starting->tag,
                                    reply->type == MESSAGE_ERROR ? reply->error_name : "", text);
                session_kick(session);
        }
        free(starting);
}

int start_for_other(struct session *session, uint64_t tag, const struct frame_text *untrusted_name) {
        struct starting *starting;
        char *name = text_copy(untrusted_name);
        int r = -ENOMEM;

        if (!name)
                return r;
        if (!guard_exports(session->options.guard, name)) {
                free(name);
                session_kick(session);
                return frame_append_result(mux_control(session->mux), WIRE_STARTED, tag, BUS_NAME ".Error.AccessDenied",
                                           "The bridge's policy there does not let this domain use the service");
        }
        starting = malloc(sizeof *starting);
        if (starting) {
                *starting = (struct starting) { .session = session, .tag = tag };
                r = connection_call(session->listener, on_service_started, starting, "StartServiceByName", "su", name, (uint32_t) 0);
                if (r < 0)
                        free(starting);
        }
        free(name);
        return r;
}

int session_start_service(struct session *session, uint64_t tag, const char *name) {
        if (!session->up || session->over)
                return -ENOTCONN;
        session_kick(session);
        return frame_append_start(mux_control(session->mux), tag, name);
}

int session_policy_changed(struct session *session) {
        int r;

        if (session->over)
                return 0;
        limits_policy_changed(session);
        r = names_policy_changed(session);
        if (r >= 0)
                r = locals_policy_changed(session);
        if (r >= 0)
                r = activatables_policy_changed(session);
        if (r >= 0 && session->n_releasing == 0)
                session->handlers->policy_in_force(session->userdata);
        return r;
}

/* The beginning */

static void on_listener_ready(void *userdata, const char *unique) {
        struct session *session = userdata;
        int r;

        session->listener_ready = true;
        session->handlers->listener(session->userdata, unique);
        r = locals_start(session);
        if (r < 0)
                session_fail(session, r, "watch the names of the bus");
}

static void on_listener_sent(void *userdata, uint32_t stream, uint32_t size) {
}

static void on_listener_lost(void *userdata, int error) {
        struct session *session = userdata;

        log_event(LOG_ERR, NULL, "The bus has gone: %s", strerrordesc_np(-error) ?: "unknown error");
        session_end_with(session, WIRE_GOODBYE_BUS_LOST, "the bus is gone");
}

static const struct connection_handlers listener_handlers = {
        .ready = on_listener_ready,
        .message = on_listener_message,
        .sent = on_listener_sent,
        .lost = on_listener_lost,
};

static int say_hello(struct session *session) {
        struct wire_hello hello = {
                .magic = WIRE_MAGIC,
                .version_min = WIRE_VERSION,
                .version_max = WIRE_VERSION,
                .features = WIRE_FEATURE_DESCRIPTORS,
                .domain = session->options.own_domain,
                .epoch = session->options.epoch,
                .window = WIRE_WINDOW,
                .message_max = session->message_max,
                .peers_max = WIRE_PEERS_MAX,
                .names_max = WIRE_NAMES_MAX,
        };

        if (getrandom(hello.instance, sizeof hello.instance, 0) != sizeof hello.instance)
                return -EIO;
        if (uuid_parse(session->options.own_uuid, hello.uuid) < 0)
                memset(hello.uuid, 0, sizeof hello.uuid);
        return frame_append_hello(mux_control(session->mux), &hello);
}

static int on_demux_credit(void *userdata, uint32_t stream, uint32_t n_bytes) {
        struct session *session = userdata;

        session_kick(session);
        return frame_append_credit(mux_control(session->mux), stream, n_bytes);
}

static int make_tables(struct session *session) {
        struct table **tables[] = {
                &session->locals, &session->locals_by_id, &session->remotes, &session->ghosts, &session->exports,
                &session->owners, &session->imports, &session->activatable, &session->told, &session->calls, &session->rules, &session->rules_by_id,
                &session->wanted,
        };

        for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
                int r = table_new(tables[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int make_streams(struct session *session) {
        int r;

        r = frame_reader_new(&session->reader);
        if (r < 0)
                return r;
        r = mux_new(&session->mux, out_sent, session);
        if (r < 0)
                return r;
        r = mux_stream_open(session->mux, 0);
        if (r < 0)
                return r;
        r = limits_start(session);
        if (r < 0)
                return r;
        r = demux_new(&session->demux, WIRE_WINDOW, &session->memory_in, on_demux_credit, session);
        return r < 0 ? r : demux_stream_open(session->demux, 0);
}

static int start(struct session *session) {
        sd_event *event = session->options.event;
        int r;

        r = make_tables(session);
        if (r < 0)
                return r;
        r = make_streams(session);
        if (r < 0)
                return r;
        r = wants_start(session);
        if (r < 0)
                return r;
        r = sd_event_add_defer(event, &session->again, on_again, session);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(event, &session->timer, CLOCK_MONOTONIC, TICK_USEC, TICK_USEC / 4, on_tick, session);
        if (r < 0)
                return r;
        r = sd_event_source_set_prepare(session->timer, before_wait);   /* it is always enabled */
        if (r < 0)
                return r;
        r = say_hello(session);
        if (r < 0)
                return r;
        session->bus.priority = PRIORITY_LISTENER;
        r = connection_new(&session->listener, &session->bus, &listener_handlers, session);
        session->bus.priority = SD_EVENT_PRIORITY_NORMAL;
        return r;
}

int session_new(struct session **ret_session, const struct session_options *options, struct vchan *vchan,
                const struct session_handlers *handlers, void *userdata) {
        struct session *session = calloc(1, sizeof *session);
        int r;

        if (session)
                session->figures_used = calloc(WIRE_PEERS_MAX, sizeof *session->figures_used);
        if (!session || !session->figures_used) {
                vchan_free(vchan);
                free(session);
                return -ENOMEM;
        }
        session->options = *options;
        session->handlers = handlers;
        session->userdata = userdata;
        session->counters = options->counters;
        session->vchan = vchan;
        session->memory_out.limit = SESSION_MEMORY_MAX;
        session->lately = 1;            /* nobody has sent anything */
        session->last_heard_usec = session->last_progress_usec = session_now();
        session->bus = (struct connection_bus) {
                .event = options->event,
                .path = options->bus_path,
                .budget = &session->memory_out,
                .outbox = &session->outbox,
        };
        outbox_init(&session->outbox);
        r = start(session);
        if (r < 0) {
                session_free(session);
                return r;
        }
        *ret_session = session;
        return 0;
}

struct session *session_free(struct session *session) {
        if (!session)
                return NULL;
        session->over = true;
        stop_io(session);
        remotes_done(session);
        locals_done(session);
        activatables_done(session);
        rules_done(session);
        table_free(session->calls);
        streams_free(session->streams);
        mux_free(session->mux);
        demux_free(session->demux);
        frame_reader_free(session->reader);
        frame_buffer_done(&session->out);
        vchan_free(session->vchan);
        free(session->figures_used);
        free(session->names);
        free(session);
        return NULL;
}
