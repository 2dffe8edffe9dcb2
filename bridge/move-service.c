/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the hub does before move.c can: it finds out where the service is and whether it can be moved, and has the one that is to stand by started in the
 * domain that it is to go to, of which the bus here need not know. Both are then known here by name, as ghosts or as themselves.
 */

#include "move-service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge1-manager.h"
#include "cleanup.h"
#include "handover.h"
#include "idl-errors.h"
#include "move.h"

#define TAG_BIT (UINT64_C(1) << 63)     /* hub-activation.c counts from 1 */
#define POLL_USEC UINT64_C(20000)
#define POLLS_MAX 250u                  /* 5 s for a name to come over */

struct hub_move {
        struct hub_move *next;
        struct hub *hub;
        struct work *work;
        struct move *move;              /* NULL while it is being prepared */
        struct hub_link *link;          /* to where it goes; NULL: here, or the link is lost */
        unsigned domain;
        uint64_t tag;
        bool old_is_here;
        unsigned n_polls;
        sd_bus_slot *slot;
        sd_event_source *timer;
        char *standby;
        char name[];
};

/* In the other domain's process: whoever has the name here has to make way for it, also a third domain that it comes from. */
static void tell_link(struct hub_move *move, bool moves) {
        if (move->link)
                hub_link_send(move->link, CONTROL_MOVES, moves, 0, move->name);
}

static void hub_move_free(struct hub_move *move) {
        struct hub_move **p;

        tell_link(move, false);
        for (p = &move->hub->moves; *p != move; p = &(*p)->next)
                ;
        *p = move->next;
        move_free(move->move);
        sd_bus_slot_unref(move->slot);
        sd_event_source_disable_unref(move->timer);
        free(move->standby);
        free(move);
}

static void fail(struct hub_move *move, int r, struct idl_error *error) {
        struct work *work = move->work;

        hub_move_free(move);
        work_fail(work, r, error);
}

/* The move itself */

static void on_step(enum move_step step, void *userdata) {
        struct hub_move *move = userdata;

        work_advance(move->work, (double) (step + 1) / (_MOVE_STEP_N + 1));
        if (step == MOVE_RETIRE)        /* who has asked before has cancelled the move by that */
                work_commit(move->work);
}

static int append_result(struct work *work, const struct move_result *result, sd_bus_message **ret_message) {
        const struct xcp_service_moved moved = { .pause_us = result->pause_usec, .waiting_calls = result->waiting_calls };
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        r = work_result_new(work, &message);
        if (r >= 0)
                r = xcp_service_moved_append(message, &moved);
        if (r < 0)
                return r;
        *ret_message = message;
        message = NULL;
        return 0;
}

static void on_end(int r, struct idl_error *error, const struct move_result *result, void *userdata) {
        struct hub_move *move = userdata;
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        AUTO(idl_error_done) struct idl_error own = IDL_ERROR_NULL;
        struct work *work = move->work;

        if (r >= 0)
                r = append_result(work, result, &message);
        if (r >= 0)
                log_event(LOG_INFO, LOG_FIELDS({ "XCP_NAME", move->name }), "%s has moved to domain %u: a pause of %" PRIu64 " us", move->name,
                          move->domain, result->pause_usec);
        idl_error_move(&own, error);
        hub_move_free(move);
        if (r < 0)
                work_fail(work, r, &own);
        else
                work_succeed(work, message);
}

static const struct move_listener listener = { on_step, on_end };

static void start(struct hub_move *move) {
        const struct move_options options = { .name = move->name, .may_start = !move->link, .old_is_here = move->old_is_here };
        int r;

        tell_link(move, true);
        r = move_start(&move->move, move->hub->bus, move->hub->event, &options, &listener, move);
        if (r < 0)
                fail(move, r, NULL);
}

/* Who is to stand by, in the other domain */

static bool stands_by(const struct hub_move *move) {
        const struct hub_name *name = table_get_string(move->hub->names, move->standby);

        return name && name->link == move->link;
}

static int on_poll(sd_event_source *source, uint64_t usec, void *userdata) {
        struct hub_move *move = userdata;
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;

        if (stands_by(move)) {
                move->timer = sd_event_source_disable_unref(move->timer);
                start(move);
                return 0;
        }
        if (++move->n_polls > POLLS_MAX) {
                fail(move, idl_error_set_unreachable(&error, "service", move->standby, "it runs, and its name does not come here: does the policy let it?"),
                     &error);
                return 0;
        }
        sd_event_source_set_time_relative(source, POLL_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static struct hub_move *find_tag(struct hub *hub, const struct hub_link *link, uint64_t tag) {
        for (struct hub_move *move = hub->moves; move; move = move->next)
                if (tag && move->tag == tag && move->link == link)
                        return move;
        return NULL;
}

void hub_move_started(struct hub_link *link, uint64_t tag, const char *error_name, const char *text) {
        struct hub_move *move = find_tag(link->hub, link, tag);
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        int r;

        if (!move)
                return;
        move->tag = 0;
        if (*error_name) {
                fail(move, idl_error_set_unreachable(&error, "service", move->standby, *text ? text : error_name), &error);
                return;
        }
        r = sd_event_add_time_relative(link->hub->event, &move->timer, CLOCK_MONOTONIC, 0, 0, on_poll, move);
        if (r < 0)
                fail(move, r, NULL);
}

void hub_moves_forget(struct hub_link *link) {
        for (struct hub_move *move = link->hub->moves, *next; move; move = next) {
                AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
                char id[16];

                next = move->next;
                if (move->link != link)
                        continue;
                move->link = NULL;
                if (move->move)         /* one that goes on finds out by its calls */
                        continue;
                snprintf(id, sizeof id, "%u", link->domain);
                fail(move, idl_error_set_unreachable(&error, "domain", id, "the link to it is lost"), &error);
        }
}

static void find_new(struct hub_move *move) {
        const struct hub_name *name = table_get_string(move->hub->names, move->standby);
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        char holder[32];

        if (name && name->link != move->link) {
                snprintf(holder, sizeof holder, "domain %u", name->link->domain);
                fail(move, idl_error_set_busy(&error, "name", move->standby, holder), &error);
                return;
        }
        if (!move->link || stands_by(move)) {
                start(move);
                return;
        }
        move->tag = TAG_BIT | ++move->hub->last_move;
        hub_link_send(move->link, CONTROL_START, 0, move->tag, move->standby);
}

/* Whether it can be moved at all, which it says itself. Nothing is started before that. */

static int has_feature(sd_bus_message *message, const char *wanted) {
        const char *feature;
        int r = sd_bus_message_enter_container(message, 'v', "as");

        if (r > 0)
                r = sd_bus_message_enter_container(message, 'a', "s");
        while (r > 0 && (r = sd_bus_message_read(message, "s", &feature)) > 0)
                if (strcmp(feature, wanted) == 0)
                        return 1;
        return r;
}

static int on_features(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct hub_move *move = userdata;
        const sd_bus_error *said = sd_bus_message_get_error(reply);
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        char what[320];

        if (said && (sd_bus_error_has_name(said, SD_BUS_ERROR_NO_REPLY) || sd_bus_error_has_name(said, SD_BUS_ERROR_TIMEOUT))) {
                fail(move, idl_error_set_unreachable(&error, "service", move->name, "it does not answer"), &error);
                return 0;
        }
        if (!said && has_feature(reply, "handover") > 0) {
                find_new(move);
                return 0;
        }
        snprintf(what, sizeof what, "Moving %s, which stays where what it sees to is,", move->name);
        fail(move, idl_error_set_not_supported(&error, what), &error);
        return 0;
}

static int ask_features(struct hub_move *move) {
        AUTO_FREE char *path = NULL;

        if (asprintf(&path, "/%s", move->name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        for (char *p = path; *p; p++)
                if (*p == '.')
                        *p = '/';
        move->slot = sd_bus_slot_unref(move->slot);
        return sd_bus_call_method_async(move->hub->bus, &move->slot, move->name, path, "org.freedesktop.DBus.Properties", "Get", on_features, move,
                                        "ss", "org.xen.xcp.Diagnostics1", "Features");
}

/* Where it is */

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct hub_move *move = userdata;
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        const char *owner = NULL;
        struct hub_peer *peer;
        char place[32];
        int r;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "s", &owner) < 0) {
                fail(move, idl_error_set_does_not_exist(&error, "service", move->name), &error);
                return 0;
        }
        peer = table_get_string(move->hub->peers, owner);
        if ((peer ? peer->link : NULL) == move->link) {
                snprintf(place, sizeof place, "in domain %u", move->domain);
                fail(move, idl_error_set_bad_state(&error, "service", move->name, "in another domain", place), &error);
                return 0;
        }
        move->old_is_here = !peer;
        r = ask_features(move);
        if (r < 0)
                fail(move, r, NULL);
        return 0;
}

/* Tasks */

static void on_cancel(void *userdata) {
        struct hub_move *move = userdata;
        struct work *work = move->work;

        if (move->move) {
                move_cancel(move->move);
                return;
        }
        hub_move_free(move);
        work_fail_cancelled(work);
}

static void on_interrupt(void *userdata) {
        hub_move_free(userdata);
}

static int check(struct hub *hub, const char *name, uint32_t domain, struct hub_link **ret_link, struct idl_error *error) {
        struct hub_link *link = NULL;
        char id[16];

        if (!sd_bus_service_name_is_valid(name) || name[0] == ':' || strlen(name) + sizeof HANDOVER_OLD_SUFFIX > 255)
                return idl_error_set_does_not_exist(error, "service", name);
        for (const struct hub_move *move = hub->moves; move; move = move->next)
                if (strcmp(move->name, name) == 0)
                        return idl_error_set_bad_state(error, "service", name, "at rest", "moving");
        snprintf(id, sizeof id, "%u", domain);
        if (domain != hub->own_domain) {
                link = table_get_number(hub->by_domain, domain);
                if (!link)
                        return idl_error_set_does_not_exist(error, "link to domain", id);
                if (link->state != XCP_LINK_STATE_UP)
                        return idl_error_set_unreachable(error, "domain", id, link->reason);
        }
        *ret_link = link;
        return 0;
}

static int begin(struct hub_move *move, struct idl_call *call, struct idl_error *error) {
        struct work_kind kind = {
                .description = idl_arena_printf(idl_call_arena(call), "Move %s to domain %u", move->name, move->domain),
                .cancel = on_cancel,
                .cancel_bound_usec = MOVE_CANCEL_USEC,
                .interrupt = on_interrupt,
        };
        int r;

        r = sd_bus_call_method_async(move->hub->bus, &move->slot, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                     "GetNameOwner", on_owner, move, "s", move->name);
        if (r >= 0)
                r = work_begin(service_tasks(move->hub->service), call, &kind, move, error, &move->work);
        if (r >= 0)
                work_run(move->work);
        return r;
}

int hub_move_service(struct hub *hub, struct idl_call *call, const char *name, uint32_t domain, struct idl_error *error) {
        struct hub_link *link = NULL;
        struct hub_move *move;
        int r;

        r = check(hub, name, domain, &link, error);
        if (r < 0)
                return r;
        move = calloc(1, sizeof *move + strlen(name) + 1);
        if (!move)
                return -ENOMEM;
        strcpy(move->name, name);
        move->hub = hub;
        move->link = link;
        move->domain = domain;
        move->next = hub->moves;
        hub->moves = move;
        if (asprintf(&move->standby, "%s" HANDOVER_STANDBY_SUFFIX, name) < 0)
                move->standby = NULL;
        r = move->standby ? begin(move, call, error) : -ENOMEM;
        if (r < 0) {
                hub_move_free(move);
                return r;
        }
        return bridge1_manager_reply_move_service(call, work_path(move->work));
}
