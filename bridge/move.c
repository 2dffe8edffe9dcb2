/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "move.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-id128.h>

#include "cleanup.h"
#include "handover.h"
#include "idl-errors.h"
#include "log.h"

#define INTERFACE "org.xen.xcp.Handover1"
#define QUIESCE_MS 5000u
#define MARGIN_USEC UINT64_C(2000000)           /* beyond what is promised */
#define START_USEC UINT64_C(25000000)           /* as long as a bus waits for a service */
#define CHECK_USEC UINT64_C(60000000)
#define STEP_USEC UINT64_C(10000000)            /* while calls wait */
#define UNDO_USEC UINT64_C(4000000)             /* MOVE_CANCEL_USEC, with a margin */
#define POLL_USEC UINT64_C(50000)
#define POLLS_MAX 100u

struct move {
        sd_bus *bus;
        sd_event *event;
        struct move_options options;
        const struct move_listener *listener;
        void *userdata;
        char *name, *path, *old, *new;
        char token[SD_ID128_STRING_MAX];

        enum move_step step;
        sd_bus_slot *slot;              /* of the call that is waited for */
        sd_event_source *timer;
        uint64_t old_epoch, new_epoch;
        uint64_t offset, size;          /* of the state */
        bool is_cancelled, is_undoing, old_is_quiet;
        unsigned n_undoing, n_polls;    /* calls that undo and are not answered */
        sd_bus_slot *undo[2];
        struct idl_error error;
        int r;
        struct move_result result;
};

static const char *const step_names[_MOVE_STEP_N] = { "find", "rehearse", "quiesce", "copy", "load", "retire", "activate", "relay" };

const char *move_step_name(enum move_step step) {
        return step_names[step];
}

/* Calls */

static int call(struct move *move, const char *to, const char *member, uint64_t usec, sd_bus_message_handler_t answer, const char *types, ...) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        va_list args;
        int r;

        move->slot = sd_bus_slot_unref(move->slot);
        r = sd_bus_message_new_method_call(move->bus, &message, to, move->path, INTERFACE, member);
        if (r >= 0 && *types) {
                va_start(args, types);
                r = sd_bus_message_appendv(message, types, args);
                va_end(args);
        }
        if (r >= 0)
                r = sd_bus_message_set_auto_start(message, to == move->name || (to == move->new && move->step == MOVE_FIND && move->options.may_start));
        return r < 0 ? r : sd_bus_call_async(move->bus, &move->slot, message, answer, move, usec);
}

/* The end */

static void end(struct move *move) {
        const struct move_listener *listener = move->listener;

        move->slot = sd_bus_slot_unref(move->slot);
        listener->end(move->r, &move->error, &move->result, move->userdata);
}

static int on_end(sd_event_source *source, uint64_t usec, void *userdata) {
        end(userdata);
        return 0;
}

static int on_undone(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;

        if (--move->n_undoing == 0)
                end(move);
        return 0;
}

static void undo(struct move *move, size_t i, const char *to, const char *member) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        r = sd_bus_message_new_method_call(move->bus, &message, to, move->path, INTERFACE, member);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(message, 0);
        if (r >= 0)
                r = sd_bus_call_async(move->bus, &move->undo[i], message, on_undone, move, UNDO_USEC);
        if (r >= 0)
                move->n_undoing++;
}

/* Never from within a call of this module: what began it is not done with the move yet. */
static void end_later(struct move *move) {
        int r;

        sd_event_source_disable_unref(move->timer);
        move->timer = NULL;
        r = sd_event_add_time_relative(move->event, &move->timer, CLOCK_MONOTONIC, 0, 0, on_end, move);
        if (r < 0)
                log_event(LOG_ERR, NULL, "The end of a move cannot be told: %s", strerrordesc_np(-r));
}

/*
 * All is as it was once the old one serves again and the new one is gone. From Retired on the old one sees to the new one by itself, as it is the one
 * that knows whether that may serve.
 */
static void start_undo(struct move *move) {
        move->is_undoing = true;
        move->slot = sd_bus_slot_unref(move->slot);
        if (move->step <= MOVE_RETIRE)
                undo(move, 0, move->new, "Abandon");
        if (move->step >= MOVE_QUIESCE)
                undo(move, 1, move->old, "Resume");
        if (move->n_undoing == 0)
                end_later(move);
}

static void fail_with(struct move *move, int r) {
        if (move->is_undoing)
                return;
        move->r = r;
        log_event(LOG_WARNING, LOG_FIELDS({ "XCP_NAME", move->name }), "Moving %s failed at the step %s: %s", move->name, step_names[move->step],
                  move->error.message ?: strerrordesc_np(-r));
        start_undo(move);
}

/* One of ours is the move's own error, as one of the two has said it. */
static bool take_error(struct move *move, const sd_bus_error *said) {
        for (size_t i = 0; said && said->message && i < IDL_ERRORS_N; i++)
                if (sd_bus_error_has_name(said, idl_error_names[i])) {
                        move->error.message = strdup(said->message);
                        move->error.name = move->error.message ? idl_error_names[i] : NULL;
                        move->error.number = EIO;
                        return move->error.name;
                }
        return false;
}

static void fail(struct move *move, int r, const sd_bus_error *said) {
        char what[128];

        if (move->is_undoing)
                return;
        if (!take_error(move, said)) {
                snprintf(what, sizeof what, "move %s (step %s)", move->name, step_names[move->step]);
                r = idl_error_set_backend_failed(&move->error, "the hand-over", what, said ? said->message ?: said->name : strerrordesc_np(-r));
        }
        fail_with(move, r);
}

/* An answer that is an error ends the move; and so does, before it is too late, the wish of somebody. */
static bool go_on(struct move *move, sd_bus_message *reply) {
        const sd_bus_error *said = sd_bus_message_get_error(reply);

        if (move->is_undoing)
                return false;
        if (said)
                fail(move, -EIO, said);
        return !said;
}

/* Begins a step: false if the move has ended over it. */
static bool begin(struct move *move, enum move_step step) {
        move->step = step;
        if (move->listener->step)
                move->listener->step(step, move->userdata);
        return !move->is_undoing;
}

static void check(struct move *move, int r) {
        if (r < 0)
                fail(move, r, NULL);
}

/* Relaying */

static int on_state(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error);
static int on_open_instead(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error);

/*
 * The old one has died after it had retired: the new one has all of the state, and nobody lets it in but us. Only if it is certain that it is dead,
 * and not just out of reach.
 */
static void open_instead(struct move *move) {
        check(move, call(move, move->new, "Open", STEP_USEC, on_open_instead, "s", move->token));
}

static int on_open_instead(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;
        const sd_bus_error *said = sd_bus_message_get_error(reply);

        if (said && !sd_bus_error_has_name(said, "org.xen.xcp.Error.BadState")) {
                fail(move, -EIO, said);
                return 0;
        }
        /* BadState: it was let in already, and has noticed by itself that there is no more to come. */
        if (!said)
                check(move, call(move, move->new, "Drained", STEP_USEC, on_state, ""));
        else
                end_later(move);
        return 0;
}

static int on_state(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;

        if (go_on(move, reply))
                end(move);
        return 0;
}

static bool is_gone(const sd_bus_error *said) {
        return sd_bus_error_has_name(said, SD_BUS_ERROR_SERVICE_UNKNOWN) || sd_bus_error_has_name(said, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
               sd_bus_error_has_name(said, SD_BUS_ERROR_NO_REPLY);
}

static int on_relay(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;
        const sd_bus_error *said = sd_bus_message_get_error(reply);
        int r;

        if (said && move->options.old_is_here && is_gone(said)) {
                log_event(LOG_WARNING, NULL, "The old %s has died after it had retired; the new one goes on", move->name);
                open_instead(move);
                return 0;
        }
        if (!go_on(move, reply))
                return 0;
        r = sd_bus_message_read(reply, "tu", &move->result.pause_usec, &move->result.waiting_calls);
        if (r < 0)
                check(move, r);
        else
                end(move);
        return 0;
}

static int on_activate(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;

        if (go_on(move, reply) && begin(move, MOVE_RELAY))
                check(move, call(move, move->old, "Relay", STEP_USEC + MARGIN_USEC, on_relay, ""));
        return 0;
}

static int on_retire(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;

        if (go_on(move, reply) && begin(move, MOVE_ACTIVATE))
                check(move, call(move, move->new, "Activate", STEP_USEC, on_activate, "ts", move->result.epoch, move->token));
        return 0;
}

static int on_load(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;

        if (go_on(move, reply) && begin(move, MOVE_RETIRE))
                check(move, call(move, move->old, "Retire", STEP_USEC, on_retire, "tss", move->result.epoch, move->new, move->token));
        return 0;
}

/* The state, part by part */

static int on_exported(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error);
static int on_check(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error);

static int on_imported(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;

        if (!go_on(move, reply))
                return 0;
        if (move->offset < move->size)
                check(move, call(move, move->old, "Export", STEP_USEC, on_exported, "t", move->offset));
        else if (move->step == MOVE_REHEARSE)
                check(move, call(move, move->new, "Check", CHECK_USEC, on_check, ""));
        else if (begin(move, MOVE_LOAD))
                check(move, call(move, move->new, "Load", STEP_USEC, on_load, ""));
        return 0;
}

static int pass_part(struct move *move, sd_bus_message *reply) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        const void *part;
        size_t n;
        int r;

        r = sd_bus_message_read_array(reply, 'y', &part, &n);
        if (r >= 0)
                r = sd_bus_message_read(reply, "t", &move->size);
        if (r >= 0 && n == 0)
                r = -EBADMSG;
        if (r >= 0)
                r = sd_bus_message_new_method_call(move->bus, &message, move->new, move->path, INTERFACE, "Import");
        if (r >= 0)
                r = sd_bus_message_append(message, "t", move->offset);
        if (r >= 0)
                r = sd_bus_message_append_array(message, 'y', part, n);
        if (r >= 0)
                r = sd_bus_message_append(message, "t", move->size);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(message, 0);
        if (r < 0)
                return r;
        move->offset += n;
        move->slot = sd_bus_slot_unref(move->slot);
        return sd_bus_call_async(move->bus, &move->slot, message, on_imported, move, STEP_USEC);
}

static int on_exported(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;

        if (go_on(move, reply))
                check(move, pass_part(move, reply));
        return 0;
}

static void pass_state(struct move *move, enum move_step step) {
        if (!begin(move, step))
                return;
        move->offset = 0;
        check(move, call(move, move->old, "Export", STEP_USEC, on_exported, "t", move->offset));
}

/* Before anybody waits, and becoming quiet */

static int on_quiesce(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;

        if (go_on(move, reply))
                pass_state(move, MOVE_COPY);
        return 0;
}

static int on_check(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;
        uint32_t ms = move->options.quiesce_ms ?: QUIESCE_MS;

        if (go_on(move, reply) && begin(move, MOVE_QUIESCE))
                check(move, call(move, move->old, "Quiesce", ms * UINT64_C(1000) + MARGIN_USEC, on_quiesce, "u", ms));
        return 0;
}

static int ask_old(struct move *move);

static int on_poll(sd_event_source *source, uint64_t usec, void *userdata) {
        struct move *move = userdata;

        if (!move->is_undoing)
                check(move, ask_old(move));
        return 0;
}

/* The name of its second connection may need a moment to come over a bridge. */
static int on_old_found(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;
        const sd_bus_error *said = sd_bus_message_get_error(reply);

        if (!move->is_undoing && said && is_gone(said) && move->n_polls++ < POLLS_MAX) {
                sd_event_source_disable_unref(move->timer);
                move->timer = NULL;
                check(move, sd_event_add_time_relative(move->event, &move->timer, CLOCK_MONOTONIC, POLL_USEC, 0, on_poll, move));
                return 0;
        }
        if (!go_on(move, reply))
                return 0;
        move->result.epoch = (move->old_epoch > move->new_epoch ? move->old_epoch : move->new_epoch) + 1;
        pass_state(move, MOVE_REHEARSE);
        return 0;
}

static int ask_old(struct move *move) {
        return call(move, move->old, "Prepare", STEP_USEC, on_old_found, "");
}

static int on_new_prepared(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;
        const char *name;
        int r;

        if (!go_on(move, reply))
                return 0;
        r = sd_bus_message_read(reply, "st", &name, &move->new_epoch);
        if (r >= 0)
                r = strcmp(name, move->new) == 0 ? ask_old(move) : -EBADMSG;
        check(move, r);
        return 0;
}

static int on_old_prepared(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct move *move = userdata;
        const char *name;
        int r;

        if (!go_on(move, reply))
                return 0;
        r = sd_bus_message_read(reply, "st", &name, &move->old_epoch);
        if (r >= 0)
                r = strcmp(name, move->old) == 0 ? call(move, move->new, "Prepare", START_USEC, on_new_prepared, "") : -EBADMSG;
        check(move, r);
        return 0;
}

/* All of it */

static int make_names(struct move *move, const char *name) {
        sd_id128_t token;
        int r;

        move->name = strdup(name);
        if (asprintf(&move->path, "/%s", name) < 0)
                move->path = NULL;
        if (asprintf(&move->old, "%s" HANDOVER_OLD_SUFFIX, name) < 0)
                move->old = NULL;
        if (asprintf(&move->new, "%s" HANDOVER_STANDBY_SUFFIX, name) < 0)
                move->new = NULL;
        if (!move->name || !move->path || !move->old || !move->new)
                return -ENOMEM;
        for (char *p = move->path; *p; p++)
                if (*p == '.')
                        *p = '/';
        r = sd_id128_randomize(&token);
        if (r < 0)
                return r;
        sd_id128_to_string(token, move->token);
        return 0;
}

int move_start(struct move **ret_move, sd_bus *bus, sd_event *event, const struct move_options *options,
               const struct move_listener *listener, void *userdata) {
        struct move *move;
        int r;

        move = calloc(1, sizeof *move);
        if (!move)
                return -ENOMEM;
        *move = (struct move) {
                .bus = sd_bus_ref(bus),
                .event = sd_event_ref(event),
                .options = *options,
                .listener = listener,
                .userdata = userdata,
        };
        r = make_names(move, options->name);
        if (r >= 0)
                r = call(move, move->name, "Prepare", START_USEC, on_old_prepared, "");
        if (r < 0) {
                move_free(move);
                return r;
        }
        *ret_move = move;
        return 0;
}

int move_cancel(struct move *move) {
        if (move->is_undoing || move->is_cancelled)
                return 0;
        if (move->step > MOVE_LOAD)
                return -EBUSY;
        move->is_cancelled = true;
        idl_error_set_cancelled(&move->error, "MoveService");
        fail_with(move, -ECANCELED);
        return 0;
}

struct move *move_free(struct move *move) {
        if (!move)
                return NULL;
        sd_bus_slot_unref(move->slot);
        for (size_t i = 0; i < sizeof move->undo / sizeof move->undo[0]; i++)
                sd_bus_slot_unref(move->undo[i]);
        sd_event_source_disable_unref(move->timer);
        idl_error_done(&move->error);
        sd_bus_unref(move->bus);
        sd_event_unref(move->event);
        free(move->name);
        free(move->path);
        free(move->old);
        free(move->new);
        free(move);
        return NULL;
}
