/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Who hands over.
 *
 * From Quiescing on, the service's connection is not read: calls stay with the bus, whole and in order. Until Retired, all that it takes to
 * undo everything is to read it again. The gate is Open(), which this one sends: whoever takes over serves only after it, and this one
 * never serves again once it is sent.
 */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "handover-private.h"
#include "idl-errors.h"
#include "service-private.h"

#define INTERFACE HANDOVER1_INTERFACE
#define BUS "org.freedesktop.DBus"

/* Going on as ever */

static void serve(struct handover *handover) {
        int r;

        handover_later(handover, 0, NULL);
        free(handover->stream);
        handover->stream = NULL;
        handover->n_stream = 0;
        handover_set_state(handover, XCP_HANDOVER_STATE_ACTIVE);
        r = handover->kind->go(handover->service->userdata);
        if (r >= 0)
                r = service_listen(handover->service);
        if (r < 0) {
                log_event(LOG_ERR, NULL, "Cannot go on after a move that failed: %s", strerrordesc_np(-r));
                handover_end(handover, EXIT_FAILURE);
        }
}

/* The state */

static int add_part(struct handover_state *state, const char *name, uint8_t *data, size_t size) {
        struct handover_part *part = &state->parts[state->n_parts++];

        snprintf(part->name, sizeof part->name, "%s", name);
        part->data = data;
        part->size = size;
        return 0;
}

static int copy_state(struct handover *handover) {
        struct service *service = handover->service;
        struct handover_state state = { .schema = (uint32_t) service->kind->schema.n_steps };
        uint8_t *own = NULL, *tasks = NULL;
        size_t n_own = 0, n_tasks = 0;
        char name[HANDOVER_STATE_NAME_MAX];
        int r;

        snprintf(state.service, sizeof state.service, "%s", service->kind->name);
        snprintf(state.bus, sizeof state.bus, "%s", tasks_bus_id(service->tasks));
        r = database_copy(service->db, HANDOVER_STATE_MAX, &own, &n_own);
        if (r >= 0)
                r = tasks_copy(service->tasks, HANDOVER_STATE_MAX, &tasks, &n_tasks);
        if (r >= 0) {
                free(handover->stream);
                handover->stream = NULL;
                snprintf(name, sizeof name, "%s.db", service->kind->name);
                add_part(&state, name, own, n_own);
                add_part(&state, "tasks.db", tasks, n_tasks);
                r = handover_state_encode(&state, &handover->stream, &handover->n_stream);
        }
        database_copy_free(own);
        database_copy_free(tasks);
        return r;
}

/* The rehearsal, when nobody waits: with what Retire() is most likely to say. */
static void prepare_to_retire(struct handover *handover) {
        AUTO_FREE char *successor = NULL;

        if (asprintf(&successor, "%s" HANDOVER_STANDBY_SUFFIX, handover->service->bus_name) < 0)
                successor = NULL;
        else
                handover_prepare_mark(handover, HANDOVER_RETIRED, handover->mark.epoch + 1, successor);
}

int handover_on_export(void *object, struct idl_call *call, uint64_t offset, struct idl_error *error) {
        struct handover *handover = object;
        char text[24];
        size_t n;
        int r = 0;

        if (handover->state != XCP_HANDOVER_STATE_ACTIVE && handover->state != XCP_HANDOVER_STATE_QUIET)
                return handover_wrong_state(handover, "Active, Quiet", error);
        if (offset == 0)
                r = copy_state(handover);
        if (r == -E2BIG)
                return idl_error_set_limit_exceeded(error, "bytes of state", HANDOVER_STATE_MAX + 1, HANDOVER_STATE_MAX);
        if (r < 0)
                return r;
        if (offset == 0 && handover->state == XCP_HANDOVER_STATE_ACTIVE)
                prepare_to_retire(handover);
        if (!handover->stream || offset >= handover->n_stream) {
                snprintf(text, sizeof text, "%" PRIu64, offset);
                return idl_error_set_invalid_argument(error, "offset", text, "is not in the stream, which begins anew with 0");
        }
        n = handover->n_stream - (size_t) offset;
        return handover1_reply_export(call, handover->stream + offset, n < HANDOVER_PART_MAX ? n : HANDOVER_PART_MAX, handover->n_stream);
}

/* Becoming quiet */

static void resume_by_itself(struct handover *handover) {
        log_event(LOG_WARNING, NULL, "Nobody went on with moving %s: it serves again", handover->service->bus_name);
        serve(handover);
}

static void become_quiet(struct handover *handover) {
        struct idl_call *call = handover->waiting;

        sd_bus_flush(handover->service->bus);   /* answers, and signals of tasks that have ended: while the name is still ours */
        handover->waiting = NULL;
        handover_set_state(handover, XCP_HANDOVER_STATE_QUIET);
        handover_later(handover, HANDOVER_QUIET_USEC, resume_by_itself);
        handover1_reply_quiesce(call);
        idl_call_unref(call);
}

static int on_settle(sd_event_source *source, void *userdata) {
        struct handover *handover = userdata;

        if (handover->state == XCP_HANDOVER_STATE_QUIESCING && handover->service_quiet && !tasks_active(handover->service->tasks))
                become_quiet(handover);
        return 0;
}

static void settle(struct handover *handover) {
        sd_event_source_set_enabled(handover->settle, SD_EVENT_ONESHOT);
}

static void on_tasks_idle(void *userdata) {
        settle(userdata);
}

void handover_quiet(struct handover *handover) {
        handover->service_quiet = true;
        if (handover->settle)
                settle(handover);
}

static void quiesced_too_late(struct handover *handover) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        const struct task *task = tasks_active(handover->service->tasks);

        if (task)
                idl_error_set_busy(&error, "service", handover->service->bus_name, task->description);
        else
                idl_error_set_timed_out(&error, "what the service had begun", (handover_now() - handover->held_usec) / 1000);
        serve(handover);
        handover_fail(handover, &error);
}

static int begin_to_quiesce(struct handover *handover, struct idl_error *error) {
        int r = 0;

        if (!handover->settle) {
                r = sd_event_add_defer(handover->service->event, &handover->settle, on_settle, handover);
                if (r >= 0)
                        r = sd_event_source_set_enabled(handover->settle, SD_EVENT_OFF);
        }
        if (r < 0)
                return r;
        handover->service_quiet = false;
        r = handover->kind->quiesce(handover->service->userdata, error);
        if (r > 0)
                handover->service_quiet = true;
        return r;
}

int handover_on_quiesce(void *object, struct idl_call *call, uint32_t limit_ms, struct idl_error *error) {
        struct handover *handover = object;
        int r;

        if (handover->state != XCP_HANDOVER_STATE_ACTIVE || !handover->control || handover->waiting)
                return handover_wrong_state(handover, "Active, after Prepare", error);
        if (limit_ms > HANDOVER_QUIESCE_MAX_MS)
                limit_ms = HANDOVER_QUIESCE_MAX_MS;
        r = begin_to_quiesce(handover, error);
        if (r < 0)
                return r;
        service_hold(handover->service);
        handover->held_usec = handover_now();
        handover->waiting = idl_call_ref(call);
        handover_set_state(handover, XCP_HANDOVER_STATE_QUIESCING);
        handover_later(handover, limit_ms * UINT64_C(1000) + 1, quiesced_too_late);
        tasks_when_idle(handover->service->tasks, on_tasks_idle, handover);
        settle(handover);
        return 0;
}

/* Giving it away */

static int on_name_changed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        struct handover *handover = userdata;
        const char *name, *before, *after, *own;

        if (sd_bus_message_read(message, "sss", &name, &before, &after) < 0 || sd_bus_get_unique_name(handover->service->bus, &own) < 0)
                return 0;
        if (strcmp(before, own) == 0 && *after)
                handover->name_left = true;
        else if (strcmp(after, own) == 0)
                handover->name_left = false;
        if (handover->name_left && handover->waiting && handover->state == XCP_HANDOVER_STATE_RETIRED)
                handover->then(handover);       /* Relay() has waited for this */
        return 0;
}

int handover_watch_name(struct handover *handover) {
        AUTO_FREE char *rule = NULL;
        static const char format[] = "type='signal',sender='" BUS "',path='/org/freedesktop/DBus',interface='" BUS
                                     "',member='NameOwnerChanged',arg0='%s'";

        int r;

        if (handover->watches_name)     /* since a move that failed */
                return 0;
        if (asprintf(&rule, format, handover->service->bus_name) < 0) {
                rule = NULL;
                return -ENOMEM;
        }
        r = sd_bus_add_match(handover->control, NULL, rule, on_name_changed, handover);
        handover->watches_name = r >= 0;
        return r;
}

static void resume_from_retired(struct handover *handover);

int handover_on_retire(void *object, struct idl_call *call, uint64_t epoch, const char *successor, const char *token,
                       struct idl_error *error) {
        struct handover *handover = object;
        AUTO_FREE char *copy = NULL;
        int r;

        if (handover->state != XCP_HANDOVER_STATE_QUIET)
                return handover_wrong_state(handover, "Quiet", error);
        if (!sd_bus_service_name_is_valid(successor))
                return idl_error_set_invalid_argument(error, "successor", successor, "is no name of a bus");
        if (strlen(token) < HANDOVER_TOKEN_MIN || strlen(token) > HANDOVER_TOKEN_MAX)
                return idl_error_set_invalid_argument(error, "token", "", "has to have 16 to 64 bytes");
        if (!handover_mark_is_higher(handover, epoch, error))
                return -EINVAL;
        copy = strdup(successor);
        if (!copy)
                return -ENOMEM;

        r = sd_bus_request_name(handover->service->bus, handover->service->bus_name, SD_BUS_NAME_ALLOW_REPLACEMENT | SD_BUS_NAME_QUEUE);
        if (r < 0 && r != -EALREADY)
                return r;
        r = handover_write_mark(handover, HANDOVER_RETIRED, epoch, successor);
        if (r < 0)                      /* it may be there all the same: the epoch says so if this one is started again */
                return r;
        free(handover->successor);
        handover->successor = copy;
        copy = NULL;
        strcpy(handover->token, token);
        handover->service->owns_name = false;
        handover_set_state(handover, XCP_HANDOVER_STATE_RETIRED);
        handover_later(handover, HANDOVER_RETIRED_USEC, resume_from_retired);
        return handover1_reply_retire(call);
}

/* Taking it back */

static void take_back(struct handover *handover) {
        struct idl_call *call = handover->waiting;
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        int r;

        handover->waiting = NULL;
        handover->resuming = false;
        r = handover_write_mark(handover, HANDOVER_ACTIVE, handover->mark.epoch + 1, "taken back");
        if (r >= 0)
                r = sd_bus_request_name(handover->service->bus, handover->service->bus_name, SD_BUS_NAME_QUEUE);
        if (r == -EALREADY)
                r = 0;
        if (r >= 0) {
                handover->service->owns_name = true;
                serve(handover);
                if (call)
                        handover1_reply_resume(call);
        } else {
                log_event(LOG_ERR, NULL, "Cannot take %s back: %s", handover->service->bus_name, strerrordesc_np(-r));
                idl_error_set_errno(&error, r, "take the service back");
                if (call)
                        idl_call_fail(call, &error);
                handover_end(handover, EXIT_FAILURE);
        }
        idl_call_unrefp(&call);
}

/* Whatever it said, it has not served: only Open() would have let it. */
static int on_abandoned(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        take_back(userdata);
        return 0;
}

static void resume_from_retired(struct handover *handover) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        if (handover->resuming)
                return;
        handover->resuming = true;
        handover_later(handover, 0, NULL);
        r = sd_bus_message_new_method_call(handover->control, &message, handover->successor, handover->service->path, INTERFACE, "Abandon");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(message, 0);
        if (r >= 0)
                r = sd_bus_call_async(handover->control, NULL, message, on_abandoned, handover, HANDOVER_ANSWER_USEC);
        if (r < 0)
                take_back(handover);
}

int handover_on_resume(void *object, struct idl_call *call, struct idl_error *error) {
        struct handover *handover = object;

        switch (handover->state) {
        case XCP_HANDOVER_STATE_ACTIVE:
                return handover1_reply_resume(call);
        case XCP_HANDOVER_STATE_QUIESCING:
                idl_error_set_cancelled(error, "Quiesce");
                handover_fail(handover, error);
                idl_error_done(error);
                __attribute__((fallthrough));
        case XCP_HANDOVER_STATE_QUIET:
                serve(handover);
                return handover1_reply_resume(call);
        case XCP_HANDOVER_STATE_RETIRED:
                if (handover->waiting || handover->in_doubt || handover->resuming)
                        return idl_error_set_busy(error, "service", handover->service->bus_name, handover->successor);
                handover->waiting = idl_call_ref(call);
                resume_from_retired(handover);
                return 0;
        default:
                return handover_wrong_state(handover, "Active, Quiescing, Quiet, Retired", error);
        }
}

/* Passing on */

/* The process stays, but whoever is to stand by here can be another: it has the state directory, and the name for that. */
static void let_go(struct handover *handover) {
        struct service *service = handover->service;

        handover->has_let_go = true;
        handover_later(handover, 0, NULL);
        handover_disown(handover, HANDOVER_OLD_SUFFIX);
        service->diagnostics_object = diagnostics_object_free(service->diagnostics_object);
        tasks_free(service->tasks);
        service->tasks = NULL;
        service->db = database_close(service->db);
        cleanup_fd(&handover->lock);
        handover->lock = -1;
}

static void gone(struct handover *handover) {
        struct service *service = handover->service;

        if (handover->has_let_go)
                return;
        log_event(LOG_INFO, NULL, "%s has moved, and %" PRIu64 " calls were passed on", service->bus_name, relay_count(handover->relay));
        if (handover->kind->stays && handover->kind->stays(service->userdata))
                let_go(handover);
        else
                handover_end(handover, EXIT_SUCCESS);
}

static void drained(struct handover *handover) {
        uint64_t pause_usec = handover_now() - handover->held_usec;
        int r;

        r = sd_bus_call_method_async(handover->control, NULL, handover->successor, handover->service->path, INTERFACE, "Drained", NULL, NULL, "");
        if (r < 0)
                log_event(LOG_ERR, NULL, "Cannot tell %s that it has all calls: %s", handover->successor, strerrordesc_np(-r));
        if (!handover->waiting)
                return;
        handover1_reply_relay(handover->waiting, pause_usec, (uint32_t) relay_count(handover->relay));
        handover->waiting = idl_call_unref(handover->waiting);
}

static int relay(struct handover *handover) {
        int r;

        handover_set_state(handover, XCP_HANDOVER_STATE_RELAYING);
        if (handover->kind->leave)
                handover->kind->leave(handover->service->userdata);
        handover_later(handover, HANDOVER_LINGER_MAX_USEC, gone);
        r = relay_new(&handover->relay, handover, drained, gone);
        if (r >= 0)
                r = sd_bus_call_method_async(handover->service->bus, NULL, BUS, "/org/freedesktop/DBus", BUS, "ReleaseName", NULL, NULL, "s",
                                             handover->service->bus_name);     /* it was in the queue, to get it back */
        return r < 0 ? r : service_listen(handover->service);
}

static int on_opened(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct handover *handover = userdata;
        const sd_bus_error *failure = sd_bus_message_get_error(reply);
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        int r;

        if (!failure) {
                r = relay(handover);
                if (r < 0) {
                        log_event(LOG_ERR, NULL, "Cannot pass calls on to %s: %s", handover->successor, strerrordesc_np(-r));
                        handover_end(handover, EXIT_FAILURE);
                }
                return 0;
        }
        /* No answer is no "no": it may have written down that the state is its own, and then died. */
        handover->in_doubt = sd_bus_error_has_name(failure, SD_BUS_ERROR_NO_REPLY) || sd_bus_error_has_name(failure, SD_BUS_ERROR_TIMEOUT) ||
                             sd_bus_error_has_name(failure, SD_BUS_ERROR_DISCONNECTED);
        if (!handover->in_doubt) {
                idl_error_set_unreachable(&error, "successor", handover->successor, failure->message ?: failure->name);
                handover_fail(handover, &error);
                handover_later(handover, HANDOVER_RETIRED_USEC, resume_from_retired);
                return 0;
        }
        log_event(LOG_ERR, NULL, "%s did not say whether it serves: %s serves neither here nor, it may be, there. Look at the mark in its"
                  " state directory, and start one of the two with --reclaim", handover->successor, handover->service->bus_name);
        idl_error_set_interrupted(&error, "Open", handover->successor);
        handover_fail(handover, &error);
        handover_end(handover, EXIT_FAILURE);
        return 0;
}

static void open_successor(struct handover *handover) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        int r;

        if (!handover->name_left) {
                idl_error_set_timed_out(&error, "the name to change hands", HANDOVER_ANSWER_USEC / 1000);
                handover_fail(handover, &error);
                handover_later(handover, HANDOVER_RETIRED_USEC, resume_from_retired);
                return;
        }
        handover_later(handover, 0, NULL);
        r = sd_bus_call_method_async(handover->control, NULL, handover->successor, handover->service->path, INTERFACE, "Open", on_opened,
                                     handover, "s", handover->token);
        if (r < 0) {
                idl_error_set_errno(&error, r, "Open");
                handover_fail(handover, &error);
                handover_later(handover, HANDOVER_RETIRED_USEC, resume_from_retired);
        }
}

int handover_on_relay(void *object, struct idl_call *call, struct idl_error *error) {
        struct handover *handover = object;

        if (handover->state != XCP_HANDOVER_STATE_RETIRED || handover->waiting || handover->resuming)
                return handover_wrong_state(handover, "Retired", error);
        handover->waiting = idl_call_ref(call);
        handover_later(handover, HANDOVER_ANSWER_USEC, open_successor);
        if (handover->name_left)
                open_successor(handover);
        return 0;
}
