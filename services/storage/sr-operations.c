/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is done to storage repositories. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "database-error.h"
#include "idl-errors.h"
#include "kinds.h"
#include "log.h"
#include "operation.h"
#include "operations.h"
#include "server.h"
#include "spec.h"
#include "store.h"
#include "storage1-sr.h"

static int start(struct sr *sr, const struct operation_kind *kind, bool exclusive, struct idl_error *error,
                 struct operation **ret_operation) {
        int r;

        r = operation_new(ret_operation, sr->storage, kind, sr, NULL, error);
        if (r >= 0)
                operation_claim(*ret_operation, &sr->resource, exclusive);
        return r;
}

/* Others that are queued or going on: they would be waited for, for as long as they wait for their callers. */
static int check_alone(const struct sr *sr, struct idl_error *error) {
        size_t n = sr->n_operations - (sr->being_probed && sr->n_operations > 0);        /* the service's own look is soon over */
        char holder[64];

        if (n == 0)
                return 0;
        snprintf(holder, sizeof holder, "%zu operation%s", n, n == 1 ? "" : "s");
        return idl_error_set_busy(error, "SR", sr->name, holder);
}

static int check_no_readers(const struct sr *sr, struct idl_error *error) {
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

static int plan_scan(struct operation *operation, const char *expected) {
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
                r = plan_scan(operation, sr->id);
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

static int take_over(struct operation *operation, struct idl_error *error) {
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
        return r < 0 ? r : take_over(operation, error);
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
        r = start(sr, &operation_sr_attach, true, error, &operation);
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
        r = check_no_readers(sr, error);
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

        r = check_alone(sr, error);
        if (r >= 0)
                r = check_no_readers(sr, error);
        if (r >= 0)
                r = start(sr, &operation_sr_detach, true, error, &operation);
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
        r = check_alone(sr, error);
        if (r >= 0)
                r = start(sr, &operation_sr_forget, true, error, &operation);
        return r < 0 ? r : operation_start(operation, call, ret_path, error, "Forget %s", sr->name);
}

/* Scanning */

static int scan_begin(struct operation *operation, struct idl_error *error) {
        int r;

        r = sr_check_usable(operation->sr, false, error);
        return r < 0 ? r : plan_scan(operation, operation->sr->id);
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
                r = start(sr, &operation_sr_scan, false, error, &operation);
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
                r = start(sr, &operation_sr_get_space, false, error, &operation);
        if (r >= 0)
                operation_start_without_task(operation, call);
        return r;
}

/* Creating and introducing. The object is on the list from the beginning, so that its name is taken, and on the bus at the end. */

static int create_begin(struct operation *operation, struct idl_error *error) {
        struct sr *sr = operation->sr;
        AUTO_ROLLBACK struct database *transaction = NULL;
        struct database *db = operation->storage->db;
        int r;

        r = database_begin(db, &transaction);
        if (r >= 0)
                r = store_add_sr(sr, "make");
        if (r >= 0)
                r = database_commit(&transaction);
        if (r == -EEXIST)
                return idl_error_set_already_exists(error, "SR", sr->name);
        if (r < 0)
                return database_set_error(db, r, error);
        sr->being_made = true;
        sr->driver->make_sr(&operation->plan, sr);
        return plan_scan(operation, sr->id);
}

static int introduce_begin(struct operation *operation, struct idl_error *error) {
        return plan_scan(operation, *operation->sr->id ? operation->sr->id : "-");
}

static int created_result(struct operation *operation, sd_bus_message **ret_result) {
        const struct xcp_sr_created created = { .sr = operation->sr->path };
        int r;

        r = operation_result_new(operation, ret_result);
        return r < 0 ? r : xcp_sr_created_append(*ret_result, &created);
}

static int create_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        struct database *db = operation->storage->db;
        struct sr *sr = operation->sr;
        int r;

        r = database_begin(db, &transaction);
        if (r >= 0)
                r = store_set_sr_pending(sr, "");
        if (r >= 0)
                r = store_set_sr_attached(sr, true);
        if (r >= 0)
                r = database_commit(&transaction);
        if (r < 0)
                return database_set_error(db, r, error);
        sr->being_made = false;
        r = take_over(operation, error);
        if (r >= 0)
                r = sr_show(sr);
        return r < 0 ? r : created_result(operation, ret_result);
}

static int introduce_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        struct database *db = operation->storage->db;
        struct sr *sr = operation->sr;
        const struct sr *other = sr_find(operation->storage, operation->scan->id);
        int r;

        if (other && other != sr)
                return idl_error_set_already_exists(error, "SR", other->id);
        snprintf(sr->id, sizeof sr->id, "%s", operation->scan->id);
        r = database_begin(db, &transaction);
        if (r >= 0)
                r = store_add_sr(sr, "");
        if (r >= 0)
                r = store_set_sr_attached(sr, true);
        if (r >= 0)
                r = database_commit(&transaction);
        if (r < 0)
                return database_set_error(db, r, error);
        sr->is_stored = true;
        r = take_over(operation, error);
        if (r >= 0)
                r = sr_show(sr);
        return r < 0 ? r : created_result(operation, ret_result);
}

static void create_undo(struct operation *operation) {
        if (operation->sr->being_made)
                operation->sr->driver->unmake_sr(&operation->plan, operation->sr);
}

/* What could not be removed is tried again at the next start. */
static int create_undone(struct operation *operation, bool recovered, sd_bus_message **ret_result, struct idl_error *error) {
        struct sr *sr = operation->sr;
        int r = 0;

        if (sr->is_stored || (sr->being_made && (recovered || operation->said_unreachable)))
                r = store_remove_sr(sr);
        return r;
}

/* However it ended: one that has no object is none. */
static void create_done(struct operation *operation) {
        if (!operation->sr->path)
                sr_remove(operation->sr);
}

const struct operation_kind operation_sr_create = {
        .name = "CreateSR",
        .begin = create_begin,
        .finish = create_finish,
        .undo = create_undo,
        .undone = create_undone,
        .done = create_done,
};

const struct operation_kind operation_sr_introduce = {
        .name = "IntroduceSR",
        .begin = introduce_begin,
        .finish = introduce_finish,
        .undo = create_undo,
        .undone = create_undone,
        .done = create_done,
};

static int check_config(const struct driver *driver, const struct xcp_sr_spec *spec, struct idl_error *error) {
        const char *read_only = driver_option(spec->config, spec->n_config, "read-only");

        for (size_t i = 0; i < spec->n_config; i++) {
                if (!driver_option(driver->options, driver->n_options, spec->config[i].key))
                        return idl_error_set_invalid_argument(error, "spec.config", spec->config[i].key, "is no option of this driver");
                for (size_t j = 0; j < i; j++)
                        if (strcmp(spec->config[i].key, spec->config[j].key) == 0)
                                return idl_error_set_invalid_argument(error, "spec.config", spec->config[i].key, "comes twice");
        }
        if (read_only && strcmp(read_only, "yes") != 0 && strcmp(read_only, "no") != 0)
                return idl_error_set_invalid_argument(error, "spec.config.read-only", read_only, "has to be yes or no");
        return driver->check_config(spec->config, spec->n_config, error);
}

static int check_spec(struct storage *storage, const struct xcp_sr_spec *spec, bool introduce, char *ret_id, struct idl_error *error) {
        struct uuid uuid = {};
        int r;

        r = spec_check_sr_name("spec.name", spec->name, error);
        if (r >= 0)
                r = spec_check_description("spec.description", spec->description, error);
        if (r >= 0 && spec->uuid)
                r = spec_check_uuid("spec.uuid", spec->uuid, &uuid, error);
        if (r >= 0 && !spec->uuid && !introduce)
                r = uuid_generate(&uuid);
        if (r < 0)
                return r;
        uuid_format(&uuid, ret_id);
        if (uuid_is_null(&uuid))
                *ret_id = '\0';
        if (sr_find_by_name(storage, spec->name))
                return idl_error_set_already_exists(error, "SR", spec->name);
        if (*ret_id && sr_find(storage, ret_id))
                return idl_error_set_already_exists(error, "SR", ret_id);
        if (storage->n_srs >= SRS_MAX)
                return idl_error_set_limit_exceeded(error, "storage repositories", storage->n_srs + 1, SRS_MAX);
        return 0;
}

int sr_create(struct storage *storage, struct idl_call *call, const struct xcp_sr_spec *spec, bool introduce, const char **ret_path,
              struct idl_error *error) {
        const struct driver *driver = driver_find(spec->driver);
        AUTO(sr_unrefp) struct sr *sr = NULL;
        struct operation *operation;
        char id[UUID_TEXT_SIZE];
        int r;

        if (!driver)
                return spec_set_missing(error, "driver", spec->driver);
        r = check_spec(storage, spec, introduce, id, error);
        if (r >= 0)
                r = check_config(driver, spec, error);
        if (r >= 0)
                r = sr_new(&sr, storage, id, spec->name, driver);
        if (r >= 0)
                r = sr_set_config(sr, spec->config, spec->n_config);
        if (r < 0)
                return r;
        free(sr->description);
        sr->description = strdup(spec->description);
        if (!sr->description)
                return -ENOMEM;
        r = start(sr, introduce ? &operation_sr_introduce : &operation_sr_create, true, error, &operation);
        if (r < 0)
                return r;
        r = sr_add(sr);
        if (r >= 0)
                r = operation_start(operation, call, ret_path, error, "%s %s", introduce ? "Introduce" : "Create", sr->name);
        if (r < 0)
                sr_remove(sr);
        return r;
}

/* Destroying. Once begun it goes on at the next start, or when it is asked for again. */

static int destroy_begin(struct operation *operation, struct idl_error *error) {
        struct sr *sr = operation->sr;
        int r;

        if (sr->is_gone)
                return idl_error_set_does_not_exist(error, "SR", sr->id);
        if (!sr->being_destroyed && !sr->being_made) {
                r = sr_check_usable(sr, true, error);
                if (r >= 0)
                        r = check_no_readers(sr, error);
                if (r < 0)
                        return r;
                r = store_set_sr_pending(sr, "destroy");
                if (r < 0)
                        return database_set_error(operation->storage->db, r, error);
                sr->being_destroyed = true;
        }
        sr->driver->unmake_sr(&operation->plan, sr);
        return 0;
}

static int destroy_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        int r;

        r = store_remove_sr(operation->sr);
        if (r < 0)
                return database_set_error(operation->storage->db, r, error);
        sr_remove(operation->sr);
        return 0;
}

/* Cancelled in time, it is as before. Otherwise nobody knows what is left. */
static int destroy_undone(struct operation *operation, bool recovered, sd_bus_message **ret_result, struct idl_error *error) {
        struct sr *sr = operation->sr;
        int r = 0;

        if (sr->being_destroyed && operation->cancelled) {
                r = store_set_sr_pending(sr, "");
                sr->being_destroyed = false;
        } else if (sr->being_destroyed)
                sr_set_state(sr, XCP_SR_STATE_UNREACHABLE, "it is half destroyed: call Destroy() again");
        return r;
}

const struct operation_kind operation_sr_destroy = {
        .name = "SR.Destroy",
        .begin = destroy_begin,
        .finish = destroy_finish,
        .undone = destroy_undone,
};

int sr_destroy(struct sr *sr, struct idl_call *call, const char **ret_path, struct idl_error *error) {
        struct operation *operation;
        int r;

        r = check_alone(sr, error);
        if (r >= 0 && !sr->being_destroyed)
                r = sr_check_usable(sr, true, error);
        if (r >= 0)
                r = check_no_readers(sr, error);
        if (r >= 0)
                r = start(sr, &operation_sr_destroy, true, error, &operation);
        return r < 0 ? r : operation_start(operation, call, ret_path, error, "Destroy %s", sr->name);
}

/* Without a caller */

void sr_probe(struct sr *sr) {
        bool half = sr->being_made || sr->being_destroyed;
        struct operation *operation;

        if (sr->being_probed || (!half && sr->state == XCP_SR_STATE_DETACHED))
                return;
        if (start(sr, half ? &operation_sr_destroy : &operation_sr_attach, true, NULL, &operation) < 0)
                return;
        sr->being_probed = true;
        operation_start_without_task(operation, NULL);
}
