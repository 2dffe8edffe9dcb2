/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Ghosts: the connections that peers of the other domain have on this bus.
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

/* What it sent last still goes out, then its ghost is gone. */
static void remote_free(struct remote *remote) {
        struct session *session = remote->session;

        while (remote->names)
                owned_free(remote->names);
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
        size_t iterator;

        for (iterator = 0; session->remotes && (remote = table_next(session->remotes, &iterator));) {
                table_remove_number(session->remotes, remote->id);
                remote_free(remote);
        }
        while ((remote = session->leaving)) {
                session->leaving = remote->next_leaving;
                remote_free(remote);
        }
        table_free(session->remotes);
        table_free(session->ghosts);
        table_free(session->imports);
}
