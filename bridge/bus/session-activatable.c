/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Services that could be started: those of this bus, of which the other domain is told, and those of which it tells.
 *
 * What this bus starts for another domain is told as that domain's, one link further away, and no further; and never to the domain that it would start
 * them in.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "log.h"
#include "names.h"
#include "session-private.h"

/* A name that the other domain was told of. */
struct told {
        unsigned hops;
        bool listed;                    /* in the answer that is being read */
        char name[];
};

/* One that it has told of. */
struct offered {
        unsigned hops;
        bool shown;                     /* to who asks the other domain for it: policy lets it be owned */
        char name[];
};

/* Of this bus */

/* 0, -EDQUOT if it knows too many already, or another negative errno: the link cannot go on. */
static int tell(struct session *session, const char *name, unsigned hops) {
        struct told *told = table_get_string(session->told, name);
        int r = 0;

        if (told && told->hops == hops) {
                told->listed = true;
                return 0;
        }
        if (!told) {
                if (table_count(session->told) >= WIRE_NAMES_MAX)
                        return -EDQUOT;
                told = malloc(sizeof *told + strlen(name) + 1);
                if (!told)
                        return -ENOMEM;
                strcpy(told->name, name);
                r = table_add_string(session->told, name, told);
                if (r < 0) {
                        free(told);
                        return r;
                }
        }
        told->hops = hops;
        told->listed = true;
        return frame_append_activatable(mux_control(session->mux), name, true, (uint8_t) hops);
}

static int tell_listed(struct session *session, struct message_strings *names) {
        const char *name;
        unsigned n_too_many = 0;
        int r = 0;

        while (r >= 0 && (name = message_strings_next(names))) {
                uintptr_t bridged = (uintptr_t) table_get_string(session->options.bridged, name);

                if (bridged != SESSION_BRIDGED_NOT_FOR_IT && strcmp(name, BUS_NAME) != 0 && guard_exports(session->options.guard, name))
                        r = tell(session, name, bridged == SESSION_BRIDGED ? 1 : 0);
                n_too_many += r == -EDQUOT;
                r = r == -EDQUOT ? 0 : r;
        }
        if (n_too_many > 0)
                log_event(LOG_WARNING, NULL, "%u services that could be started here are not shown to domain %u: it is shown %u already", n_too_many,
                          session->options.domain, WIRE_NAMES_MAX);
        return r;
}

static int take_back_others(struct session *session) {
        struct told *told;
        size_t iterator = 0;
        int r = 0;

        while (r >= 0 && (told = table_next(session->told, &iterator))) {
                if (told->listed) {
                        told->listed = false;
                        continue;
                }
                r = frame_append_activatable(mux_control(session->mux), told->name, false, 0);
                table_remove_string(session->told, told->name);
                free(told);
        }
        return r;
}

/* Whether they run does not matter: the other side knows that by their names' owners. */
static void on_names(void *userdata, const struct message *reply) {
        struct session *session = userdata;
        struct message_strings names;
        int r;

        if (!reply || reply->type != MESSAGE_METHOD_RETURN || message_read(reply, "as", &names) < 0)
                return;
        r = tell_listed(session, &names);
        if (r >= 0)
                r = take_back_others(session);
        if (r < 0)
                session_fail(session, r, "tell the other domain of a service that could be started");
        else
                session_kick(session);
}

int activatables_look(struct session *session) {
        return connection_call(session->listener, on_names, session, "ListActivatableNames", "");
}

int session_activatables_changed(struct session *session) {
        return session->over || !session->listener_ready ? 0 : activatables_look(session);
}

/* Of the other domain's */

static void show(struct session *session, struct offered *offered, bool again) {
        bool allowed = guard_allows_name(session->options.guard, offered->name);

        if (allowed ? again || !offered->shown : offered->shown)
                session->handlers->activatable(session->userdata, offered->name, allowed, offered->hops);
        offered->shown = allowed;
}

static int offer(struct session *session, const struct frame_text *untrusted_name, unsigned hops) {
        struct offered *offered = table_get(session->activatable, untrusted_name->text, untrusted_name->n);
        bool again = offered && offered->hops != hops;
        int r;

        if (!offered) {
                if (table_count(session->activatable) >= WIRE_NAMES_MAX)
                        return -EMLINK;
                offered = calloc(1, sizeof *offered + untrusted_name->n + 1);
                if (!offered)
                        return -ENOMEM;
                memcpy(offered->name, untrusted_name->text, untrusted_name->n);
                r = table_add_string(session->activatable, offered->name, offered);
                if (r < 0) {
                        free(offered);
                        return r;
                }
        }
        offered->hops = hops;
        show(session, offered, again);
        return 0;
}

int remote_activatable(struct session *session, const struct frame_text *untrusted_name, bool is, unsigned hops) {
        struct offered *offered;

        if (!name_is_well_known(untrusted_name->text, untrusted_name->n) || hops > SESSION_HOPS_MAX)
                return -EBADMSG;
        if (is)
                return offer(session, untrusted_name, hops);
        offered = table_remove(session->activatable, untrusted_name->text, untrusted_name->n);
        if (offered && offered->shown)
                session->handlers->activatable(session->userdata, offered->name, false, 0);
        free(offered);
        return 0;
}

int activatables_policy_changed(struct session *session) {
        struct offered *offered;
        size_t iterator = 0;

        while ((offered = table_next(session->activatable, &iterator)))
                show(session, offered, false);
        return session_activatables_changed(session);
}

static void free_all(struct table *table) {
        size_t iterator = 0;
        void *value;

        while (table && (value = table_next(table, &iterator)))
                free(value);
        table_free(table);
}

void activatables_done(struct session *session) {
        free_all(session->told);
        free_all(session->activatable);
}
