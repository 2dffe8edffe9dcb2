/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Data paths: the state machine of data-path.h, with what it needs of the database, the storage and the bus. */

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "database-error.h"
#include "hold.h"
#include "idl-errors.h"
#include "kinds.h"
#include "operations.h"
#include "server.h"
#include "spec.h"
#include "store.h"
#include "storage1-vdi.h"
#include "xen-block.h"

static struct data_path_disk disk_of(const struct vdi *vdi) {
        return (struct data_path_disk) {
                .uuid = vdi->id,
                .read_only = vdi->read_only || vdi->sr->read_only,
                .sharable = vdi->sharable,
                .kinds = vdi->sr->driver->data_paths,
        };
}

static int check_usable(const struct vdi *vdi, struct idl_error *error) {
        int r;

        if (vdi->is_gone || vdi->hidden)
                return idl_error_set_does_not_exist(error, "VDI", vdi->id);
        r = sr_check_usable(vdi->sr, false, error);
        if (r >= 0 && vdi->missing)
                return idl_error_set_bad_state(error, "VDI", vdi->id, "there", "missing");
        return r;
}

/* exclusive: when somebody is going to write, nothing else goes on. */
static int start(const struct operation_kind *kind, struct vdi *vdi, struct idl_call *call, const char *reader, bool exclusive,
                 struct idl_error *error, struct operation **ret_operation) {
        struct operation *operation;
        int r;

        r = spec_check_reader(reader, error);
        if (r >= 0)
                r = operation_new(&operation, vdi->sr->storage, kind, vdi->sr, vdi, error);
        if (r < 0)
                return r;
        operation->wish.reader = idl_arena_strdup(&operation->arena, reader);
        if (!operation->wish.reader) {
                operation_free(operation);
                return -ENOMEM;
        }
        operation_claim(operation, &vdi->sr->resource, false);
        operation_claim(operation, &vdi->resource, exclusive);
        *ret_operation = operation;
        return 0;
}

static void changed(struct vdi *vdi, size_t n_before) {
        vdi->sr->n_data_paths += vdi->paths.n - n_before;
        vdi_changed(vdi, STORAGE1_VDI_PROPERTY_DATA_PATHS);
}

static int keep(struct operation *operation, struct idl_error *error) {
        const struct data_path *path = data_paths_find(&operation->vdi->paths, operation->wish.reader);
        AUTO_FREE char *keeper = NULL;
        int r;

        r = server_left_keeper(operation->vdi, operation->wish.reader, &keeper);
        if (r >= 0)
                r = store_set_data_path(operation->vdi, path, keeper ?: "");
        return r < 0 ? database_set_error(operation->storage->db, r, error) : 0;
}

/* Attach */

/* What attach_finish() is going to refuse gets no device. */
static int attach_begin(struct operation *operation, struct idl_error *error) {
        const struct operation_wish *wish = &operation->wish;
        struct data_path path = { .reader = (char *) wish->reader, .mode = wish->mode };
        struct vdi *vdi = operation->vdi;
        struct data_path_disk disk = disk_of(vdi);
        int r;

        r = check_usable(vdi, error);
        if (r >= 0)
                r = data_paths_check_attach(&vdi->paths, &disk, wish->reader, wish->mode, wish->kinds, wish->n_kinds, &path.kind, error);
        if (r >= 0)
                r = server_left_check_attach(vdi, wish->reader, error);
        if (r >= 0)
                xen_block_attach(&operation->plan, vdi, &path);
        return r < 0 ? r : 0;
}

static int attach_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        const struct operation_wish *wish = &operation->wish;
        struct vdi *vdi = operation->vdi;
        struct data_path_disk disk = disk_of(vdi);
        struct xcp_data_path result = { .mode = wish->mode, .size = vdi->size, .block_size = 512 };
        size_t n = vdi->paths.n;
        int r, changes;

        r = check_usable(vdi, error);
        if (r >= 0)
                r = operation_result_new(operation, ret_result);
        if (r >= 0)
                r = vdi->sr->driver->data_path(vdi, &operation->arena, &result);
        if (r < 0)
                return r;
        r = server_left_attached(vdi, wish->reader);
        if (r < 0)
                return database_set_error(operation->storage->db, r, error);
        changes = data_paths_attach(&vdi->paths, &disk, wish->reader, wish->mode, wish->kinds, wish->n_kinds, error);
        r = changes == DATA_PATH_CHANGED ? keep(operation, error) : changes;
        if (r < 0) {
                if (changes == DATA_PATH_CHANGED)
                        data_paths_detach(&vdi->paths, wish->reader);
                return r;
        }
        result.kind = data_paths_find(&vdi->paths, wish->reader)->kind;
        if (server_is_kind(result.kind))
                r = server_describe(vdi, wish->reader, &operation->arena, &result);
        else if (result.kind == XCP_DATA_PATH_KIND_XEN_BLOCK)
                r = xen_block_describe(vdi, wish->reader, &operation->arena, &result);
        if (r < 0)
                return r;
        if (changes == DATA_PATH_CHANGED)
                changed(vdi, n);
        return xcp_data_path_append(*ret_result, &result);
}

static void stand_by(struct operation *operation) {
        servers_stand_by(operation->vdi, operation->wish.reader);
}

const struct operation_kind operation_vdi_attach = { .name = "VDI.Attach", .without_steps = true, .begin = attach_begin, .finish = attach_finish,
                                                     .done = stand_by };

int vdi_attach(struct vdi *vdi, struct idl_call *call, const char *reader, enum xcp_disk_mode mode, const enum xcp_data_path_kind *kinds,
               size_t n_kinds, const char **ret_path, struct idl_error *error) {
        struct operation *operation;
        int r;

        r = check_usable(vdi, error);
        if (r >= 0)
                r = start(&operation_vdi_attach, vdi, call, reader, false, error, &operation);
        if (r < 0)
                return r;
        operation->wish.mode = mode;
        operation->wish.kinds = idl_arena_memdup(&operation->arena, kinds, n_kinds, sizeof *kinds);
        operation->wish.n_kinds = n_kinds;
        if (n_kinds > 0 && !operation->wish.kinds) {
                r = -errno;
                operation_free(operation);
                return r;
        }
        return operation_start(operation, call, ret_path, error, "Attach %s to %s", vdi->name, reader);
}

/* However it went: who is Activated is served, and nobody else. */
static void settle(struct operation *operation) {
        hold_done(operation, operation->vdi);
        servers_settle(operation->vdi);
}

/* Activate */

/* What activate_finish() is going to refuse is not locked. */
static int activate_begin(struct operation *operation, struct idl_error *error) {
        struct vdi *vdi = operation->vdi;
        const struct data_path *path = data_paths_find(&vdi->paths, operation->wish.reader);
        struct data_path_disk disk = disk_of(vdi);
        int r;

        r = check_usable(vdi, error);
        if (r >= 0)
                r = data_paths_check_activate(&vdi->paths, &disk, operation->wish.reader, error);
        return r == DATA_PATH_CHANGED ? hold_plan(operation, vdi, path) : r;
}

static int activate_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        struct vdi *vdi = operation->vdi;
        const struct data_path *path = data_paths_find(&vdi->paths, operation->wish.reader);
        struct data_path_disk disk = disk_of(vdi);
        int r, changes;

        r = check_usable(vdi, error);
        if (r < 0)
                return r;
        if (path && path->mode == XCP_DISK_MODE_READ_WRITE && !operation->wish.is_exclusive)    /* it was read-only when it was asked for */
                return idl_error_set_busy(error, "VDI", vdi->id, operation->wish.reader);
        changes = data_paths_activate(&vdi->paths, &disk, operation->wish.reader, error);
        r = changes == DATA_PATH_CHANGED ? keep(operation, error) : changes;
        if (r < 0 && changes == DATA_PATH_CHANGED)
                data_paths_deactivate(&vdi->paths, operation->wish.reader, NULL);
        if (r >= 0 && changes == DATA_PATH_CHANGED)
                changed(vdi, vdi->paths.n);
        return r;
}

const struct operation_kind operation_vdi_activate = { .name = "VDI.Activate", .begin = activate_begin, .finish = activate_finish, .done = settle };

int vdi_activate(struct vdi *vdi, struct idl_call *call, const char *reader, const char **ret_path, struct idl_error *error) {
        const struct data_path *path = data_paths_find(&vdi->paths, reader);
        bool exclusive = !(path && path->mode == XCP_DISK_MODE_READ_ONLY);
        struct operation *operation;
        int r;

        r = check_usable(vdi, error);
        if (r >= 0)
                r = start(&operation_vdi_activate, vdi, call, reader, exclusive, error, &operation);
        if (r < 0)
                return r;
        operation->wish.is_exclusive = exclusive;
        return operation_start(operation, call, ret_path, error, "Activate %s for %s", vdi->name, reader);
}

static void settle_ended(struct operation *operation) {
        server_ended(operation, operation->vdi);
        servers_settle(operation->vdi);
}

/* Deactivate and Detach: what a writer has written is on the disk before anybody hears that he is gone. */

static int sync_begin(struct operation *operation, struct idl_error *error) {
        const struct data_path *path = data_paths_find(&operation->vdi->paths, operation->wish.reader);
        struct vdi *vdi = operation->vdi;
        int r;

        r = server_end(operation, vdi, operation->wish.reader);
        if (r < 0)
                return r;
        if (path && path->state == XCP_DATA_PATH_STATE_ACTIVATED && path->mode == XCP_DISK_MODE_READ_WRITE && !vdi->missing &&
            vdi->sr->state == XCP_SR_STATE_ATTACHED)
                vdi->sr->driver->sync(&operation->plan, vdi);
        return 0;
}

static int deactivate_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        struct vdi *vdi = operation->vdi;
        struct data_path_disk disk = disk_of(vdi);
        int r, changes;

        r = server_check_ended(vdi, operation->wish.reader, error);
        if (r < 0)
                return r;
        changes = data_paths_deactivate(&vdi->paths, operation->wish.reader, error);
        r = changes == DATA_PATH_CHANGED ? keep(operation, error) : changes;
        if (r < 0 && changes == DATA_PATH_CHANGED)
                data_paths_activate(&vdi->paths, &disk, operation->wish.reader, NULL);
        if (r >= 0 && changes == DATA_PATH_CHANGED) {
                hold_drop(vdi, operation->wish.reader);         /* before anybody hears of it: the next one may be another service's */
                changed(vdi, vdi->paths.n);
        }
        return r;
}

const struct operation_kind operation_vdi_deactivate = { .name = "VDI.Deactivate", .begin = sync_begin, .finish = deactivate_finish, .done = settle_ended };

int vdi_deactivate(struct vdi *vdi, struct idl_call *call, const char *reader, const char **ret_path, struct idl_error *error) {
        struct operation *operation;
        int r;

        r = start(&operation_vdi_deactivate, vdi, call, reader, false, error, &operation);
        return r < 0 ? r : operation_start(operation, call, ret_path, error, "Deactivate %s for %s", vdi->name, reader);
}

static int detach_begin(struct operation *operation, struct idl_error *error) {
        const struct data_path *path = data_paths_find(&operation->vdi->paths, operation->wish.reader);
        int r;

        if (path && xen_block_has_device(operation->vdi, path) && operation->vdi->sr->driver == &driver_file && !operation->vdi->sr->file)
                return sr_check_usable(operation->vdi->sr, false, error);       /* where the disk is, nobody knows yet */
        operation->wish.is_detaching = true;
        r = sync_begin(operation, error);
        if (r >= 0 && path)
                xen_block_detach(&operation->plan, operation->vdi, path);
        return r;
}

static int detach_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        struct vdi *vdi = operation->vdi;
        const struct data_path *path = data_paths_find(&vdi->paths, operation->wish.reader);
        size_t n = vdi->paths.n;
        int r;

        r = server_check_ended(vdi, operation->wish.reader, error);
        if (r < 0)
                return r;
        r = store_remove_data_path(vdi, operation->wish.reader);
        if (r < 0)
                return database_set_error(operation->storage->db, r, error);
        hold_drop(vdi, operation->wish.reader);
        if (path && server_is_kind(path->kind))
                server_detached(vdi, operation->wish.reader);
        if (data_paths_detach(&vdi->paths, operation->wish.reader) == DATA_PATH_CHANGED)
                changed(vdi, n);
        return 0;
}

const struct operation_kind operation_vdi_detach = { .name = "VDI.Detach", .begin = detach_begin, .finish = detach_finish, .done = settle_ended };

int vdi_detach(struct vdi *vdi, struct idl_call *call, const char *reader, const char **ret_path, struct idl_error *error) {
        struct operation *operation;
        int r;

        r = start(&operation_vdi_detach, vdi, call, reader, false, error, &operation);
        return r < 0 ? r : operation_start(operation, call, ret_path, error, "Detach %s from %s", vdi->name, reader);
}
