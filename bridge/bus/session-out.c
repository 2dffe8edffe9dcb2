/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Messages from this bus to the other domain.
 *
 * They go as they came: the other bridge gives them a header for its own bus. What they are for is said beside them. The bus has said who
 * sent them, and who did becomes known to the other domain by that.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "log.h"
#include "session-private.h"

void release(struct session *session, uint8_t *data, size_t size) {
        free(data);
        if (size <= CONNECTION_BUFFER)
                return;
        budget_return(&session->memory_out, size);
        session->retry = true;
        session_kick(session);          /* who waits for memory is served there */
}

/* Flow: what one ghost's socket brings and the ring does not take */

static void pause_source(struct session *session, struct remote *remote, size_t size) {
        if (!remote)
                return;
        remote->n_forwarding += size;
        if (remote->n_forwarding > SESSION_QUEUE_MAX)
                connection_pause(remote->connection);
}

/* The mux has sent a message. owner: the id of the remote whose ghost it came from; 0 is the listener. */
void out_sent(void *userdata, void *owner, uint32_t size) {
        struct session *session = userdata;
        struct remote *remote = owner ? table_get_number(session->remotes, (uintptr_t) owner) : NULL;

        if (size > CONNECTION_BUFFER) {
                budget_return(&session->memory_out, size);
                session->retry = true;
                session_kick(session);
        }
        if (!remote)
                return;
        remote->n_forwarding -= size;
        if (remote->n_forwarding <= SESSION_QUEUE_MAX / 2 && remote->connection && !remote->flooded)
                connection_resume(remote->connection);
}

static int forward(struct session *session, struct remote *from, uint32_t stream, uint32_t destination, uint64_t call, uint32_t flags,
                   uint8_t *data, size_t size) {
        const struct mux_message out = {
                .destination = destination,
                .call = call,
                .flags = flags,
                .data = data,
                .size = (uint32_t) size,
                .owner = from ? (void *) (uintptr_t) from->id : NULL,
        };

        pause_source(session, from, size);
        session->counters[COUNTER_MESSAGES_OUT]++;
        session_kick(session);
        return mux_send(session->mux, stream, &out);
}

/* Answers by this bridge */

static int out_refuse(struct remote *remote, const struct message *call, const char *error, const char *text) {
        struct message reply;
        uint8_t *body = NULL;
        int r;

        remote->session->counters[COUNTER_CALLS_FAILED]++;
        if (!message_expects_reply(call) || !remote->connection)
                return 0;
        r = message_make_error(call, error, text, &reply, &body);
        if (r < 0)
                return r;
        reply.serial = connection_serial(remote->connection);
        reply.destination = call->sender;
        reply.flags |= MESSAGE_NO_REPLY_EXPECTED;
        r = connection_send(remote->connection, &reply, body, SESSION_NO_STREAM, 1);
        if (connection_queued(remote->connection) > SESSION_QUEUE_MAX) {
                remote->flooded = true;
                connection_pause(remote->connection);
        }
        return r == -ENOTCONN ? 0 : r;
}

void call_free(struct session *session, struct call *call) {
        table_remove_number(session->calls, call->id);
        session->counters[COUNTER_CALLS_WAITING_OUT]--;
        call->remote->n_calls--;
        *call->link_of_remote = call->next_of_remote;
        if (call->next_of_remote)
                call->next_of_remote->link_of_remote = call->link_of_remote;
        *call->link_of_local = call->next_of_local;
        if (call->next_of_local)
                call->next_of_local->link_of_local = call->link_of_local;
        free(call);
}

int out_fail(struct session *session, struct call *call, const char *error, const char *text) {
        const struct message of = { .type = MESSAGE_METHOD_CALL, .serial = call->serial, .sender = call->local->unique };
        int r;

        r = out_refuse(call->remote, &of, error, text);
        call_free(session, call);
        return r;
}

/* Calls */

static int call_new(struct session *session, struct remote *remote, struct local *local, uint32_t serial, struct call **ret_call) {
        struct call *call = malloc(sizeof *call);
        int r;

        if (!call)
                return -ENOMEM;
        *call = (struct call) { .id = ++session->next_call, .serial = serial, .remote = remote, .local = local };
        r = table_add_number(session->calls, call->id, call);
        if (r < 0) {
                free(call);
                return r;
        }
        remote->n_calls++;
        call->next_of_remote = remote->calls;
        call->link_of_remote = &remote->calls;
        if (remote->calls)
                remote->calls->link_of_remote = &call->next_of_remote;
        remote->calls = call;
        call->next_of_local = local->calls;
        call->link_of_local = &local->calls;
        if (local->calls)
                local->calls->link_of_local = &call->next_of_local;
        local->calls = call;
        session->counters[COUNTER_CALLS_WAITING_OUT]++;
        *ret_call = call;
        return 0;
}

/* What stands in a call's way: an error's name, and a sentence in text. NULL if nothing does. */
static const char *obstacle(struct remote *remote, const struct message *message, size_t size, char *text, size_t n_text) {
        struct session *session = remote->session;
        const char *const *names;
        size_t n;

        if (names_of_remote(remote, &names, &n) < 0 || !guard_allows(session->options.guard, GUARD_OUT, message, names, n)) {
                session->counters[COUNTER_DENIED_OUT]++;
                snprintf(text, n_text, "The bridge's policy does not let %s.%s of %s be called in domain %u",
                         message->interface ? message->interface : "(no interface)", message->member,
                         message->destination ? message->destination : "(no name)", session->options.domain);
                return BUS_NAME ".Error.AccessDenied";
        }
        if (table_get_string(session->ghosts, message->sender)) {
                snprintf(text, n_text, "%s and its caller are both in domain %u, and this is not the way between them", remote->unique,
                         session->options.domain);
                return BUS_NAME ".Error.NotSupported";
        }
        if (table_count(session->calls) >= WIRE_CALLS_MAX) {
                snprintf(text, n_text, "%zu calls wait for domain %u already, and %u may", table_count(session->calls),
                         session->options.domain, WIRE_CALLS_MAX);
                return BUS_NAME ".Error.LimitsExceeded";
        }
        return limits_out(session, size, text, n_text);
}

static int too_many_peers(struct remote *remote, const struct message *message) {
        char text[256];

        snprintf(text, sizeof text, "Domain %u knows %u connections of this bus, which is the limit, or %s is too many links away",
                 remote->session->options.domain, WIRE_PEERS_MAX, message->sender);
        return out_refuse(remote, message, BUS_NAME ".Error.LimitsExceeded", text);
}

static int out_call(struct remote *remote, uint8_t **data, size_t size, const struct message *message) {
        struct session *session = remote->session;
        struct local *local;
        struct call *call = NULL;
        char text[WIRE_TEXT_MAX];
        const char *error;
        uint8_t *taken = *data;
        int r;

        error = obstacle(remote, message, size, text, sizeof text);
        if (error)
                return out_refuse(remote, message, error, text);
        r = local_ensure(session, message->sender, &local);
        if (r == -EMLINK)
                return too_many_peers(remote, message);
        if (r < 0)
                return r;
        if (message->n_fds > 0) {
                error = descriptors_offer(session, local->id, remote->connection, message->n_fds, text, sizeof text);
                if (error)
                        return out_refuse(remote, message, error, text);
        }
        if (message_expects_reply(message)) {
                r = call_new(session, remote, local, message->serial, &call);
                if (r < 0)
                        return r;
        }
        session->counters[COUNTER_CALLS_OUT]++;
        *data = NULL;
        return forward(session, remote, local->id, remote->id, call ? call->id : 0, message->n_fds > 0 ? WIRE_MESSAGE_DESCRIPTORS : 0, taken,
                       size);
}

/* What stands in a reply's way, as obstacle() does of a call. local: who answers; NULL is the bus. */
static const char *obstacle_of_reply(struct remote *remote, const struct local *local, const struct message *message, size_t size, char *text,
                                     size_t n_text) {
        struct session *session = remote->session;
        const char *error = limits_out(session, size, text, n_text);

        if (error || message->n_fds == 0)
                return error;
        if (!local) {
                snprintf(text, n_text, "Who answers with descriptors cannot be made known to domain %u", session->options.domain);
                return BUS_NAME ".Error.LimitsExceeded";
        }
        return descriptors_offer(session, local->id, remote->connection, message->n_fds, text, n_text);
}

/* A reply to a call that a ghost made. Of the bus itself, it goes on the bus's own stream. */
static int out_reply(struct remote *remote, uint8_t **data, size_t size, const struct message *message) {
        struct session *session = remote->session;
        struct pending *pending = table_remove_number(remote->pending, message->reply_serial);
        struct local *local = NULL;
        uint8_t *taken = *data;
        char text[WIRE_TEXT_MAX];
        const char *error;
        uint64_t call;
        int r;

        if (!pending) {
                session->counters[COUNTER_REPLIES_UNEXPECTED]++;
                return 0;
        }
        call = pending->call;
        free(pending);
        session->n_pending--;
        session->counters[COUNTER_CALLS_WAITING_IN]--;
        if (strcmp(message->sender, BUS_NAME) != 0) {
                r = local_ensure(session, message->sender, &local);
                if (r < 0 && r != -EMLINK)
                        return r;
        }
        error = obstacle_of_reply(remote, local, message, size, text, sizeof text);
        if (error) {
                session_kick(session);
                return frame_append_result(mux_control(session->mux), WIRE_REFUSED, call, error, text);
        }
        *data = NULL;
        return forward(session, remote, local ? local->id : 0, 0, call,
                       WIRE_MESSAGE_REPLY | (message->n_fds > 0 ? WIRE_MESSAGE_DESCRIPTORS : 0), taken, size);
}

/* Nobody waits for a signal, so nobody is told. */
static int drop_signal(struct session *session, const struct message *message, const char *why) {
        session->counters[COUNTER_SIGNALS_DROPPED]++;
        guard_dropped(session->options.guard, GUARD_OUT, message, why);
        return 0;
}

/* A signal for one remote alone, or (remote is NULL) for everybody. Whoever gets it there gets its descriptors: as on one bus, they share what they are of. */
static int forward_signal(struct session *session, struct remote *remote, uint8_t **data, size_t size, const struct message *message) {
        struct connection *from = remote ? remote->connection : session->listener;
        struct local *local;
        uint8_t *taken = *data;
        const char *const *names;
        char text[WIRE_TEXT_MAX];
        size_t n;
        int r;

        if (table_get_string(session->ghosts, message->sender))
                return 0;
        r = names_of_unique(session, message->sender, &names, &n);
        if (r < 0)
                return r;
        if (!guard_allows(session->options.guard, GUARD_OUT, message, names, n)) {
                session->counters[COUNTER_DENIED_OUT]++;
                return 0;
        }
        if (limits_out(session, size, text, sizeof text))
                return drop_signal(session, message, text);
        r = local_ensure(session, message->sender, &local);
        if (r < 0)
                return r == -EMLINK ? 0 : r;
        if (message->n_fds > 0 && descriptors_offer(session, local->id, from, message->n_fds, text, sizeof text))
                return drop_signal(session, message, text);
        session->counters[COUNTER_SIGNALS_OUT]++;
        *data = NULL;
        return forward(session, remote, local->id, remote ? remote->id : 0, 0, message->n_fds > 0 ? WIRE_MESSAGE_DESCRIPTORS : 0, taken, size);
}

void out_signal(struct session *session, uint8_t *data, size_t size, const struct message *message) {
        int r = 0;

        /* Who comes over a link already hears of other domains' signals at their own bridges. */
        if (!message->destination)
                r = forward_signal(session, NULL, &data, size, message);
        if (data)
                release(session, data, size);
        if (r < 0)
                session_fail(session, r, "forward a signal");
}

void out_from_ghost(struct remote *remote, uint8_t *data, size_t size, const struct message *message) {
        struct session *session = remote->session;
        int r = 0;

        /*
         * A signal that was sent before a reply has to arrive before it. They came over two sockets, and the bus has written the signal first:
         * whoever has read the reply can read the signal. The event loop sees to that, as it has the listener go first, but for what came after it looked.
         */
        if (session->listener && table_count(session->rules) > 0 && connection_is_ahead(remote->connection)) {
                connection_drain_input(session->listener);
                connection_caught_up(remote->connection);
        }

        /* And what its sender wanted to hear before, the other domain has to be told before it gets this. Once for all that was read at once. */
        if (connection_is_fresh(remote->connection)) {
                r = session->handlers->settle(session->userdata);
                if (r >= 0)
                        connection_settled(remote->connection);
        }
        if (r < 0)
                ;
        else if (!message->sender)
                r = -EBADMSG;
        else if (message->type == MESSAGE_METHOD_RETURN || message->type == MESSAGE_ERROR)
                r = out_reply(remote, &data, size, message);
        else if (strcmp(message->sender, BUS_NAME) == 0)        /* NameAcquired, NameLost */
                ;
        else if (message->type == MESSAGE_METHOD_CALL)
                r = out_call(remote, &data, size, message);
        else if (message->type == MESSAGE_SIGNAL)
                r = forward_signal(session, remote, &data, size, message);
        if (data)
                release(session, data, size);
        if (r < 0)
                session_fail(session, r, "forward a message");
}
