/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "task-object.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"
#include "task1.h"

static_assert(XCP_TASK_STATE_WAITING + TASK_CANCELLED == XCP_TASK_STATE_CANCELLED, "task.h and types.xml have the same states");

static enum xcp_task_state state_of(const struct task *task) {
        return XCP_TASK_STATE_WAITING + task->state;
}

/* Methods */

static int on_cancel(void *object, struct idl_call *call, struct idl_error *error) {
        int r;

        r = work_cancel(object, error);
        return r < 0 ? r : task1_reply_cancel(call);
}

static int on_destroy(void *object, struct idl_call *call, struct idl_error *error) {
        int r;

        r = work_destroy(object, error);
        return r < 0 ? r : task1_reply_destroy(call);
}

/* Properties */

static int get_operation(void *object, struct idl_arena *arena, const char **ret_operation) {
        *ret_operation = work_task(object)->operation;
        return 0;
}

static int get_object(void *object, struct idl_arena *arena, const char **ret_object) {
        *ret_object = work_task(object)->object;
        return 0;
}

static int get_description(void *object, struct idl_arena *arena, const char **ret_description) {
        *ret_description = work_task(object)->description;
        return 0;
}

static int get_owner(void *object, struct idl_arena *arena, const char **ret_owner) {
        *ret_owner = work_task(object)->caller;
        return 0;
}

static int get_created_us(void *object, struct idl_arena *arena, uint64_t *ret_created_us) {
        *ret_created_us = work_task(object)->begun_usec;
        return 0;
}

static int get_state(void *object, struct idl_arena *arena, enum xcp_task_state *ret_state) {
        *ret_state = state_of(work_task(object));
        return 0;
}

static int get_progress(void *object, struct idl_arena *arena, double *ret_progress) {
        *ret_progress = work_task(object)->progress;
        return 0;
}

static int get_finished_us(void *object, struct idl_arena *arena, uint64_t *ret_finished_us) {
        *ret_finished_us = work_task(object)->ended_usec;
        return 0;
}

static int result_of(const struct task *task, struct idl_arena *arena, const struct xcp_dict_s_v_entry **ret_result, size_t *ret_n_result) {
        struct idl_reader reader;
        int r;

        if (!task->result) {
                *ret_result = NULL;
                *ret_n_result = 0;
                return 0;
        }
        r = sd_bus_message_rewind(task->result, true);
        if (r < 0)
                return r;
        idl_reader_init(&reader, task->result, arena);
        return xcp_dict_s_v_read(&reader, ret_result, ret_n_result);
}

static int get_result(void *object, struct idl_arena *arena, const struct xcp_dict_s_v_entry **ret_result, size_t *ret_n_result) {
        return result_of(work_task(object), arena, ret_result, ret_n_result);
}

static int error_of(const struct task *task, struct idl_arena *arena, struct xcp_task_error *ret_error) {
        struct xcp_dict_s_v_entry *details;

        details = idl_arena_alloc(arena, IDL_ERROR_DETAILS_MAX, sizeof *details);
        if (!details)
                return -ENOMEM;
        for (size_t i = 0; i < task->error.n_details; i++)
                details[i] = (struct xcp_dict_s_v_entry) { task->error.details[i].name, idl_error_detail_variant(&task->error.details[i]) };
        *ret_error = (struct xcp_task_error) {
                .name = task->error.name ?: "",
                .message = task->error.message ?: "",
                .details = details,
                .n_details = task->error.n_details,
        };
        return 0;
}

static int get_error(void *object, struct idl_arena *arena, struct xcp_task_error *ret_error) {
        return error_of(work_task(object), arena, ret_error);
}

static int get_cancellable(void *object, struct idl_arena *arena, bool *ret_cancellable) {
        *ret_cancellable = work_task(object)->cancellable;
        return 0;
}

static int get_cancel_within_ms(void *object, struct idl_arena *arena, uint32_t *ret_cancel_within_ms) {
        *ret_cancel_within_ms = (uint32_t) (work_cancel_bound_usec(object) / 1000);
        return 0;
}

static const struct task1_handlers handlers = {
        .cancel = on_cancel,
        .destroy = on_destroy,
        .get_operation = get_operation,
        .get_object = get_object,
        .get_description = get_description,
        .get_owner = get_owner,
        .get_created_us = get_created_us,
        .get_state = get_state,
        .get_progress = get_progress,
        .get_finished_us = get_finished_us,
        .get_result = get_result,
        .get_error = get_error,
        .get_cancellable = get_cancellable,
        .get_cancel_within_ms = get_cancel_within_ms,
};

int task_object_export(sd_bus *bus, sd_bus_slot **ret_slot, const char *prefix, struct objects *objects) {
        return task1_export_tree(bus, ret_slot, prefix, &handlers, objects_find, objects);
}

/* Signals */

static void told(int r, const char *path) {
        if (r < 0)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_OBJECT", path }), "Nobody was told about the task %s: %s", path,
                          strerrordesc_np(-r));
}

void task_object_changed(sd_bus *bus, const char *path, unsigned changed) {
        unsigned properties = 0;

        if (changed & TASK_CHANGED_STATE)
                properties |= TASK1_PROPERTY_STATE;
        if (changed & TASK_CHANGED_PROGRESS)
                properties |= TASK1_PROPERTY_PROGRESS;
        if (changed & TASK_CHANGED_CANCELLABLE)
                properties |= TASK1_PROPERTY_CANCELLABLE;
        told(task1_emit_changed(bus, path, properties), path);
}

void task_object_ended(sd_bus *bus, const char *path, const struct task *task) {
        AUTO(idl_arena_done) struct idl_arena arena = IDL_ARENA_NULL;
        const struct xcp_dict_s_v_entry *result;
        struct xcp_task_error error;
        size_t n_result;
        int r;

        told(task1_emit_changed(bus, path,
                                TASK1_PROPERTY_STATE | TASK1_PROPERTY_PROGRESS | TASK1_PROPERTY_FINISHED_US | TASK1_PROPERTY_RESULT |
                                        TASK1_PROPERTY_ERROR | TASK1_PROPERTY_CANCELLABLE),
             path);
        r = result_of(task, &arena, &result, &n_result);
        if (r >= 0)
                r = error_of(task, &arena, &error);
        if (r >= 0)
                r = task1_emit_finished(bus, path, state_of(task), result, n_result, &error);
        told(r, path);
}
