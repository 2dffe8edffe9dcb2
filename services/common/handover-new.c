/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Who takes over.
 *
 * It has two connections. The one that is to have the service's name has the objects, and is not read before the predecessor has passed on all
 * that came earlier; the other, which is NAME.standby, is where it is talked to meanwhile, and has the same objects, for calls that are passed on.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "export.h"
#include "handover-private.h"
#include "idl-errors.h"
#include "service-private.h"

#define CHECK_FILE "handover-check.db"
#define CHECK_LIMIT_USEC UINT64_C(60000000)

struct handover_check {
        struct handover *handover;
        struct idl_call *call;
        struct database *db;
        void *checking;
};

/* What was imported */

int handover_on_import(void *object, struct idl_call *call, uint64_t offset, const uint8_t *part, size_t n_part, uint64_t size,
                       struct idl_error *error) {
        struct handover *handover = object;
        uint8_t *stream;
        char text[24];

        if (handover->state != XCP_HANDOVER_STATE_STAND_BY)
                return handover_wrong_state(handover, "StandBy", error);
        if (size > HANDOVER_STATE_MAX)
                return idl_error_set_limit_exceeded(error, "bytes of state", size, HANDOVER_STATE_MAX);
        if (offset == 0) {
                handover->n_stream = 0;
                handover->stream_size = size;
        }
        if (offset != handover->n_stream || size != handover->stream_size || n_part > size - offset) {
                snprintf(text, sizeof text, "%" PRIu64, offset);
                return idl_error_set_invalid_argument(error, "offset", text, "is not where the last part ended, or beyond the size");
        }
        stream = realloc(handover->stream, (size_t) (offset + n_part) + 1);
        if (!stream)
                return -ENOMEM;
        memcpy(stream + offset, part, n_part);
        handover->stream = stream;
        handover->n_stream += n_part;
        return handover1_reply_import(call);
}

static const struct handover_part *find_part(const struct handover_state *state, const char *name) {
        for (size_t i = 0; i < state->n_parts; i++)
                if (strcmp(state->parts[i].name, name) == 0)
                        return &state->parts[i];
        return NULL;
}

/* Is it whole, this service's, and of a version that is known here? */
static int read_state(struct handover *handover, struct handover_state *ret_state, struct idl_error *error) {
        const struct service_kind *kind = handover->service->kind;
        char name[HANDOVER_STATE_NAME_MAX];
        int r;

        if (!handover->stream || handover->n_stream != handover->stream_size)
                return idl_error_set_corrupt(error, "state", kind->name, "a part of it is missing");
        r = handover_state_decode(handover->stream, handover->n_stream, ret_state);
        if (r == -EPROTONOSUPPORT)
                return idl_error_set_not_supported(error, "a state of a newer version");
        if (r < 0)
                return idl_error_set_corrupt(error, "state", kind->name, "it is not what it was when it was written");
        snprintf(name, sizeof name, "%s.db", kind->name);
        if (strcmp(ret_state->service, kind->name) != 0 || !find_part(ret_state, name) || !find_part(ret_state, "tasks.db"))
                return idl_error_set_corrupt(error, "state", kind->name, "it is another service's");
        if (ret_state->schema > kind->schema.n_steps)
                return idl_error_set_not_supported(error, "a state of a newer version of the service");
        return 0;
}

/* Rehearsing */

void handover_check_end(struct handover *handover) {
        struct handover_check *check = handover->check;

        if (!check)
                return;
        handover->check = NULL;
        if (check->checking && handover->kind->check_free)
                handover->kind->check_free(check->checking);
        database_close(check->db);
        handover_file_remove(handover, CHECK_FILE);
        idl_call_unrefp(&check->call);
        free(check);
}

void handover_checked(struct handover_check *check, int r, struct idl_error *error) {
        if (r < 0) {
                idl_error_set_errno(error, r, "check whether the service could go on here");
                idl_call_fail(check->call, error);
        } else
                handover1_reply_check(check->call);
        check->handover->waiting = idl_call_unref(check->handover->waiting);
}

static void unwanted(struct handover *handover);

static int open_copy(struct handover *handover, struct handover_check *check, struct idl_error *error) {
        const struct service_kind *kind = handover->service->kind;
        AUTO_FREE char *path = NULL;
        struct handover_state state;
        const struct handover_part *part;
        char name[HANDOVER_STATE_NAME_MAX];
        int r;

        r = read_state(handover, &state, error);
        if (r < 0)
                return r;
        snprintf(name, sizeof name, "%s.db", kind->name);
        part = find_part(&state, name);
        r = handover_file_write(handover, CHECK_FILE, part->data, part->size);
        if (r < 0)
                return r;
        if (asprintf(&path, "%s/" CHECK_FILE, handover->service->options.state_dir) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = database_open(&check->db, path, DATABASE_CRASH_SAFE, &kind->schema);
        return r < 0 ? idl_error_set_corrupt(error, "state", kind->name, "its database cannot be opened here") : 0;
}

int handover_on_check(void *object, struct idl_call *call, struct idl_error *error) {
        struct handover *handover = object;
        struct handover_check *check;
        int r;

        if (handover->state != XCP_HANDOVER_STATE_STAND_BY || handover->waiting)
                return handover_wrong_state(handover, "StandBy", error);
        handover_check_end(handover);
        check = calloc(1, sizeof *check);
        if (!check)
                return -ENOMEM;
        *check = (struct handover_check) { .handover = handover, .call = idl_call_ref(call) };
        handover->check = check;
        r = open_copy(handover, check, error);
        if (r >= 0)
                r = handover_files_prepare(handover);
        if (r >= 0) {
                handover->waiting = idl_call_ref(call);
                r = handover->kind->check ? handover->kind->check(handover->service, check->db, check, &check->checking, error) : 0;
                if (r < 0)
                        idl_call_unrefp(&handover->waiting), handover->waiting = NULL;
                else if (!handover->kind->check)
                        handover_checked(check, 0, error);
        }
        handover_later(handover, HANDOVER_STAND_BY_USEC, unwanted);
        return r;
}

/* Giving it up */

static void abandon(struct handover *handover) {
        int r;

        if (handover->state == XCP_HANDOVER_STATE_TAKING) {
                r = sd_bus_release_name(handover->service->bus, handover->service->bus_name);
                if (r < 0)
                        log_event(LOG_WARNING, NULL, "Cannot give %s back: %s", handover->service->bus_name, strerrordesc_np(-r));
        }
        handover_check_end(handover);
        handover_files_give_up(handover);
        handover_end(handover, EXIT_SUCCESS);
}

static void unwanted(struct handover *handover) {
        log_event(LOG_WARNING, NULL, "Nobody went on with moving %s here: it is abandoned", handover->service->bus_name);
        abandon(handover);
}

int handover_on_abandon(void *object, struct idl_call *call, struct idl_error *error) {
        struct handover *handover = object;

        if (handover->state != XCP_HANDOVER_STATE_STAND_BY && handover->state != XCP_HANDOVER_STATE_READY &&
            handover->state != XCP_HANDOVER_STATE_TAKING)
                return handover_wrong_state(handover, "StandBy, Ready, Taking", error);
        log_event(LOG_INFO, NULL, "Moving %s here was abandoned", handover->service->bus_name);
        abandon(handover);
        return handover1_reply_abandon(call);
}

/* Loading */

/* Whose a call is that the predecessor passes on. On another bus, callers' names are nobody's here. */
static const char *caller_of(sd_bus_message *message, void *userdata) {
        const struct handover *handover = userdata;
        uint64_t cookie;

        if (!handover->behalf || sd_bus_message_get_bus(message) != handover->control || sd_bus_message_get_cookie(message, &cookie) < 0 ||
            cookie != handover->behalf_cookie)
                return NULL;
        return strcmp(handover->bus, tasks_bus_id(handover->service->tasks)) == 0 ? handover->behalf : "";
}

static int load(struct handover *handover, const struct handover_state *state) {
        int r;

        handover->bus = strdup(state->bus);
        if (!handover->bus)
                return -ENOMEM;
        r = service_bring_up(handover->service, handover->bus);
        if (r >= 0)
                tasks_set_caller(handover->service->tasks, caller_of, handover);
        return r;
}

int handover_on_load(void *object, struct idl_call *call, struct idl_error *error) {
        struct handover *handover = object;
        struct handover_state state;
        int r;

        if (handover->state != XCP_HANDOVER_STATE_STAND_BY || handover->waiting)
                return handover_wrong_state(handover, "StandBy", error);
        handover_check_end(handover);
        r = read_state(handover, &state, error);
        if (r < 0)
                return r;
        r = handover_files_write(handover, &state);
        if (r == -ENOSPC)
                return idl_error_set_not_enough_space(error, handover->n_stream, 0);
        if (r < 0)
                return r;
        r = load(handover, &state);
        if (r < 0) {
                handover_end(handover, EXIT_FAILURE);
                return idl_error_set_internal(error, "load the state", strerrordesc_np(-r));
        }
        free(handover->stream);
        handover->stream = NULL;
        handover_set_state(handover, XCP_HANDOVER_STATE_READY);
        handover_later(handover, HANDOVER_READY_USEC, unwanted);
        r = handover1_reply_load(call);
        return r < 0 ? r : handover_files_sync_later(handover);
}

/* Taking over */

int handover_on_activate(void *object, struct idl_call *call, uint64_t epoch, const char *token, struct idl_error *error) {
        struct handover *handover = object;
        struct service *service = handover->service;
        int r;

        if (handover->state != XCP_HANDOVER_STATE_READY)
                return handover_wrong_state(handover, "Ready", error);
        if (strlen(token) < HANDOVER_TOKEN_MIN || strlen(token) > HANDOVER_TOKEN_MAX)
                return idl_error_set_invalid_argument(error, "token", "", "has to have 16 to 64 bytes");
        if (!handover_mark_is_higher(handover, epoch, error))
                return -EINVAL;
        r = handover_files_sync(handover);
        if (r < 0)
                return r;
        r = sd_bus_request_name(service->bus, service->bus_name, SD_BUS_NAME_REPLACE_EXISTING);
        if (r == -EEXIST)
                return idl_error_set_busy(error, "name", service->bus_name, "somebody who does not let go of it");
        if (r < 0)
                return r;
        handover->mark.epoch = epoch;   /* written down when it is its own */
        strcpy(handover->token, token);
        handover_set_state(handover, XCP_HANDOVER_STATE_TAKING);
        handover_later(handover, HANDOVER_TAKING_USEC, unwanted);
        r = handover1_reply_activate(call);
        return r < 0 ? r : handover_files_sync_later(handover);
}

/* Whatever the predecessor had is here: what has come since is handled. */
static void listen_at_last(struct handover *handover) {
        int r;

        if (!handover->is_holding)
                return;
        handover->is_holding = false;
        handover_later(handover, 0, NULL);
        r = service_listen(handover->service);
        if (r < 0) {
                log_event(LOG_ERR, NULL, "Cannot read the bus: %s", strerrordesc_np(-r));
                handover_end(handover, EXIT_FAILURE);
        }
}

static int predecessor_gone(struct handover *handover) {
        if (!handover->predecessor)
                return 0;
        listen_at_last(handover);
        free(handover->predecessor);
        handover->predecessor = NULL;
        return handover_disown(handover, HANDOVER_STANDBY_SUFFIX);      /* another may stand by */
}

static int on_predecessor_gone(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *name, *before, *after;

        if (sd_bus_message_read(message, "sss", &name, &before, &after) < 0 || *after)
                return 0;
        return predecessor_gone(userdata);
}

static int on_predecessor_there(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        int is_there;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "b", &is_there) < 0 || is_there)
                return 0;
        return predecessor_gone(userdata);
}

/* It may have gone since it said Open(), with its domain for one: of that no signal comes any more. */
static int on_watching(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct handover *handover = userdata;

        if (!handover->predecessor)
                return 0;
        return sd_bus_call_method_async(handover->control, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                        "NameHasOwner", on_predecessor_there, handover, "s", handover->predecessor);
}

static int watch_predecessor(struct handover *handover, const char *name) {
        AUTO_FREE char *rule = NULL;

        handover->predecessor = strdup(name);
        if (!handover->predecessor || asprintf(&rule, "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                     "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'", name) < 0) {
                rule = NULL;
                return -ENOMEM;
        }
        return sd_bus_add_match_async(handover->control, NULL, rule, on_predecessor_gone, on_watching, handover);
}

/* Knows whose the call is that comes next. */
static int on_control_message(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        struct handover *handover = userdata;
        const char *sender = sd_bus_message_get_sender(message);

        if (handover->predecessor && sender && strcmp(sender, handover->predecessor) == 0 &&
            sd_bus_message_is_method_call(message, NULL, NULL) && !sd_bus_message_is_method_call(message, HANDOVER1_INTERFACE, NULL))
                sd_bus_message_get_cookie(message, &handover->behalf_cookie);
        return 0;
}

int handover_on_open(void *object, struct idl_call *call, const char *token, struct idl_error *error) {
        struct handover *handover = object;
        const char *sender = sd_bus_message_get_sender(idl_call_message(call));
        int r;

        if (handover->state != XCP_HANDOVER_STATE_TAKING || !sender)
                return handover_wrong_state(handover, "Taking", error);
        if (strcmp(token, handover->token) != 0)
                return idl_error_set_invalid_argument(error, "token", "", "is not what this service was told");
        r = watch_predecessor(handover, sender);
        if (r >= 0)
                r = sd_bus_add_filter(handover->control, NULL, on_control_message, handover);
        if (r >= 0)
                r = handover_write_mark(handover, HANDOVER_ACTIVE, handover->mark.epoch, HANDOVER_PREDECESSOR);
        if (r >= 0) {
                handover->service->owns_name = true;
                handover->is_holding = true;
                handover_set_state(handover, XCP_HANDOVER_STATE_ACTIVE);
                handover_later(handover, HANDOVER_ANSWER_USEC, listen_at_last);
                r = handover->kind->go(handover->service->userdata);
        }
        return r < 0 ? r : handover1_reply_open(call);
}

static bool is_predecessor(const struct handover *handover, struct idl_call *call) {
        const char *sender = sd_bus_message_get_sender(idl_call_message(call));

        return handover->predecessor && sender && strcmp(sender, handover->predecessor) == 0;
}

int handover_on_behalf_of(void *object, struct idl_call *call, const char *caller, struct idl_error *error) {
        struct handover *handover = object;

        if (!is_predecessor(handover, call))
                return -EACCES;
        free(handover->behalf);
        handover->behalf = strdup(caller);
        return handover->behalf ? 0 : -ENOMEM;
}

int handover_on_drained(void *object, struct idl_call *call, struct idl_error *error) {
        struct handover *handover = object;

        if (!is_predecessor(handover, call))
                return -EACCES;
        listen_at_last(handover);
        return 0;
}

/* Standing by */

int handover_stand_by(struct handover *handover) {
        struct service *service = handover->service;
        int r;

        handover->state = XCP_HANDOVER_STATE_STAND_BY;
        r = handover_connect(handover);
        if (r >= 0)
                r = sd_bus_add_object_manager(handover->control, NULL, service->path);
        if (r >= 0)
                r = handover_export(handover);
        if (r < 0)
                return r;
        idl_export_mirror(service->bus, handover->control);
        handover_set_state(handover, XCP_HANDOVER_STATE_STAND_BY);
        handover_later(handover, HANDOVER_STAND_BY_USEC, unwanted);
        return handover_own(handover, HANDOVER_STANDBY_SUFFIX);
}
