/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Who of this bus the other domain knows, and the well-known names that it may know of.
 *
 * The listener, a connection that belongs to nobody of the other domain, hears of every change of a name's owner. It asks for that before it
 * asks who owns what, so nothing falls between the two.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "log.h"
#include "session-private.h"

struct asking {
        struct session *session;
        char name[];
};

static struct asking *asking_new(struct session *session, const char *name) {
        struct asking *asking = malloc(sizeof *asking + strlen(name) + 1);

        if (asking) {
                asking->session = session;
                strcpy(asking->name, name);
        }
        return asking;
}

/* Asks the bus about a name. */
static int ask(struct session *session, const char *member, const char *name, connection_reply_t on_answer) {
        struct asking *asking = asking_new(session, name);
        int r;

        if (!asking)
                return -ENOMEM;
        r = connection_call(session->listener, on_answer, asking, member, "s", name);
        if (r < 0)
                free(asking);
        return r;
}

static void local_leaves(struct session *session, const char *unique);

static void on_has_owner(void *userdata, const struct message *reply) {
        struct asking *asking = userdata;
        bool has = true;

        if (reply && reply->type == MESSAGE_METHOD_RETURN && message_read(reply, "b", &has) >= 0 && !has)
                local_leaves(asking->session, asking->name);
        free(asking);
}

static struct local *local_of(struct session *session, const char *unique) {
        return table_get_string(session->locals, unique);
}

int local_ensure(struct session *session, const char *unique, struct local **ret_local) {
        struct local *local = local_of(session, unique);
        uintptr_t foreign;
        int r;

        if (local) {
                *ret_local = local;
                return 0;
        }
        r = session->handlers->hear(session->userdata);
        if (r < 0)
                return r;
        foreign = (uintptr_t) table_get_string(session->options.foreign, unique);
        if (table_count(session->locals) >= WIRE_PEERS_MAX || session->next_local == UINT32_MAX || foreign > SESSION_HOPS_MAX)
                return -EMLINK;
        local = calloc(1, sizeof *local + strlen(unique) + 1);
        if (!local)
                return -ENOMEM;
        strcpy(local->unique, unique);
        local->id = ++session->next_local;
        local->hops = (unsigned) foreign;       /* which is one more than it has here, and 0 for one of this domain's own */
        r = table_add_string(session->locals, unique, local);
        if (r < 0) {
                free(local);
                return r;
        }
        r = table_add_number(session->locals_by_id, local->id, local);
        if (r >= 0)
                r = frame_append_peer(mux_control(session->mux), local->id, (uint8_t) local->hops, unique);
        if (r >= 0)
                r = mux_stream_open(session->mux, local->id);
        if (r < 0)
                return r;               /* it is in a table, and freed with that */
        session->counters[COUNTER_PEERS_LOCAL]++;
        session_kick(session);
        *ret_local = local;
        /* It may have left already, and that may have been told before anybody knew of it. */
        return ask(session, "NameHasOwner", unique, on_has_owner);
}

static void local_free(struct session *session, struct local *local) {
        while (local->calls)
                call_free(session, local->calls);
        free(local);
}

static void local_gone(struct session *session, struct local *local) {
        table_remove_string(session->locals, local->unique);
        table_remove_number(session->locals_by_id, local->id);
        mux_stream_close(session->mux, local->id);
        session->counters[COUNTER_PEERS_LOCAL]--;
        local_free(session, local);
        session_kick(session);
}

static void local_passed(struct session *session, const char *unique) {
        struct local *local = local_of(session, unique);

        if (local && --local->n_passing == 0)
                local_gone(session, local);
}

/* A ghost has read all that came to it before the bus answered this; or it has ended. */
static void on_passed(void *userdata, const struct message *reply) {
        struct asking *asking = userdata;

        if (!asking->session->over)
                local_passed(asking->session, asking->name);
        free(asking);
}

static int ask_ghost(struct local *local, struct remote *remote) {
        struct asking *asking = asking_new(remote->session, local->unique);
        int r;

        if (!asking)
                return -ENOMEM;
        local->n_passing++;
        r = connection_call(remote->connection, on_passed, asking, "GetId", "");
        if (r < 0) {
                local->n_passing--;
                free(asking);
        }
        return r == -ENOTCONN ? 0 : r;
}

/*
 * It has left the bus. What it sent before is on its way to ghosts that have not read it yet, and must arrive in its order and before its
 * end: so it is gone when each of them has an answer to a call that it made now.
 */
static void local_leaves(struct session *session, const char *unique) {
        struct local *local = local_of(session, unique);
        struct remote *remote;
        size_t iterator = 0;
        int r = 0;

        if (!local || local->n_passing > 0)
                return;
        local->n_passing = 1;
        while (r >= 0 && (remote = table_next(session->remotes, &iterator)))
                if (remote->connection)
                        r = ask_ghost(local, remote);
        local_passed(session, unique);
        if (r < 0)
                session_fail(session, r, "wait for the last messages of somebody who left");
}

/* Names */

static bool may_export(struct session *session, const char *name, const char *owner) {
        uintptr_t foreign = (uintptr_t) table_get_string(session->options.foreign, owner);

        if (table_get_string(session->ghosts, owner))   /* it is the other domain's own */
                return false;
        return foreign <= SESSION_HOPS_MAX && guard_exports(session->options.guard, name);
}

static int export_end(struct session *session, const char *name) {
        struct export *export = table_remove_string(session->exports, name);
        int r = 0;

        if (!export)
                return 0;
        export->local->n_names--;
        r = frame_append_name_gone(mux_control(session->mux), name);
        free(export);
        session_kick(session);
        return r;
}

static int export_set(struct session *session, const char *name, struct local *local) {
        struct export *export = table_get_string(session->exports, name);
        int r;

        if (export && export->local == local)
                return 0;
        if (export)
                export->local->n_names--;
        else {
                if (table_count(session->exports) >= WIRE_NAMES_MAX) {
                        log_event(LOG_WARNING, NULL, "%s is not shown to domain %u: it is shown %u names already", name,
                                  session->options.domain, WIRE_NAMES_MAX);
                        return 0;
                }
                export = malloc(sizeof *export + strlen(name) + 1);
                if (!export)
                        return -ENOMEM;
                strcpy(export->name, name);
                r = table_add_string(session->exports, name, export);
                if (r < 0) {
                        free(export);
                        return r;
                }
        }
        export->local = local;
        local->n_names++;
        session_kick(session);
        return frame_append_name(mux_control(session->mux), local->id, name);
}

/* A well-known name of this bus has this owner, or (NULL) none. */
static int name_changed(struct session *session, const char *name, const char *owner) {
        struct local *local;
        int r;

        if (!owner || !may_export(session, name, owner))
                return export_end(session, name);
        r = local_ensure(session, owner, &local);
        if (r == -EMLINK) {
                log_event(LOG_WARNING, NULL, "%s is not shown to domain %u: %u connections of this bus are known there already", name,
                          session->options.domain, WIRE_PEERS_MAX);
                return export_end(session, name);
        }
        return r < 0 ? r : export_set(session, name, local);
}

/* Keeps in mind who owns what, for when the policy changes. */
static int remember_owner(struct session *session, const char *name, const char *owner) {
        char *copy;
        int r;

        free(table_remove_string(session->owners, name));
        if (!owner)
                return 0;
        copy = malloc(strlen(name) + strlen(owner) + 2);        /* owner, then name */
        if (!copy)
                return -ENOMEM;
        strcpy(stpcpy(copy, owner) + 1, name);
        r = table_add_string(session->owners, name, copy);
        if (r < 0)
                free(copy);
        return r;
}

int locals_policy_changed(struct session *session) {
        const char *owner;
        size_t iterator = 0;
        int r = 0;

        while (r >= 0 && (owner = table_next(session->owners, &iterator)))
                r = name_changed(session, owner + strlen(owner) + 1, owner);
        return r;
}

static void on_name_owner_changed(struct session *session, const struct message *message) {
        const char *name, *before, *after;
        int r;

        if (message_read(message, "sss", &name, &before, &after) < 0)
                return;
        if (is_unique(name)) {
                if (*after == '\0')
                        local_leaves(session, name);
                return;
        }
        r = session->handlers->hear(session->userdata);
        if (r >= 0)
                r = remember_owner(session, name, *after ? after : NULL);
        if (r >= 0)
                r = name_changed(session, name, *after ? after : NULL);
        if (r < 0)
                session_fail(session, r, "tell the other domain of a name");
        else
                remote_name_changed(session, name, *after ? after : NULL);
}

/* For the policy */

static int make_room(struct session *session, size_t n) {
        const char **names;

        if (n < session->names_size)
                return 0;
        names = reallocarray(session->names, 2 * n + 1, sizeof *names);
        if (!names)
                return -ENOMEM;
        session->names = names;
        session->names_size = 2 * n + 1;
        return 0;
}

int names_of_unique(struct session *session, const char *unique, const char *const **ret_names, size_t *ret_n) {
        const char *owner;
        size_t iterator = 0, n = 0;
        int r;

        r = make_room(session, table_count(session->owners));
        if (r < 0)
                return r;
        while ((owner = table_next(session->owners, &iterator)))
                if (strcmp(owner, unique) == 0)
                        session->names[n++] = owner + strlen(owner) + 1;
        *ret_names = session->names;
        *ret_n = n;
        return 0;
}

int names_of_remote(const struct remote *remote, const char *const **ret_names, size_t *ret_n) {
        struct session *session = remote->session;
        size_t n = 0;
        int r;

        r = make_room(session, table_count(session->imports));
        if (r < 0)
                return r;
        for (const struct owned *owned = remote->names; owned; owned = owned->next)
                session->names[n++] = owned->name;
        *ret_names = session->names;
        *ret_n = n;
        return 0;
}

/* Which names there are when the session begins. */

static void on_owner(void *userdata, const struct message *reply) {
        struct asking *asking = userdata;
        const char *owner;
        int r;

        if (reply && reply->type == MESSAGE_METHOD_RETURN && message_read(reply, "s", &owner) >= 0 && is_unique(owner)) {
                r = asking->session->handlers->hear(asking->session->userdata);
                if (r >= 0)
                        r = remember_owner(asking->session, asking->name, owner);
                if (r >= 0)
                        r = name_changed(asking->session, asking->name, owner);
                if (r < 0)
                        session_fail(asking->session, r, "tell the other domain of a name");
        }
        free(asking);
}

static void on_names(void *userdata, const struct message *reply) {
        struct session *session = userdata;
        struct message_strings names;
        const char *name;
        int r;

        if (!reply || reply->type != MESSAGE_METHOD_RETURN || message_read(reply, "as", &names) < 0) {
                if (reply)
                        session_fail(session, -EBADMSG, "list the names of the bus");
                return;
        }
        while ((name = message_strings_next(&names))) {
                if (is_unique(name) || strcmp(name, BUS_NAME) == 0)
                        continue;
                r = ask(session, "GetNameOwner", name, on_owner);
                if (r < 0) {
                        session_fail(session, r, "ask who owns a name");
                        return;
                }
        }
}

int locals_start(struct session *session) {
        static const char rule[] = "type='signal',sender='" BUS_NAME "',path='/org/freedesktop/DBus',interface='" BUS_NAME
                                   "',member='NameOwnerChanged'";
        int r;

        r = connection_call(session->listener, NULL, NULL, "AddMatch", "s", rule);
        if (r < 0)
                return r;
        r = connection_call(session->listener, on_names, session, "ListNames", "");
        if (r < 0)
                return r;
        return activatables_look(session);
}

void on_listener_message(void *userdata, uint8_t *data, size_t size, const struct message *message) {
        struct session *session = userdata;

        if (session->over || message->type != MESSAGE_SIGNAL || !message->sender) {
                release(session, data, size);
                return;
        }
        if (strcmp(message->sender, BUS_NAME) != 0) {
                out_signal(session, data, size, message);
                return;
        }
        if (strcmp(message->member, "NameOwnerChanged") == 0)
                on_name_owner_changed(session, message);
        release(session, data, size);
}

void locals_done(struct session *session) {
        struct export *export;
        struct local *local;
        char *owner;
        size_t iterator;

        for (iterator = 0; session->exports && (export = table_next(session->exports, &iterator));)
                free(export);
        for (iterator = 0; session->owners && (owner = table_next(session->owners, &iterator));)
                free(owner);
        for (iterator = 0; session->locals && (local = table_next(session->locals, &iterator));)
                local_free(session, local);
        table_free(session->exports);
        table_free(session->owners);
        table_free(session->locals);
        table_free(session->locals_by_id);
}
