/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is done to disks that are there: resize, export, destroy. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "database-error.h"
#include "idl-errors.h"
#include "kinds.h"
#include "operations.h"
#include "server-private.h"
#include "spec.h"
#include "store.h"
#include "storage1-vdi.h"
#include "xen-block.h"

static int start(const struct operation_kind *kind, struct vdi *vdi, bool exclusive, struct idl_error *error,
                 struct operation **ret_operation) {
        int r;

        r = operation_new(ret_operation, vdi->sr->storage, kind, vdi->sr, vdi, error);
        if (r < 0)
                return r;
        operation_claim(*ret_operation, &vdi->sr->resource, false);
        operation_claim(*ret_operation, &vdi->resource, exclusive);
        return 0;
}

/* Resize */

static int check_resizable(const struct vdi *vdi, uint64_t size, struct idl_error *error) {
        char text[24];
        int r;

        r = vdi_check_there(vdi, true, error);
        if (r < 0)
                return r;
        if (vdi->read_only)
                return idl_error_set_read_only(error, "VDI", vdi->id);
        snprintf(text, sizeof text, "%llu", (unsigned long long) size);
        if (size < vdi->size)
                return idl_error_set_invalid_argument(error, "size", text, "is less than the size that it has");
        return servers_check_resize(vdi, error);
}

static int resize_begin(struct operation *operation, struct idl_error *error) {
        uint64_t size = operation->wish.size;
        struct vdi *vdi = operation->vdi;
        struct intent *intent;
        int r;

        r = check_resizable(vdi, size, error);
        if (r < 0 || size == vdi->size)
                return r;
        r = servers_plan_resize(operation, vdi, size, error);
        if (r < 0)
                return r;
        if (r == SERVERS_RESIZE) {              /* without an intent: after a crash, a look at the storage repository finds the size that it has */
                operation->wish.is_growing = true;
                return 0;
        }
        r = vdi->sr->driver->grow(&operation->plan, vdi, size, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < vdi->paths.n; i++)
                if (!server_find(vdi, vdi->paths.items[i].reader))      /* else a keeper has it, which is told */
                        xen_block_resize(&operation->plan, vdi, &vdi->paths.items[i], size);
        operation->wish.is_growing = true;
        intent = operation_intend(operation, INTENT_RESIZE, vdi, error);
        if (!intent)
                return -ENOMEM;
        intent->size = size;
        return operation_write_intents(operation, error);
}

static void end_growing(struct operation *operation, bool done) {
        const struct driver *driver = operation->sr->driver;

        if (operation->wish.is_growing && driver->grown && operation->sr->state == XCP_SR_STATE_ATTACHED)
                driver->grown(operation->vdi, operation->wish.size, done);
        operation->wish.is_growing = false;
}

static int store_size(struct operation *operation, uint64_t size, struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        struct database *db = operation->storage->db;
        struct vdi *vdi = operation->vdi;
        uint64_t old = vdi->size;
        int r;

        r = database_begin(db, &transaction);
        vdi->size = size;
        if (r >= 0)
                r = store_set_vdi(vdi);
        vdi->size = old;
        if (r >= 0)
                r = operation_delete_intents(operation);
        if (r >= 0)
                r = database_commit(&transaction);
        return r < 0 ? database_set_error(db, r, error) : 0;
}

static int resize_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        struct xcp_vdi_resized resized = { .size = operation->wish.size };
        int r;

        r = operation_result_new(operation, ret_result);
        if (r >= 0 && operation->wish.is_growing)
                r = store_size(operation, operation->wish.size, error);
        if (r < 0)
                return r;
        if (operation->wish.is_growing) {
                vdi_set_size(operation->vdi, operation->wish.size);
                servers_resized(operation->vdi);
        }
        end_growing(operation, true);
        return xcp_vdi_resized_append(*ret_result, &resized);
}

/* The image says which size it has come to: what was done has been done. */
static int resize_undone(struct operation *operation, bool recovered, sd_bus_message **ret_result, struct idl_error *error) {
        const struct intent *intent = operation->intents;

        if (!operation->wish.is_growing || !intent)
                return 0;
        if (recovered && intent->found_size == operation->wish.size) {
                int r = resize_finish(operation, ret_result, error);

                return r < 0 ? r : 1;
        }
        if (!recovered || (!intent->found && operation->sr->driver->grown))
                return -EIO;            /* what it took must not be given to another */
        end_growing(operation, false);
        return operation_delete_intents(operation);
}

static void resize_done(struct operation *operation) {
        server_ended(operation, operation->vdi);
}

const struct operation_kind operation_vdi_resize = {
        .name = "VDI.Resize",
        .begin = resize_begin,
        .finish = resize_finish,
        .undone = resize_undone,
        .done = resize_done,
};

int vdi_resize(struct vdi *vdi, struct idl_call *call, uint64_t size, const char **ret_path, struct idl_error *error) {
        struct operation *operation;
        uint64_t rounded;
        int r;

        r = spec_round_size("size", size, VDI_SIZE_MAX, &rounded, error);
        if (r >= 0)
                r = check_resizable(vdi, rounded, error);
        if (r >= 0)
                r = start(&operation_vdi_resize, vdi, true, error, &operation);
        if (r < 0)
                return r;
        operation->wish.size = rounded;
        return operation_start(operation, call, ret_path, error, "Resize %s", vdi->name);
}

/* Export */

static int check_exportable(const struct vdi *vdi, struct idl_error *error) {
        const struct data_path *writer = data_paths_writer(&vdi->paths, NULL);
        int r;

        r = vdi_check_there(vdi, false, error);
        if (r >= 0 && writer)
                return idl_error_set_busy(error, "VDI", vdi->id, writer->reader);
        return r;
}

/* What has to be converted passes through a file in the storage repository, which then has to be written. */
static int export_begin(struct operation *operation, struct idl_error *error) {
        struct vdi *vdi = operation->vdi;
        int r;

        r = check_exportable(vdi, error);
        if (r < 0)
                return r;
        if (operation->stage) {
                r = sr_check_usable(vdi->sr, true, error);
                if (r >= 0 && !operation_intend(operation, INTENT_MAKE, operation->stage, error))
                        r = -ENOMEM;
                if (r >= 0)
                        r = operation_write_intents(operation, error);
        }
        return r < 0 ? r
                     : vdi->sr->driver->export(&operation->plan, vdi, operation->stage, operation->wish.fd, operation->wish.format, error);
}

static int export_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        int r;

        r = operation_delete_intents(operation);
        if (r < 0)
                return database_set_error(operation->storage->db, r, error);
        operation->intents = NULL;
        operation->storage->bytes_exported += operation->bytes;
        return 0;
}

const struct operation_kind operation_vdi_export = {
        .name = "VDI.Export",
        .is_slow = true,
        .begin = export_begin,
        .finish = export_finish,
};

static int make_stage(struct operation *operation, struct idl_error *error) {
        struct uuid uuid;
        int r;

        r = uuid_generate(&uuid);
        if (r >= 0)
                r = vdi_new(&operation->stage, operation->sr, &uuid, "stage", "");
        if (r < 0)
                return r;
        operation->stage->format = XCP_VDI_FORMAT_RAW;
        return vdi_reserve(operation->stage, error);
}

int vdi_export(struct vdi *vdi, struct idl_call *call, int sink, enum xcp_vdi_format format, const char **ret_path,
               struct idl_error *error) {
        AUTO(operation_freep) struct operation *operation = NULL;
        struct operation *started;
        int flags = fcntl(sink, F_GETFL), r;

        if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) == O_RDONLY)
                return idl_error_set_invalid_argument(error, "sink", "", "cannot be written to");
        r = check_exportable(vdi, error);
        if (r >= 0 && !(vdi->sr->driver->formats & 1u << format))
                return idl_error_set_not_supported(error, "export as Qcow2 from this kind of SR");
        if (r >= 0)
                r = start(&operation_vdi_export, vdi, false, error, &operation);
        if (r >= 0 && (format != XCP_VDI_FORMAT_RAW || vdi->format != XCP_VDI_FORMAT_RAW))
                r = make_stage(operation, error);
        if (r < 0)
                return r;
        operation->wish.format = format;
        operation->wish.fd = fcntl(sink, F_DUPFD_CLOEXEC, 3);
        if (operation->wish.fd < 0)
                return -errno;
        started = operation;
        operation = NULL;
        return operation_start(started, call, ret_path, error, "Export %s", vdi->name);
}

/* Destroy */

static int check_destroyable(const struct vdi *vdi, struct idl_error *error) {
        int r;

        if (vdi->is_gone || vdi->hidden)
                return idl_error_set_does_not_exist(error, "VDI", vdi->id);
        r = sr_check_usable(vdi->sr, true, error);
        if (r >= 0 && vdi->paths.n > 0)
                return idl_error_set_busy(error, "VDI", vdi->id, vdi->paths.items[0].reader);
        return r;
}

/* Others are on top of it: they keep its image, and nobody sees it any more. */
static int hide(struct operation *operation, struct idl_error *error) {
        struct vdi *vdi = operation->vdi;
        int r;

        vdi->hidden = true;
        r = store_set_vdi(vdi);
        vdi->hidden = false;
        if (r < 0)
                return database_set_error(operation->storage->db, r, error);
        vdi_hide(vdi);
        return 0;
}

/* It, and what only it has needed of its chain, from the top. */
static size_t doomed(struct vdi *vdi, struct vdi **ret_vdis) {
        size_t n = 0;

        do {
                ret_vdis[n++] = vdi;
                vdi = vdi->parent;
        } while (vdi && vdi->hidden && vdi->n_children == 1 && n < DOOMED_MAX);
        return n;
}

static int destroy_begin(struct operation *operation, struct idl_error *error) {
        struct vdi *vdi = operation->vdi, *vdis[DOOMED_MAX];
        size_t n;
        int r;

        r = check_destroyable(vdi, error);
        if (r < 0)
                return r;
        if (vdi->n_children > 0)
                return hide(operation, error);
        n = doomed(vdi, vdis);
        for (size_t i = n; i-- > 0;)    /* the list of intents begins with the disk itself */
                if (!operation_intend(operation, INTENT_REMOVE, vdis[i], error))
                        return -ENOMEM;
        r = operation_write_intents(operation, error);
        if (r >= 0)
                vdi->sr->driver->remove(&operation->plan, vdi->sr, (const struct vdi *const *) vdis, n);
        return r;
}

static void forget(struct vdi *vdi) {
        struct sr *sr = vdi->sr;

        if (sr->driver->give)
                sr->driver->give(vdi);
        vdi_remove(vdi);
}

/* The first n of the chain are gone. */
static int forget_chain(struct operation *operation, size_t n, struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        struct database *db = operation->storage->db;
        struct vdi *vdi = operation->vdi;
        int r;

        r = database_begin(db, &transaction);
        for (size_t i = 0; r >= 0 && i < n; i++, vdi = vdi->parent)
                r = store_remove_vdi(vdi);
        if (r >= 0)
                r = operation_delete_intents(operation);
        if (r >= 0)
                r = database_commit(&transaction);
        if (r < 0)
                return database_set_error(db, r, error);
        vdi = operation->vdi;
        while (n-- > 0) {
                struct vdi *parent = vdi->parent;

                forget(vdi);
                vdi = parent;
        }
        operation->intents = NULL;
        return 0;
}

static int destroy_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        size_t n = 0;

        for (const struct intent *intent = operation->intents; intent; intent = intent->next)
                n++;
        return n > 0 ? forget_chain(operation, n, error) : 0;
}

static void destroy_undo(struct operation *operation) {
        for (struct intent *intent = operation->intents; intent; intent = intent->next)
                operation->sr->driver->look(&operation->plan, operation->sr, intent);
}

/*
 * Those that are gone are gone, from the top: if that is so of the disk itself, it was destroyed after all. What is left of its chain, and
 * nobody needs, is destroyed with the next one that is on top of it, or with the storage repository.
 */
static int destroy_undone(struct operation *operation, bool recovered, sd_bus_message **ret_result, struct idl_error *error) {
        size_t n = 0;
        int r;

        if (!recovered)
                return 0;
        for (const struct intent *intent = operation->intents; intent && !intent->found; intent = intent->next)
                n++;
        if (n == 0)
                return operation_delete_intents(operation);
        r = forget_chain(operation, n, error);
        return r < 0 ? r : 1;
}

const struct operation_kind operation_vdi_destroy = {
        .name = "VDI.Destroy",
        .begin = destroy_begin,
        .finish = destroy_finish,
        .undo = destroy_undo,
        .undone = destroy_undone,
};

int vdi_destroy(struct vdi *vdi, struct idl_call *call, const char **ret_path, struct idl_error *error) {
        struct operation *operation;
        int r;

        r = check_destroyable(vdi, error);
        if (r >= 0)
                r = start(&operation_vdi_destroy, vdi, true, error, &operation);
        return r < 0 ? r : operation_start(operation, call, ret_path, error, "Destroy %s", vdi->name);
}

/* Usage */

static int usage_begin(struct operation *operation, struct idl_error *error) {
        int r;

        r = vdi_check_there(operation->vdi, false, error);
        if (r >= 0)
                operation->sr->driver->usage(&operation->plan, operation->vdi);
        return r;
}

static int usage_reply(struct operation *operation) {
        struct xcp_vdi_usage usage = {};

        for (size_t i = 0; i < operation->n_usage; i++)
                *(i == 0 ? &usage.allocated : &usage.shared) += operation->usage[i];
        return storage1_vdi_reply_get_usage(operation->call, &usage);
}

const struct operation_kind operation_vdi_get_usage = { .name = "VDI.GetUsage", .begin = usage_begin, .reply = usage_reply };

int vdi_get_usage(struct vdi *vdi, struct idl_call *call, struct idl_error *error) {
        struct operation *operation;
        int r;

        r = vdi_check_there(vdi, false, error);
        if (r >= 0)
                r = start(&operation_vdi_get_usage, vdi, false, error, &operation);
        if (r >= 0)
                operation_start_without_task(operation, call);
        return r;
}

/* What the storage itself notes of a disk. If that fails, the database knows it all the same. */

static int note_begin(struct operation *operation, struct idl_error *error) {
        int r;

        r = vdi_check_there(operation->vdi, true, error);
        if (r >= 0)
                operation->sr->driver->note(&operation->plan, operation->vdi);
        return r;
}

const struct operation_kind operation_vdi_note = { .name = "Note", .begin = note_begin };

void vdi_note(struct vdi *vdi) {
        struct operation *operation;

        if (!vdi->sr->driver->note || vdi_check_there(vdi, true, NULL) < 0 || start(&operation_vdi_note, vdi, true, NULL, &operation) < 0)
                return;
        operation_start_without_task(operation, NULL);
}
