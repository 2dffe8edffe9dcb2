/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Messages from the other domain to this bus.
 *
 * Who sent one is known by its stream, and what it may reach is decided here: nothing in its header but what a policy has seen gets onto the
 * bus. The header is made anew, with serials and names of this bus; the body is checked, and goes on as it is.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "log.h"
#include "names.h"
#include "session-private.h"

/* A message that came, on its way through. */
struct arrival {
        struct session *session;
        struct remote *remote;          /* who sent it; NULL: the other bus */
        const struct demux_message *from;
        struct bundle *bundle;          /* its descriptors; NULL if it has none */
        uint8_t *data;                  /* NULL when somebody has taken it */
        struct message message;
};

static int refuse(struct session *session, uint64_t call, const char *error, const char *text) {
        if (call == 0)
                return 0;
        session_kick(session);
        return frame_append_result(mux_control(session->mux), WIRE_REFUSED, call, error, text);
}

/* Sends it as this one's ghost; its memory is the stream's until the bus has it. */
static int send_as(struct arrival *arrival, struct remote *remote) {
        struct connection *connection = remote->connection;
        uint8_t *data = arrival->data;
        int r;

        arrival->data = NULL;
        arrival->message.sender = NULL;
        arrival->session->n_arriving += arrival->from->size;
        if (arrival->bundle)
                r = connection_send_fds(connection, &arrival->message, data, arrival->from->stream, arrival->from->size,
                                        bundle_take(arrival->bundle));
        else
                r = connection_send(connection, &arrival->message, data, arrival->from->stream, arrival->from->size);
        if (r == -ENOTCONN || r == -EMSGSIZE)
                return 0;
        return r < 0 ? r : turns_count(arrival->session, remote);
}

/* Replaces a unique name of the other bus's ghosts by that of this bus which it stands for. NULL if it is nobody. */
static struct local *find_destination(struct arrival *arrival) {
        return table_get_number(arrival->session->locals_by_id, arrival->from->destination);
}

/* Of a call, the names of its destination, the one it is sent to among them; of a signal, those of its sender. */
static bool is_allowed(struct arrival *arrival, const char *owner) {
        struct session *session = arrival->session;
        const struct message *message = &arrival->message;
        const char *const *names;
        size_t n = 0;
        int r;

        if (message->type == MESSAGE_SIGNAL)
                r = names_of_remote(arrival->remote, &names, &n);
        else {
                r = owner ? names_of_unique(session, owner, &names, &n) : 0;
                if (n == 0 && !is_unique(message->destination)) {       /* nobody has it: it may be to be started */
                        names = &message->destination;
                        n = 1;
                }
        }
        return r >= 0 && guard_allows(session->options.guard, GUARD_IN, message, names, n);
}

/* Sets the destination. Returns the error's name if it cannot go there, or else NULL. */
static const char *direct(struct arrival *arrival, char *text, size_t n_text) {
        struct session *session = arrival->session;
        struct message *message = &arrival->message;
        const char *owner = NULL;
        struct local *local;

        if (message->destination && is_unique(message->destination)) {
                local = find_destination(arrival);
                if (!local) {
                        snprintf(text, n_text, "%s has left the bus of domain %u", message->destination, session->options.own_domain);
                        return BUS_NAME ".Error.ServiceUnknown";
                }
                message->destination = owner = local->unique;
        } else if (message->destination)
                owner = table_get_string(session->owners, message->destination);
        if (!is_allowed(arrival, owner)) {
                session->counters[COUNTER_DENIED_IN]++;
                snprintf(text, n_text, "The bridge's policy of domain %u does not let domain %u call %s.%s of %s",
                         session->options.own_domain, session->options.domain,
                         message->interface ? message->interface : "(no interface)", message->member,
                         message->destination ? message->destination : "(no name)");
                return BUS_NAME ".Error.AccessDenied";
        }
        return NULL;
}

static bool is_for_the_bus(const struct message *message) {
        return !message->destination || strcmp(message->destination, BUS_NAME) == 0;
}

/* A serial that no call of this ghost waits with. */
static uint32_t free_serial(struct remote *remote) {
        uint32_t serial;

        do
                serial = connection_serial(remote->connection);
        while (table_get_number(remote->pending, serial));
        return serial;
}

static int remember(struct arrival *arrival, uint32_t serial) {
        struct pending *pending = malloc(sizeof *pending);
        int r;

        if (!pending)
                return -ENOMEM;
        *pending = (struct pending) { .call = arrival->from->call, .serial = serial };
        r = table_add_number(arrival->remote->pending, serial, pending);
        if (r < 0) {
                free(pending);
                return r;
        }
        arrival->session->n_pending++;
        arrival->session->counters[COUNTER_CALLS_WAITING_IN]++;
        return 0;
}

/* More bytes than one may have or may wait, or descriptors that cannot be had. The error's name, and a sentence; NULL if it can go on. */
static const char *cannot_have(struct arrival *arrival, char *text, size_t n_text) {
        struct session *session = arrival->session;
        uint64_t bytes = guard_limit(session->options.guard, BRIDGE_LIMIT_MESSAGE_BYTES);
        const char *error, *why;

        if (arrival->from->size > bytes) {
                snprintf(text, n_text, "A message of domain %u has %" PRIu32 " bytes, and may have %" PRIu64 " (limit message-bytes)",
                         session->options.domain, arrival->from->size, bytes);
                return BUS_NAME ".Error.LimitsExceeded";
        }
        error = limits_in(session, arrival->from->size, text, n_text);
        if (error || !arrival->bundle)
                return error;
        error = bundle_error(arrival->bundle, &why);
        if (error)
                snprintf(text, n_text, "%s", why);
        return error;
}

static const char *too_much(struct arrival *arrival, char *text, size_t n_text) {
        struct session *session = arrival->session;
        uint64_t calls = guard_limit(session->options.guard, BRIDGE_LIMIT_CALLS);

        if (calls > WIRE_CALLS_MAX)
                calls = WIRE_CALLS_MAX;
        if (session->n_pending < calls)
                return cannot_have(arrival, text, n_text);
        snprintf(text, n_text, "%" PRIu64 " calls of domain %u are not answered, and %" PRIu64 " may be", session->n_pending,
                 session->options.domain, calls);
        return BUS_NAME ".Error.LimitsExceeded";
}

static int in_call(struct arrival *arrival) {
        struct session *session = arrival->session;
        struct remote *remote = arrival->remote;
        struct message *message = &arrival->message;
        uint64_t call = message_expects_reply(message) ? arrival->from->call : 0;
        char text[WIRE_TEXT_MAX];
        const char *error;
        int r;

        if (!remote || is_for_the_bus(message))
                return refuse(session, call, BUS_NAME ".Error.AccessDenied", "The bus of another domain cannot be called");
        error = direct(arrival, text, sizeof text);
        if (error)
                return refuse(session, call, error, text);
        error = too_much(arrival, text, sizeof text);
        if (error)
                return refuse(session, call, error, text);
        r = remote_connect(remote);
        if (r == -EMLINK)
                return refuse(session, call, BUS_NAME ".Error.LimitsExceeded", "The domain may have no more connections to the bus there");
        if (r < 0)
                return refuse(session, call, BUS_NAME ".Error.NoReply", "There is no connection to the bus there");
        message->serial = free_serial(remote);
        message->flags &= (uint8_t) ~MESSAGE_ALLOW_INTERACTIVE_AUTHORIZATION;   /* polkit would ask about the bridge */
        if (call == 0)
                message->flags |= MESSAGE_NO_REPLY_EXPECTED;
        else {
                r = remember(arrival, message->serial);
                if (r < 0)
                        return r;
        }
        session->counters[COUNTER_CALLS_IN]++;
        return send_as(arrival, remote);
}

/* Sent by the ghost that got the call, whoever answered: this bus expects it from there. */
static int in_reply(struct arrival *arrival) {
        struct session *session = arrival->session;
        struct call *call = table_get_number(session->calls, arrival->from->call);
        struct message *message = &arrival->message;
        char text[WIRE_TEXT_MAX];
        struct remote *remote;
        const char *error;

        if (!call || !call->remote->connection) {
                session->counters[COUNTER_REPLIES_UNEXPECTED]++;
                return 0;
        }
        error = cannot_have(arrival, text, sizeof text);
        if (error)
                return out_fail(session, call, error, text);
        remote = call->remote;
        message->reply_serial = call->serial;
        message->serial = connection_serial(remote->connection);
        message->flags |= MESSAGE_NO_REPLY_EXPECTED;
        message->destination = call->local->unique;
        call_free(session, call);
        return send_as(arrival, remote);
}

static int in_signal(struct arrival *arrival) {
        struct session *session = arrival->session;
        char text[WIRE_TEXT_MAX];

        if (!arrival->remote)
                return 0;
        if (arrival->message.destination ? is_for_the_bus(&arrival->message) : arrival->from->destination != 0)
                return 0;
        if (direct(arrival, text, sizeof text))
                return 0;
        if (cannot_have(arrival, text, sizeof text)) {  /* nobody waits for it */
                session->counters[COUNTER_SIGNALS_DROPPED]++;
                guard_dropped(session->options.guard, GUARD_IN, &arrival->message, text);
                return 0;
        }
        if (remote_connect(arrival->remote) < 0)
                return 0;
        arrival->message.serial = free_serial(arrival->remote);
        arrival->message.flags |= MESSAGE_NO_REPLY_EXPECTED;
        session->counters[COUNTER_SIGNALS_IN]++;
        return send_as(arrival, arrival->remote);
}

/* No bus would take it. Whoever waits for it, or for an answer to it, must not wait for ever. */
static int invalid(struct arrival *arrival, int fault) {
        struct session *session = arrival->session;
        struct call *call = table_get_number(session->calls, arrival->from->call);
        char text[128];

        session->counters[COUNTER_INVALID]++;
        log_event(LOG_WARNING, LOG_FIELDS({ "XCP_FAULT", message_fault_name(fault) }), "Domain %u sent a message that no bus takes",
                  session->options.domain);
        snprintf(text, sizeof text, "Domain %u did not take from domain %u what is no message: %s", session->options.own_domain,
                 session->options.domain, message_fault_name(fault));
        if (!(arrival->from->flags & WIRE_MESSAGE_REPLY))
                return refuse(session, arrival->from->call, BUS_NAME ".Error.InconsistentMessage", text);
        return call ? out_fail(session, call, BUS_NAME ".Error.InconsistentMessage", text) : 0;
}

static int dispatch(struct arrival *arrival) {
        bool reply = arrival->from->flags & WIRE_MESSAGE_REPLY;
        int fault;

        fault = message_parse(arrival->data, arrival->from->size, &arrival->message);
        if (fault == 0)
                fault = message_check_body(&arrival->message);
        if (fault == 0 && arrival->message.n_fds != (arrival->bundle ? bundle_size(arrival->bundle) : 0))
                fault = MESSAGE_BAD_HANDLE;     /* as many did not come with it */
        if (fault == 0 && reply != (arrival->message.type == MESSAGE_METHOD_RETURN || arrival->message.type == MESSAGE_ERROR))
                fault = MESSAGE_BAD_TYPE;
        if (fault != 0)
                return invalid(arrival, fault);
        switch (arrival->message.type) {
        case MESSAGE_METHOD_CALL:
                return in_call(arrival);
        case MESSAGE_METHOD_RETURN:
        case MESSAGE_ERROR:
                return in_reply(arrival);
        case MESSAGE_SIGNAL:
                return in_signal(arrival);
        default:                        /* D-Bus Specification: unknown types are ignored */
                return 0;
        }
}

/* Takes the message's data, and the bundle. */
static int deliver(struct session *session, struct remote *remote, const struct demux_message *message, struct bundle *bundle) {
        struct arrival arrival = {
                .session = session,
                .remote = remote,
                .from = message,
                .bundle = bundle,
                .data = message->data,
        };
        int r;

        r = dispatch(&arrival);
        if (arrival.data) {             /* nobody took it */
                free(arrival.data);
                if (r >= 0)
                        r = demux_taken(session->demux, message->stream, message->size);
        }
        bundle_free(bundle);
        return r;
}

/* Behind what waits for copies or for a subscription, or because it does. Takes the message's data and the arriving, which has its bundle. */
static int hold(struct remote *remote, const struct demux_message *message, struct arriving *arriving) {
        struct arriving **p;

        if (!arriving)
                arriving = calloc(1, sizeof *arriving);
        if (!arriving) {
                free(message->data);
                return -ENOMEM;
        }
        arriving->message = *message;
        arriving->next = NULL;
        for (p = &remote->held; *p; p = &(*p)->next)
                ;
        *p = arriving;
        return 0;
}

int in_message(struct session *session, const struct demux_message *message) {
        struct remote *remote = message->stream ? table_get_number(session->remotes, message->stream) : NULL;
        struct arriving *arriving = NULL;
        struct bundle *bundle = NULL;

        session->counters[COUNTER_MESSAGES_IN]++;
        if (remote && remote->gone) {
                free(message->data);
                return -EBADMSG;
        }
        if (message->flags & WIRE_MESSAGE_DESCRIPTORS) {
                arriving = remote ? remote->bundles : NULL;
                if (!arriving) {
                        free(message->data);
                        return -EBADMSG;
                }
                remote->bundles = arriving->next;
                bundle = arriving->bundle;
        }
        if (remote && (remote->held || session->n_adding > 0 || (bundle && !bundle_is_whole(bundle))))
                return hold(remote, message, arriving);
        free(arriving);
        return deliver(session, remote, message, bundle);
}

int in_held(struct session *session, struct remote *remote) {
        int r = 0;

        while (r >= 0 && remote->held && session->n_adding == 0 && (!remote->held->bundle || bundle_is_whole(remote->held->bundle))) {
                struct arriving *arriving = remote->held;

                remote->held = arriving->next;
                r = deliver(session, remote, &arriving->message, arriving->bundle);
                free(arriving);
        }
        if (r < 0 || remote->held || !remote->gone)
                return r;
        remote->gone = false;
        return remote_gone(session, remote->id);
}

int in_refused(struct session *session, uint64_t id, const struct frame_text *untrusted_error, const struct frame_text *untrusted_text) {
        struct call *call = table_get_number(session->calls, id);
        char *error, *text;
        int r;

        if (!call) {
                session->counters[COUNTER_REPLIES_UNEXPECTED]++;
                return 0;
        }
        if (!name_is_interface(untrusted_error->text, untrusted_error->n) || !name_is_utf8(untrusted_text->text, untrusted_text->n))
                return out_fail(session, call, BUS_NAME ".Error.Failed", "The other domain refused it, in words that no bus takes");
        error = text_copy(untrusted_error);
        text = text_copy(untrusted_text);
        r = error && text ? out_fail(session, call, error, text) : -ENOMEM;
        free(error);
        free(text);
        return r;
}
