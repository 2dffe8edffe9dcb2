/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Ghosts: the connections that peers of the other domain have on this bus, and the names that they own.
 *
 * A peer gets its ghost when it first needs one: to send something, or to own a name. A ghost that the bus has ended is not made anew, as it would
 * be somebody else; its peer is then as good as gone.
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

enum {                                  /* D-Bus Specification, "org.freedesktop.DBus.RequestName" */
        ALLOW_REPLACEMENT = 1,
        REPLACE_EXISTING = 2,
        DO_NOT_QUEUE = 4,
        PRIMARY_OWNER = 1,
        ALREADY_OWNER = 4,
};

static struct remote *remote_of(struct session *session, uint32_t id) {
        return table_get_number(session->remotes, id);
}

/* The ghost's connection */

static void on_ready(void *userdata, const char *unique) {
        struct remote *remote = userdata;
        struct session *session = remote->session;
        int r;

        r = table_add_string(session->ghosts, unique, remote);
        if (r < 0) {
                session_fail(session, r, "remember a connection");
                return;
        }
        session->counters[COUNTER_PEERS]++;
        session->handlers->peer(session->userdata, unique, remote->unique, remote->hops, remote->figures);
        r = wants_ghost(session, remote, unique, true);
        if (r < 0)
                session_fail(session, r, "ask for signals");
}

static void on_message(void *userdata, uint8_t *data, size_t size, const struct message *message) {
        struct remote *remote = userdata;
        struct session *session = remote->session;

        if (session->over)
                release(session, data, size);
        else
                out_from_ghost(remote, data, size, message);
}

static void on_sent(void *userdata, uint32_t stream, uint32_t size) {
        struct remote *remote = userdata;
        struct session *session = remote->session;
        int r;

        session->retry |= stream == SESSION_NO_STREAM;
        if (stream != SESSION_NO_STREAM)
                session->n_arriving -= size;
        r = session->over ? 0 : demux_taken(session->demux, stream, size);
        if (r < 0)
                session_fail(session, r, "give credit");
        if (session->retry)
                session_kick(session);
}

static void forget_ghost(struct remote *remote) {
        struct session *session = remote->session;
        const char *unique = remote->connection ? connection_unique(remote->connection) : NULL;

        if (!unique || !table_remove_string(session->ghosts, unique))
                return;
        session->counters[COUNTER_PEERS]--;
        if (!session->over)
                wants_ghost(session, remote, unique, false);
        session->handlers->peer_gone(session->userdata, unique);
}

/* The bus answers those who wait for this ghost. */
static void forget_calls(struct remote *remote) {
        while (remote->calls)
                call_free(remote->session, remote->calls);
}

/* The other domain waits for answers that will not come. */
static void refuse_pending(struct remote *remote, const char *text) {
        struct session *session = remote->session;
        struct pending *pending;
        size_t iterator = 0;

        while ((pending = table_next(remote->pending, &iterator))) {
                if (!session->over)
                        frame_append_result(mux_control(session->mux), WIRE_REFUSED, pending->call, BUS_NAME ".Error.NoReply", text);
                table_remove_number(remote->pending, pending->serial);
                free(pending);
                session->n_pending--;
                session->counters[COUNTER_CALLS_WAITING_IN]--;
        }
}

static void on_lost(void *userdata, int error) {
        struct remote *remote = userdata;
        struct session *session = remote->session;

        log_event(LOG_WARNING, LOG_FIELDS({ "XCP_PEER", remote->unique }), "The bus has ended the connection of %s of domain %u: %s",
                  remote->unique, session->options.domain, strerrordesc_np(-error) ?: "unknown error");
        forget_ghost(remote);
        forget_calls(remote);
        refuse_pending(remote, "The bus there has ended the connection that this came from");
        for (struct owned *owned = remote->names; owned; owned = owned->next)
                owned->has = false;
        remote->lost = true;
        remote->connection = connection_free(remote->connection);
        session->n_ghosts--;
        session_kick(session);
}

static void remote_free(struct remote *remote);

static void on_drained(void *userdata) {
        struct remote *remote = userdata;
        struct remote **p;

        for (p = &remote->session->leaving; *p != remote; p = &(*p)->next_leaving)
                ;
        *p = remote->next_leaving;
        remote_free(remote);
}

static const struct connection_handlers ghost_handlers = {
        .ready = on_ready,
        .message = on_message,
        .sent = on_sent,
        .lost = on_lost,
        .drained = on_drained,
};

int remote_connect(struct remote *remote) {
        struct session *session = remote->session;
        int r;

        if (remote->connection)
                return 0;
        if (remote->lost)
                return -ENOTCONN;
        if (session->n_ghosts >= guard_limit(session->options.guard, BRIDGE_LIMIT_PEERS)) {
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_PEER", remote->unique }),
                          "%s of domain %u gets no connection to the bus: the domain has %" PRIu64 " already, which is its limit",
                          remote->unique, session->options.domain, session->n_ghosts);
                return -EMLINK;
        }
        r = connection_new(&remote->connection, &session->bus, &ghost_handlers, remote);
        if (r < 0) {
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_PEER", remote->unique }), "Cannot connect to the bus for %s of domain %u: %s",
                          remote->unique, session->options.domain, strerrordesc_np(-r));
                return r;
        }
        session->n_ghosts++;
        if (!remote->known)
                connection_hold(remote->connection);
        return 0;
}

void session_peer_known(struct session *session, const char *unique) {
        struct remote *remote = table_get_string(session->ghosts, unique);

        if (!remote || remote->known)
                return;
        remote->known = true;
        connection_let_go(remote->connection);
}

/* Peers */

int remote_new(struct session *session, uint32_t id, unsigned hops, const struct frame_text *unique) {
        struct remote *remote;
        int r;

        if (!name_is_unique(unique->text, unique->n) || hops > SESSION_HOPS_MAX)
                return -EBADMSG;
        if (table_count(session->remotes) >= WIRE_PEERS_MAX)
                return -EMLINK;
        remote = calloc(1, sizeof *remote + unique->n + 1);
        if (!remote)
                return -ENOMEM;
        while (session->figures_used[remote->figures])          /* there are as many as there may be peers */
                remote->figures++;
        remote->session = session;
        remote->id = id;
        remote->hops = hops;
        memcpy(remote->unique, unique->text, unique->n);
        r = table_new(&remote->pending);
        if (r >= 0)
                r = table_add_number(session->remotes, id, remote);
        if (r < 0) {
                table_free(remote->pending);
                free(remote);
                return r == -EEXIST ? -EBADMSG : r;
        }
        session->figures_used[remote->figures] = true;
        return demux_stream_open(session->demux, id);
}

static void owned_free(struct session *session, struct owned *owned) {
        struct owned **p;

        for (p = &owned->remote->names; *p != owned; p = &(*p)->next)
                ;
        *p = owned->next;
        table_remove_string(session->imports, owned->name);
        if (!session->over)
                wants_name(session, owned, false);
        if (owned->has && !session->over)
                session->handlers->name(session->userdata, owned->name, NULL);
        free(owned);
}

/* What it sent last still goes out, then its ghost is gone. */
static void remote_free(struct remote *remote) {
        struct session *session = remote->session;

        while (remote->names)
                owned_free(session, remote->names);
        forget_calls(remote);
        refuse_pending(remote, "");
        forget_ghost(remote);
        if (remote->connection) {
                connection_free(remote->connection);
                session->n_ghosts--;
        }
        table_free(remote->pending);
        arriving_free(remote->bundles);
        arriving_free(remote->held);
        free(remote);
}

int remote_gone(struct session *session, uint32_t id) {
        struct remote *remote = remote_of(session, id);
        int r;

        if (!remote || remote->gone)
                return -EBADMSG;
        if (remote->held) {             /* in_held() comes back here */
                remote->gone = true;
                return 0;
        }
        table_remove_number(session->remotes, id);
        session->figures_used[remote->figures] = false;
        r = demux_stream_close(session->demux, id);
        /* Not before the bus has said hello: descriptors that come with a connection's first bytes are lost on dbus-daemon, and it ends. */
        if (remote->connection && connection_unique(remote->connection))
                connection_let_go(remote->connection);
        if (!remote->connection || connection_drain(remote->connection)) {
                remote_free(remote);
                return r;
        }
        remote->leaving = true;
        remote->next_leaving = session->leaving;
        session->leaving = remote;
        return r;
}

/* Names */

static void on_requested(void *userdata, const struct message *reply);

struct request {
        struct session *session;
        uint32_t remote;
        char name[];
};

/*
 * A program of this domain is replaced if it lets itself be, as one does that has handed over to another (docs/service-move.md); a ghost of a third domain
 * always would, and is not.
 */
static bool may_replace(struct session *session, const char *name) {
        const char *owner = table_get_string(session->owners, name);

        return owner && !table_get_string(session->options.foreign, owner);
}

static int request_name(struct owned *owned, uint32_t flags) {
        struct remote *remote = owned->remote;
        struct request *request;
        int r;

        if (may_replace(remote->session, owned->name))
                flags |= REPLACE_EXISTING;

        r = remote_connect(remote);
        if (r < 0)
                return 0;               /* it was said why; it is a name that nobody owns */
        request = malloc(sizeof *request + strlen(owned->name) + 1);
        if (!request)
                return -ENOMEM;
        request->session = remote->session;
        request->remote = remote->id;
        strcpy(request->name, owned->name);
        r = connection_call(remote->connection, on_requested, request, "RequestName", "su", owned->name,
                                 (uint32_t) (flags | ALLOW_REPLACEMENT | DO_NOT_QUEUE));
        if (r < 0)
                free(request);
        return r;
}

static void on_requested(void *userdata, const struct message *reply) {
        struct request *request = userdata;
        struct session *session = request->session;
        struct owned *owned = reply && !session->over ? table_get_string(session->imports, request->name) : NULL;
        uint32_t result = 0;

        if (!owned || owned->remote->id != request->remote || !owned->remote->connection) {
                free(request);
                return;
        }
        if (reply->type == MESSAGE_METHOD_RETURN && message_read(reply, "u", &result) >= 0 &&
            (result == PRIMARY_OWNER || result == ALREADY_OWNER)) {
                owned->has = true;
                session->handlers->name(session->userdata, owned->name, connection_unique(owned->remote->connection));
        } else {
                session->counters[COUNTER_NAMES_REFUSED]++;
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_NAME", owned->name }),
                          "Domain %u has %s, which cannot be owned for it here: %s", session->options.domain, owned->name,
                          reply->type == MESSAGE_ERROR ? reply->error_name : "somebody else owns it");
        }
        free(request);
}

static int own(struct session *session, struct owned *owned, uint32_t flags) {
        int r;

        uint64_t limit = guard_limit(session->options.guard, BRIDGE_LIMIT_NAMES);

        owned->refused = !guard_allows_name(session->options.guard, owned->name);
        if (!owned->refused && table_count(session->imports) > limit) {
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_NAME", owned->name }), "Domain %u has %zu names, and %" PRIu64 " are its limit: not %s",
                          session->options.domain, table_count(session->imports), limit, owned->name);
                owned->refused = true;
        }
        if (owned->refused) {
                session->counters[COUNTER_NAMES_REFUSED]++;
                return 0;
        }
        r = wants_name(session, owned, true);
        return r < 0 ? r : request_name(owned, flags);
}

int remote_name(struct session *session, uint32_t id, const struct frame_text *untrusted_name) {
        struct remote *remote = remote_of(session, id);
        struct owned *owned, *before;
        uint32_t flags = 0;
        int r;

        if (!remote || !name_is_well_known(untrusted_name->text, untrusted_name->n))
                return -EBADMSG;
        before = table_get(session->imports, untrusted_name->text, untrusted_name->n);
        if (before && before->remote == remote)
                return 0;
        if (!before && table_count(session->imports) >= WIRE_NAMES_MAX)
                return -EMLINK;
        owned = calloc(1, sizeof *owned + untrusted_name->n + 1);
        if (!owned)
                return -ENOMEM;
        owned->remote = remote;
        memcpy(owned->name, untrusted_name->text, untrusted_name->n);
        if (before) {                   /* in one step: the new ghost replaces the old one */
                if (before->has)
                        flags = REPLACE_EXISTING;
                before->has = false;
                owned_free(session, before);
        }
        r = table_add_string(session->imports, owned->name, owned);
        if (r < 0) {
                free(owned);
                return r;
        }
        owned->next = remote->names;
        remote->names = owned;
        return own(session, owned, flags);
}

int remote_name_gone(struct session *session, const struct frame_text *name) {
        struct owned *owned = table_get(session->imports, name->text, name->n);

        if (!owned)                     /* its owner may have gone first */
                return 0;
        if (!owned->refused && owned->remote->connection)
                connection_call(owned->remote->connection, NULL, NULL, "ReleaseName", "s", owned->name);
        owned_free(session, owned);
        return 0;
}

void remote_name_changed(struct session *session, const char *name, const char *owner) {
        struct owned *owned = table_get_string(session->imports, name);
        const char *unique = owned && owned->remote->connection ? connection_unique(owned->remote->connection) : NULL;
        bool has = owner && unique && strcmp(owner, unique) == 0;

        if (!owned || owned->refused)
                return;
        if (has != owned->has && (has || owner)) {
                owned->has = has;
                session->handlers->name(session->userdata, name, has ? unique : NULL);
        }
        if (!owner && !owned->has)
                request_name(owned, 0);
}

int remote_activatable(struct session *session, const struct frame_text *untrusted_name, bool is) {
        char *name;
        int r;

        if (!name_is_well_known(untrusted_name->text, untrusted_name->n))
                return -EBADMSG;
        name = table_remove(session->activatable, untrusted_name->text, untrusted_name->n);
        if (name && !is)
                session->handlers->activatable(session->userdata, name, false);
        if (!is) {
                free(name);
                return 0;
        }
        if (!name && table_count(session->activatable) >= WIRE_NAMES_MAX)
                return -EMLINK;
        if (!name)
                name = text_copy(untrusted_name);
        r = name ? table_add_string(session->activatable, name, name) : -ENOMEM;
        if (r < 0)
                free(name);
        else if (guard_allows_name(session->options.guard, name))
                session->handlers->activatable(session->userdata, name, true);
        return r;
}

int remotes_policy_changed(struct session *session) {
        struct owned *owned;
        size_t iterator = 0;
        int r = 0;

        while (r >= 0 && (owned = table_next(session->imports, &iterator))) {
                bool refused = !guard_allows_name(session->options.guard, owned->name);

                if (refused == owned->refused)
                        continue;
                if (!refused)
                        r = own(session, owned, 0);
                else {
                        owned->refused = true;
                        owned->has = false;
                        r = wants_name(session, owned, false);
                        if (owned->remote->connection)
                                connection_call(owned->remote->connection, NULL, NULL, "ReleaseName", "s", owned->name);
                        session->handlers->name(session->userdata, owned->name, NULL);
                }
        }
        return r;
}

void remotes_retry(struct session *session) {
        struct remote *remote;
        size_t iterator = 0;

        while ((remote = table_next(session->remotes, &iterator))) {
                if (!remote->connection)
                        continue;
                connection_retry(remote->connection);
                if (remote->flooded && connection_queued(remote->connection) < SESSION_QUEUE_MAX / 2) {
                        remote->flooded = false;
                        if (remote->n_forwarding <= SESSION_QUEUE_MAX)
                                connection_resume(remote->connection);
                }
        }
        if (session->listener)
                connection_retry(session->listener);
}

/* All that waits gets an error, and then the ghosts go. */
void remotes_end(struct session *session, const char *reason) {
        struct remote *remote;
        struct call *call;
        char text[WIRE_TEXT_MAX];
        size_t iterator = 0;

        snprintf(text, sizeof text, "Domain %u was lost before it answered: %s", session->options.domain, reason);
        while ((call = table_next(session->calls, &iterator)))
                out_fail(session, call, BUS_NAME ".Error.NoReply", text);
        for (iterator = 0; (remote = table_next(session->remotes, &iterator));)
                if (remote->connection)
                        connection_flush(remote->connection, 100000);
        for (iterator = 0; (remote = table_next(session->remotes, &iterator));) {
                table_remove_number(session->remotes, remote->id);
                remote_free(remote);
        }
}

void remotes_done(struct session *session) {
        struct remote *remote;
        char *name;
        size_t iterator;

        for (iterator = 0; session->remotes && (remote = table_next(session->remotes, &iterator));) {
                table_remove_number(session->remotes, remote->id);
                remote_free(remote);
        }
        while ((remote = session->leaving)) {
                session->leaving = remote->next_leaving;
                remote_free(remote);
        }
        for (iterator = 0; session->activatable && (name = table_next(session->activatable, &iterator));)
                free(name);
        table_free(session->remotes);
        table_free(session->ghosts);
        table_free(session->imports);
        table_free(session->activatable);
}
