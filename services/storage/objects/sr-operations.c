/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is done to storage repositories that are there. */

#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "database-error.h"
#include "idl-errors.h"
#include "kinds.h"
#include "operation.h"
#include "operations.h"
#include "server.h"
#include "sr-operations.h"
#include "store.h"
#include "storage1-sr.h"

int sr_operation_start(struct sr *sr, const struct operation_kind *kind, bool exclusive, struct idl_error *error,
                       struct operation **ret_operation) {
        int r;

        r = operation_new(ret_operation, sr->storage, kind, sr, NULL, error);
        if (r >= 0)
                operation_claim(*ret_operation, &sr->resource, exclusive);
        return r;
}

int sr_check_alone(const struct sr *sr, struct idl_error *error) {
        size_t n = sr->n_operations - (sr->being_probed && sr->n_operations > 0);        /* the service's own look is soon over */
        char holder[64];

        if (n == 0)
                return 0;
        snprintf(holder, sizeof holder, "%zu operation%s", n, n == 1 ? "" : "s");
        return idl_error_set_busy(error, "SR", sr->name, holder);
}

int sr_check_no_readers(const struct sr *sr, struct idl_error *error) {
        if (sr->n_data_paths == 0)
                return 0;
        for (const struct vdi *vdi = sr->first; vdi; vdi = vdi->next)
                if (vdi->paths.n > 0)
                        return idl_error_set_busy(error, "SR", sr->name, vdi->paths.items[0].reader);
        return 0;
}

/* Attaching: what was left undone is recovered from, then everything is looked at */

static int plan_recovery(struct operation *operation) {
        struct sr *sr = operation->sr;
        int r;

        r = store_intents(sr, &operation->arena, &operation->intents);
        for (struct intent *intent = operation->intents; r >= 0 && intent; intent = intent->next)
                sr->driver->recover(&operation->plan, sr, intent);
        return r;
}

int sr_plan_scan(struct operation *operation, const char *expected) {
        int r;

        r = scan_new(&operation->scan, operation->sr);
        if (r >= 0)
                operation->sr->driver->scan(&operation->plan, operation->sr, expected);
        return r;
}

static int attach_begin(struct operation *operation, struct idl_error *error) {
        struct sr *sr = operation->sr;
        int r;

        if (sr->is_gone)
                return idl_error_set_does_not_exist(error, "SR", sr->id);
        if (operation->work && sr->state == XCP_SR_STATE_ATTACHED)
                return idl_error_set_bad_state(error, "SR", sr->name, "Detached, Unreachable", "Attached");
        r = plan_recovery(operation);
        if (r >= 0)
                r = sr_plan_scan(operation, sr->id);
        return r < 0 ? database_set_error(operation->storage->db, r, error) : 0;
}

/* What an intent comes down to in the database, now that the storage is put right. */
static int settle(struct operation *operation, const struct intent *intent) {
        struct uuid uuid;
        struct vdi *vdi;
        int r;

        vdi = uuid_parse(intent->id, &uuid) >= 0 ? vdi_find(operation->storage, &uuid) : NULL;
        if (vdi && vdi->sr == operation->sr && intent->kind == INTENT_REMOVE) {
                r = store_remove_vdi(vdi);
                if (r < 0)
                        return r;
                vdi_remove(vdi);
        }
        if (vdi && intent->kind == INTENT_RESIZE && intent->found_size == intent->size && vdi->size != intent->size) {
                vdi_set_size(vdi, intent->size);
                r = store_set_vdi(vdi);
                if (r < 0)
                        return r;
        }
        return store_remove_intent(operation->storage, intent);
}

static int settle_all(struct operation *operation, struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        struct database *db = operation->storage->db;
        int r;

        r = database_begin(db, &transaction);
        for (const struct intent *intent = operation->intents; r >= 0 && intent; intent = intent->next)
                r = settle(operation, intent);
        if (r >= 0)
                r = store_set_sr_attached(operation->sr, true);
        if (r >= 0)
                r = database_commit(&transaction);
        return r < 0 ? database_set_error(db, r, error) : 0;
}

int sr_take_over(struct operation *operation, struct idl_error *error) {
        struct sr *sr = operation->sr;
        int r;

        operation->scan->is_attach = true;
        r = sr->driver->attach ? sr->driver->attach(sr, operation->scan) : 0;
        if (r < 0)
                return idl_error_set_corrupt(error, "SR", sr->name, "its table is not what it should be");
        r = scan_apply(operation->scan, error);
        if (r < 0)
                return r;
        sr->being_probed = false;
        sr_set_state(sr, XCP_SR_STATE_ATTACHED, "");
        for (struct vdi *vdi = sr->first; vdi; vdi = vdi->next)
                if (vdi->paths.n > 0)
                        servers_settle(vdi);
        return 0;
}

static int attach_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        int r;

        r = settle_all(operation, error);
        return r < 0 ? r : sr_take_over(operation, error);
}

/* Not there: whoever asked is told, and otherwise it is tried again. Nothing was done that would have to be undone. */
static void attach_undo(struct operation *operation) {
        struct sr *sr = operation->sr;

        sr->being_probed = false;
        if (!operation->cancelled && !sr->is_gone && sr->path && (!operation->work || sr->state == XCP_SR_STATE_UNREACHABLE))
                sr_set_state(sr, XCP_SR_STATE_UNREACHABLE, operation->error.message ?: "it cannot be attached");
}

static int keep_intents(struct operation *operation, bool recovered, sd_bus_message **ret_result, struct idl_error *error) {
        return 0;
}

const struct operation_kind operation_sr_attach = {
        .name = "SR.Attach",
        .begin = attach_begin,
        .finish = attach_finish,
        .undo = attach_undo,
        .undone = keep_intents,
};

int sr_attach(struct sr *sr, struct idl_call *call, const char **ret_path, struct idl_error *error) {
        struct operation *operation;
        int r;

        if (sr->state == XCP_SR_STATE_ATTACHED)
                return idl_error_set_bad_state(error, "SR", sr->name, "Detached, Unreachable", "Attached");
        r = sr_operation_start(sr, &operation_sr_attach, true, error, &operation);
        return r < 0 ? r : operation_start(operation, call, ret_path, error, "Attach %s", sr->name);
}

/* Detaching and forgetting */

static int detach_begin(struct operation *operation, struct idl_error *error) {
        struct sr *sr = operation->sr;
        int r;

        if (sr->is_gone)
                return idl_error_set_does_not_exist(error, "SR", sr->id);
        if (sr->state == XCP_SR_STATE_DETACHED)
                return idl_error_set_bad_state(error, "SR", sr->name, "Attached, Unreachable", "Detached");
        r = sr_check_no_readers(sr, error);
        if (r < 0)
                return r;
        r = store_set_sr_attached(sr, false);
        if (r < 0)
                return database_set_error(operation->storage->db, r, error);
        if (sr->driver->detach)
                sr->driver->detach(sr);
        sr_set_state(sr, XCP_SR_STATE_DETACHED, "");
        return 0;
}

const struct operation_kind operation_sr_detach = { .name = "SR.Detach", .without_steps = true, .begin = detach_begin };

int sr_detach(struct sr *sr, struct idl_call *call, const char **ret_path, struct idl_error *error) {
        struct operation *operation;
        int r;

        r = sr_check_alone(sr, error);
        if (r >= 0)
                r = sr_check_no_readers(sr, error);
        if (r >= 0)
                r = sr_operation_start(sr, &operation_sr_detach, true, error, &operation);
        return r < 0 ? r : operation_start(operation, call, ret_path, error, "Detach %s", sr->name);
}

static int forget_begin(struct operation *operation, struct idl_error *error) {
        struct sr *sr = operation->sr;
        int r;

        if (sr->is_gone)
                return idl_error_set_does_not_exist(error, "SR", sr->id);
        if (sr->state != XCP_SR_STATE_DETACHED)
                return idl_error_set_bad_state(error, "SR", sr->name, "Detached", xcp_sr_state_to_string(sr->state));
        r = store_remove_sr(sr);
        if (r < 0)
                return database_set_error(operation->storage->db, r, error);
        sr_remove(sr);
        return 0;
}

const struct operation_kind operation_sr_forget = { .name = "SR.Forget", .without_steps = true, .begin = forget_begin };

int sr_forget(struct sr *sr, struct idl_call *call, const char **ret_path, struct idl_error *error) {
        struct operation *operation;
        int r;

        if (sr->state != XCP_SR_STATE_DETACHED)
                return idl_error_set_bad_state(error, "SR", sr->name, "Detached", xcp_sr_state_to_string(sr->state));
        r = sr_check_alone(sr, error);
        if (r >= 0)
                r = sr_operation_start(sr, &operation_sr_forget, true, error, &operation);
        return r < 0 ? r : operation_start(operation, call, ret_path, error, "Forget %s", sr->name);
}

/* Scanning */

static int scan_begin(struct operation *operation, struct idl_error *error) {
        int r;

        r = sr_check_usable(operation->sr, false, error);
        return r < 0 ? r : sr_plan_scan(operation, operation->sr->id);
}

static int scan_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        struct scan *scan = operation->scan;
        struct xcp_scan_result result;
        int r;

        r = scan_apply(scan, error);
        if (r < 0)
                return r;
        result = (struct xcp_scan_result) {
                .added = scan->added,
                .n_added = scan->n_added,
                .changed = scan->changed,
                .n_changed = scan->n_changed,
                .missing = scan->missing,
                .n_missing = scan->n_missing,
        };
        r = operation_result_new(operation, ret_result);
        return r < 0 ? r : xcp_scan_result_append(*ret_result, &result);
}

const struct operation_kind operation_sr_scan = { .name = "SR.Scan", .begin = scan_begin, .finish = scan_finish };

int sr_scan(struct sr *sr, struct idl_call *call, const char **ret_path, struct idl_error *error) {
        struct operation *operation;
        int r;

        r = sr_check_usable(sr, false, error);
        if (r >= 0)
                r = sr_operation_start(sr, &operation_sr_scan, false, error, &operation);
        return r < 0 ? r : operation_start(operation, call, ret_path, error, "Scan %s", sr->name);
}

/* Space */

static int space_begin(struct operation *operation, struct idl_error *error) {
        int r;

        r = sr_check_usable(operation->sr, false, error);
        if (r >= 0)
                operation->sr->driver->space(&operation->plan, operation->sr);
        return r;
}

static int space_reply(struct operation *operation) {
        const struct xcp_sr_space space = {
                .total = operation->total,
                .free = operation->free,
                .used = operation->used,
                .promised = operation->sr->promised,
        };

        return storage1_sr_reply_get_space(operation->call, &space);
}

const struct operation_kind operation_sr_get_space = { .name = "SR.GetSpace", .begin = space_begin, .reply = space_reply };

int sr_get_space(struct sr *sr, struct idl_call *call, struct idl_error *error) {
        struct operation *operation;
        int r;

        r = sr_check_usable(sr, false, error);
        if (r >= 0)
                r = sr_operation_start(sr, &operation_sr_get_space, false, error, &operation);
        if (r >= 0)
                operation_start_without_task(operation, call);
        return r;
}

/* Without a caller */

void sr_probe(struct sr *sr) {
        bool half = sr->being_made || sr->being_destroyed;
        struct operation *operation;

        if (sr->being_probed || (!half && sr->state == XCP_SR_STATE_DETACHED))
                return;
        if (sr_operation_start(sr, half ? &operation_sr_destroy : &operation_sr_attach, true, NULL, &operation) < 0)
                return;
        sr->being_probed = true;
        operation_start_without_task(operation, NULL);
}
