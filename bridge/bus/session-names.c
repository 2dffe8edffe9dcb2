/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The names that peers of the other domain own there, and their ghosts here, if policy lets them. */

#include <errno.h>
#include <inttypes.h>
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

void owned_free(struct owned *owned) {
        struct session *session = owned->remote->session;
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

static void on_requested(void *userdata, const struct message *reply);

struct request {
        struct session *session;
        uint32_t remote;
        char name[];
};

/*
 * A program of this domain is replaced if it lets itself be, as one does that has handed over to another (docs/service-move.md); a ghost of a third domain
 * always would, and is only if the service moves from there, or if it came by a longer way: a link of one's own goes before that by way of another domain.
 */
static bool may_replace(const struct owned *owned, const char *owner) {
        const struct session_options *options = &owned->remote->session->options;
        uintptr_t hops = (uintptr_t) table_get_string(options->foreign, owner);

        return hops == 0 || table_get_string(options->moving, owned->name) || hops > owned->remote->hops + 1;
}

static int request_name(struct owned *owned, uint32_t flags) {
        struct remote *remote = owned->remote;
        const char *owner = table_get_string(remote->session->owners, owned->name);
        struct request *request;
        int r;

        if (owner && may_replace(owned, owner))
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

        if (!owned || owned->refused || owned->remote->id != request->remote || !owned->remote->connection) {
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
        struct remote *remote = table_get_number(session->remotes, id);
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
                owned_free(before);
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
        owned_free(owned);
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
        if (!owned->has && (!owner || (table_get_string(session->options.foreign, owner) && may_replace(owned, owner))))
                request_name(owned, 0);
}

static void on_released(void *userdata, const struct message *reply) {
        struct session *session = userdata;

        if (--session->n_releasing == 0 && !session->over)
                session->handlers->policy_in_force(session->userdata);
}

/* It is in nobody's way there any longer, nor a way to anybody, once the bus has let it go; or the connection has ended, which comes to the same. */
static int take_away(struct session *session, struct owned *owned) {
        int r;

        owned->refused = true;
        owned->has = false;
        r = wants_name(session, owned, false);
        if (r >= 0 && owned->remote->connection) {
                r = connection_call(owned->remote->connection, on_released, session, "ReleaseName", "s", owned->name);
                if (r >= 0)
                        session->n_releasing++;
        }
        session->handlers->name(session->userdata, owned->name, NULL);
        return r;
}

int names_policy_changed(struct session *session) {
        struct owned *owned;
        size_t iterator = 0;
        int r = 0;

        while (r >= 0 && (owned = table_next(session->imports, &iterator))) {
                bool refused = !guard_allows_name(session->options.guard, owned->name);

                if (refused == owned->refused)
                        continue;
                r = refused ? take_away(session, owned) : own(session, owned, 0);
        }
        return r;
}
