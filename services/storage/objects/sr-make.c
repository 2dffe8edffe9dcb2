/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Storage repositories that come and go: created, introduced, destroyed. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "database-error.h"
#include "idl-errors.h"
#include "kinds.h"
#include "operation.h"
#include "operations.h"
#include "spec.h"
#include "sr-operations.h"
#include "store.h"

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
        return sr_plan_scan(operation, sr->id);
}

static int introduce_begin(struct operation *operation, struct idl_error *error) {
        return sr_plan_scan(operation, *operation->sr->id ? operation->sr->id : "-");
}

static int created_result(struct operation *operation, sd_bus_message **ret_result) {
        const struct xcp_sr_created created = { .sr = operation->sr->path };
        int r;

        r = operation_result_new(operation, ret_result);
        return r < 0 ? r : xcp_sr_created_append(*ret_result, &created);
}

/* As store writes it down, it is there from now on, and attached. */
static int keep(const struct operation *operation, int (*store)(const struct sr *sr, const char *pending), struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        struct database *db = operation->storage->db;
        int r;

        r = database_begin(db, &transaction);
        if (r >= 0)
                r = store(operation->sr, "");
        if (r >= 0)
                r = store_set_sr_attached(operation->sr, true);
        if (r >= 0)
                r = database_commit(&transaction);
        return r < 0 ? database_set_error(db, r, error) : 0;
}

static int show(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        int r;

        r = sr_take_over(operation, error);
        if (r >= 0)
                r = sr_show(operation->sr);
        return r < 0 ? r : created_result(operation, ret_result);
}

static int create_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        int r;

        r = keep(operation, store_set_sr_pending, error);
        if (r < 0)
                return r;
        operation->sr->being_made = false;
        return show(operation, ret_result, error);
}

static int introduce_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        struct sr *sr = operation->sr;
        const struct sr *other = sr_find(operation->storage, operation->scan->id);
        int r;

        if (other && other != sr)
                return idl_error_set_already_exists(error, "SR", other->id);
        snprintf(sr->id, sizeof sr->id, "%s", operation->scan->id);
        r = keep(operation, store_add_sr, error);
        if (r < 0)
                return r;
        sr->is_stored = true;
        return show(operation, ret_result, error);
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
        r = sr_operation_start(sr, introduce ? &operation_sr_introduce : &operation_sr_create, true, error, &operation);
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
                        r = sr_check_no_readers(sr, error);
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

        r = sr_check_alone(sr, error);
        if (r >= 0 && !sr->being_destroyed)
                r = sr_check_usable(sr, true, error);
        if (r >= 0)
                r = sr_check_no_readers(sr, error);
        if (r >= 0)
                r = sr_operation_start(sr, &operation_sr_destroy, true, error, &operation);
        return r < 0 ? r : operation_start(operation, call, ret_path, error, "Destroy %s", sr->name);
}
