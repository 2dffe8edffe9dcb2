/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "operation-private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "database-error.h"
#include "failure.h"
#include "idl-errors.h"
#include "log.h"
#include "store.h"
#include "utf8.h"

#define DESCRIPTION_MAX 200u            /* bytes of what a person reads about a task */
#define STEP_DEADLINE_USEC UINT64_C(60000000)   /* of a look at a storage repository; many thousand disks take a second */
#define UNTRUSTED_MEMORY_MAX (UINT64_C(4) << 30)        /* address space; qemu-img takes some 100 MiB */
#define UNTRUSTED_CPU_MAX_SEC 3600u

static void run_step(struct operation *operation);
static void start_undo(struct operation *operation);

/* Making and ending one */

int operation_new(struct operation **ret_operation, struct storage *storage, const struct operation_kind *kind, struct sr *sr,
                  struct vdi *vdi, struct idl_error *error) {
        struct operation *operation;

        if (storage->n_operations >= OPERATIONS_MAX)
                return idl_error_set_limit_exceeded(error, "queued operations", storage->n_operations + 1, OPERATIONS_MAX);
        operation = calloc(1, sizeof *operation);
        if (!operation)
                return -ENOMEM;
        operation->storage = storage;
        operation->kind = kind;
        operation->wish.fd = -1;
        operation->sr = sr ? sr_ref(sr) : NULL;
        operation->vdi = vdi ? vdi_ref(vdi) : NULL;
        if (sr)
                sr->n_operations++;
        operation->plan.arena = &operation->arena;
        operation->plan.io_program = storage->io_program;
        operation->next = storage->operations;
        if (storage->operations)
                storage->operations->previous = operation;
        storage->operations = operation;
        storage->n_operations++;
        *ret_operation = operation;
        return 0;
}

static void leave_list(struct operation *operation) {
        if (operation->previous)
                operation->previous->next = operation->next;
        else
                operation->storage->operations = operation->next;
        if (operation->next)
                operation->next->previous = operation->previous;
        if (--operation->storage->n_operations == 0)
                storage_is_quiet(operation->storage);
}

/* A disk that was not made after all. What it took is only free again if nothing is left of it. */
static void release_new(struct operation *operation, struct vdi *vdi) {
        if (!vdi)
                return;
        if (vdi->sr->driver->give && !operation->is_stuck)
                vdi->sr->driver->give(vdi);
        vdi_unreserve(vdi);
        vdi_unref(vdi);
}

struct operation *operation_free(struct operation *operation) {
        if (!operation)
                return NULL;
        child_free(operation->child);
        if (operation->kind->done)
                operation->kind->done(operation);
        if (operation->state == OPERATION_READY)
                operation_leave_ready(operation);
        scan_free(operation->scan);
        release_new(operation, operation->new_vdi);
        release_new(operation, operation->stage);
        if (operation->wish.fd >= 0)
                close(operation->wish.fd);
        if (operation->sr)
                operation->sr->n_operations--;
        if (operation->other_sr)
                operation->other_sr->n_operations--;
        leave_list(operation);
        for (size_t i = operation->n_wanted; i-- > 0;)          /* those who waited for it go on, when nothing of it is left */
                claim_release(&operation->claims[i]);
        vdi_unref(operation->vdi);
        sr_unref(operation->sr);
        sr_unref(operation->other_sr);
        idl_call_unrefp(&operation->call);
        idl_error_done(&operation->error);
        idl_arena_done(&operation->arena);
        free(operation->description);
        free(operation);
        return NULL;
}

static void count(const struct operation *operation, bool good) {
        struct counter *counter = operation_counter(operation->storage, operation->kind);

        if (!counter)
                return;
        if (good)
                counter->n_done++;
        else
                counter->n_failed++;
}

static void end_failed(struct operation *operation) {
        struct work *work = operation->work;
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        bool cancelled = operation->cancelled;
        int r = operation->r;

        count(operation, false);
        idl_error_move(&error, &operation->error);
        if (r == -ENOSPC && !error.name)        /* what is free again was told by the steps that undid it */
                idl_error_set_not_enough_space(&error, failure_needed(operation), operation->free);
        idl_error_set_errno(&error, r, operation->kind->name);
        if (operation->call) {
                idl_call_fail(operation->call, &error);
        } else if (!work && !operation->cancelled)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_SR", operation->sr ? operation->sr->id : "" }), "%s: %s", operation->kind->name,
                          error.message ?: strerrordesc_np(-r));
        operation_free(operation);      /* before the task ends: who waits for that finds nothing of it */
        if (work && cancelled)
                work_fail_cancelled(work);
        else if (work)
                work_fail(work, r, &error);
}

static void end_good(struct operation *operation, sd_bus_message *result) {
        struct work *work = operation->work;

        count(operation, true);
        if (operation->call && operation->kind->reply)
                operation->kind->reply(operation);
        operation_free(operation);
        if (work)
                work_succeed(work, result);
}

int operation_result_new(struct operation *operation, sd_bus_message **ret_result) {
        return operation->work ? work_result_new(operation->work, ret_result)
                               : sd_bus_message_new(operation->storage->bus, ret_result, SD_BUS_MESSAGE_METHOD_CALL);
}

/* Failing: remembers why, and has undone what is to be undone. */
static void fail(struct operation *operation, int r, struct idl_error *error) {
        if (!operation->has_failed) {
                operation->has_failed = true;
                operation->r = r;
                if (error && error->name)
                        idl_error_move(&operation->error, error);
        }
        start_undo(operation);
}

/* Intents */

struct intent *operation_intend(struct operation *operation, enum intent_kind kind, const struct vdi *vdi, struct idl_error *error) {
        struct intent *intent = idl_arena_alloc(&operation->arena, 1, sizeof *intent);

        if (!intent)
                return NULL;
        *intent = (struct intent) { .kind = kind, .format = vdi->format ?: XCP_VDI_FORMAT_RAW, .found_size = UINT64_MAX };
        memcpy(intent->id, vdi->id, sizeof intent->id);
        intent->next = operation->intents;
        operation->intents = intent;
        return intent;
}

int operation_write_intents(struct operation *operation, struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        struct database *db = operation->storage->db;
        const struct sr *sr = operation->new_vdi ? operation->new_vdi->sr : operation->sr;
        int r;

        r = database_begin(db, &transaction);
        for (const struct intent *intent = operation->intents; r >= 0 && intent; intent = intent->next)
                r = store_add_intent(sr, intent);
        if (r >= 0)
                r = database_commit(&transaction);
        if (r < 0) {
                operation->intents = NULL;      /* there is nothing to recover from */
                return database_set_error(db, r, error);
        }
        return 0;
}

int operation_delete_intents(struct operation *operation) {
        int r = 0;

        for (const struct intent *intent = operation->intents; r >= 0 && intent; intent = intent->next)
                r = store_remove_intent(operation->storage, intent);
        return r;
}

/* Running */

static void finish(struct operation *operation) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        AUTO(sd_bus_message_unrefp) sd_bus_message *result = NULL;
        int r;

        r = operation->kind->finish ? operation->kind->finish(operation, &result, &error) : 0;
        if (r < 0)
                fail(operation, r, &error);
        else
                end_good(operation, result);
}

/* Nothing in there may be used before it is put right, which is tried when it is attached again. */
static void be_stuck(struct operation *operation) {
        struct sr *sr = operation->new_vdi ? operation->new_vdi->sr : operation->sr;
        char reason[768];

        snprintf(reason, sizeof reason, "%s could not be undone: %s", operation->description ?: operation->kind->name,
                 *operation->said ? operation->said : "a step failed");
        log_event(LOG_ERR, LOG_FIELDS({ "XCP_SR", sr->id }), "In the storage repository %s, %s", sr->name, reason);
        if (sr->state == XCP_SR_STATE_ATTACHED && sr->path)
                sr_set_state(sr, XCP_SR_STATE_UNREACHABLE, reason);
}

static void undone(struct operation *operation) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *result = NULL;
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        bool recovered = operation->plan.r >= 0 && operation->i_step >= operation->plan.n_steps;
        int r = 0;

        if (operation->kind->undone)
                r = operation->kind->undone(operation, recovered, &result, &error);
        else if (recovered)
                r = operation_delete_intents(operation);
        if (r > 0) {
                end_good(operation, result);
                return;
        }
        operation->is_stuck = !recovered || r < 0;
        if (operation->is_stuck)
                be_stuck(operation);
        end_failed(operation);
}

static void start_undo(struct operation *operation) {
        const struct sr *sr = operation->new_vdi ? operation->new_vdi->sr : operation->sr;

        if (operation->state == OPERATION_UNDOING) {
                undone(operation);
                return;
        }
        operation->state = OPERATION_UNDOING;
        operation->plan.n_steps = operation->i_step = 0;
        operation->plan.r = 0;
        if (operation->kind->undo)
                operation->kind->undo(operation);
        else if (sr && !sr->is_gone)
                for (struct intent *intent = operation->intents; intent; intent = intent->next)
                        sr->driver->recover(&operation->plan, sr, intent);
        run_step(operation);
}

static void step_failed(struct operation *operation, const struct child_end *end) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = failure_set(operation, operation_current_step(operation), end, &error);
        fail(operation, r, &error);
}

static void step_done(struct operation *operation) {
        const struct step *step = operation_current_step(operation);
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        int (*then)(struct operation *, struct idl_error *) = step->then;
        int r;

        operation_advance(operation, 1);
        operation->weight_done += step->weight;
        operation->i_step++;
        r = then && operation->state == OPERATION_RUNNING ? then(operation, &error) : 0;
        if (r < 0)
                fail(operation, r, &error);
        else
                run_step(operation);
}

static void on_end(const struct child_end *end, void *userdata) {
        struct operation *operation = userdata;
        struct child *child = operation->child;
        bool good = child_end_good(end), tolerated = operation_current_step(operation)->flags & STEP_TOLERATE;

        operation->child = NULL;
        if (operation->cancelled && operation->state == OPERATION_RUNNING)
                fail(operation, -ECANCELED, NULL);
        else if (good || (tolerated && !end->killed && !operation->said_unreachable))
                step_done(operation);
        else
                step_failed(operation, end);
        child_free(child);
}

static const struct child_listener listener = { operation_on_line, on_end };

static int start_child(struct operation *operation, const struct step *step) {
        const struct child_spec spec = {
                .argv = step->argv,
                .fds = step->fd >= 0 ? &step->fd : NULL,
                .n_fds = step->fd >= 0,
                .deadline_usec = step->flags & STEP_SHORT ? STEP_DEADLINE_USEC : 0,
                .memory_max = step->is_qemu && step->flags & STEP_UNTRUSTED ? UNTRUSTED_MEMORY_MAX : 0,
                .cpu_max_sec = step->flags & STEP_UNTRUSTED ? UNTRUSTED_CPU_MAX_SEC : 0,
        };

        operation->said_failed = operation->said_unreachable = false;
        *operation->said = '\0';
        return child_start(&operation->child, operation->storage->event, &spec, &listener, operation);
}

static void run_step(struct operation *operation) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        const struct step *step;
        int r;

        if (operation->plan.r < 0) {
                fail(operation, operation->plan.r, NULL);
                return;
        }
        if (operation->i_step >= operation->plan.n_steps) {
                if (operation->state == OPERATION_UNDOING)
                        undone(operation);
                else
                        finish(operation);
                return;
        }
        step = operation_current_step(operation);
        if ((step->flags & STEP_COMMIT) && operation->work && operation->state == OPERATION_RUNNING && work_commit(operation->work) < 0) {
                operation->cancelled = true;
                fail(operation, -ECANCELED, NULL);
                return;
        }
        r = start_child(operation, step);
        if (r < 0) {
                idl_error_set_backend_failed(&error, step->argv[0], step->what, strerrordesc_np(-r));
                fail(operation, r, &error);
        }
}

void operation_run(struct operation *operation) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        int r;

        operation->state = OPERATION_RUNNING;
        if (operation->work && work_run(operation->work) < 0) {
                operation->cancelled = true;
                end_failed(operation);
                return;
        }
        r = operation->kind->begin ? operation->kind->begin(operation, &error) : 0;
        if (r < 0)
                fail(operation, r, &error);
        else
                run_step(operation);
}

/* Tasks */

static void on_cancel(void *userdata) {
        struct operation *operation = userdata;

        operation->cancelled = true;
        if (operation->state == OPERATION_WAITING || operation->state == OPERATION_READY)
                end_failed(operation);
        else if (operation->child && operation->state == OPERATION_RUNNING)
                child_kill(operation->child);
}

static void on_interrupt(void *userdata) {
        struct operation *operation = userdata;

        operation->work = NULL;
        operation_free(operation);
}

int operation_start(struct operation *operation, struct idl_call *call, const char **ret_path, struct idl_error *error,
                    const char *description, ...) {
        struct work_kind kind = {
                .cancel = on_cancel,
                .cancel_bound_usec = OPERATION_CANCEL_BOUND_USEC,
                .interrupt = on_interrupt,
        };
        AUTO_FREE char *text = NULL;
        va_list args;
        int r;

        va_start(args, description);
        if (vasprintf(&text, description, args) < 0)
                text = NULL;
        va_end(args);
        operation->description = idl_utf8_copy(text, DESCRIPTION_MAX);
        if (!operation->description) {
                operation_free(operation);
                return -ENOMEM;
        }
        kind.description = operation->description;
        r = work_begin(service_tasks(operation->storage->service), call, &kind, operation, error, &operation->work);
        if (r < 0) {
                operation_free(operation);
                return r;
        }
        *ret_path = work_path(operation->work);
        operation_enqueue(operation);             /* it runs from the event loop: not before the caller has the path */
        return 0;
}

void operation_start_without_task(struct operation *operation, struct idl_call *call) {
        operation->call = call ? idl_call_ref(call) : NULL;
        operation_enqueue(operation);
}

/* All of them */

void operations_stop(struct storage *storage) {
        while (storage->operations)
                operation_free(storage->operations);
        storage->pump = sd_event_source_disable_unref(storage->pump);
}
