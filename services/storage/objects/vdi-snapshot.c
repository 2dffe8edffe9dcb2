/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Snapshots and clones. */

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "database-error.h"
#include "kinds.h"
#include "operations.h"
#include "spec.h"
#include "store.h"
#include "vdi-make.h"

/*
 * How it is done: a disk that never changes has another put on top of it. The image of one that does change becomes the snapshot, or,
 * for a clone, a disk that nobody sees, and the disk goes on in a new image on top. A raw disk is copied, and so is one whose
 * chain of images has become long.
 */
static bool can_freeze(const struct vdi *vdi) {
        return vdi->sr->driver->freeze && vdi->format == XCP_VDI_FORMAT_QCOW2 && vdi->depth < CHAIN_MAX;
}

static void inherit(struct vdi *vdi, const struct vdi *source, bool clone) {
        vdi->format = source->format;
        vdi->size = source->size;
        vdi->sharable = source->sharable && clone;
        vdi->snapshot = vdi->read_only = !clone;
        if (!clone)
                vdi->snapshot_of = source->uuid;
}

static int plan_on_top(struct operation *operation, struct idl_error *error) {
        int r;

        operation->new_vdi->parent = operation->vdi;
        r = vdi_intend_making(operation, error);
        if (r >= 0)
                operation->new_vdi->sr->driver->make(&operation->plan, operation->new_vdi);
        return r;
}

/* The stage of a clone is what the image becomes. */
static int plan_freeze(struct operation *operation, struct idl_error *error) {
        struct vdi *vdi = operation->vdi, *frozen = operation->new_vdi, *clone = NULL;
        struct intent *intent;
        int r;

        if (operation->wish.is_clone) {
                r = vdi_new_named(vdi->sr, vdi->name, &operation->stage, error);
                if (r < 0)
                        return r;
                clone = operation->new_vdi;
                frozen = operation->stage;
                inherit(frozen, vdi, false);
                frozen->snapshot_of = (struct uuid) {};
                frozen->hidden = true;
        }
        intent = operation_intend(operation, INTENT_FREEZE, vdi, error);
        if (!intent)
                return -ENOMEM;
        memcpy(intent->frozen, frozen->id, sizeof intent->frozen);
        if (clone)
                memcpy(intent->clone, clone->id, sizeof intent->clone);
        r = operation_write_intents(operation, error);
        if (r >= 0)
                vdi->sr->driver->freeze(&operation->plan, vdi, frozen, clone);
        operation->wish.is_freeze = r >= 0;
        return r;
}

static int snapshot_begin(struct operation *operation, struct idl_error *error) {
        struct vdi *source = operation->vdi;
        int r;

        r = vdi_check_source(source, error);
        if (r >= 0)
                r = sr_check_usable(source->sr, true, error);
        if (r < 0)
                return r;
        inherit(operation->new_vdi, source, operation->wish.is_clone);
        if (!can_freeze(source))
                return vdi_plan_full_copy(operation, error);
        return source->snapshot ? plan_on_top(operation, error) : plan_freeze(operation, error);
}

/* Rows: what is frozen takes the disk's place in the chain, and the disk, and its clone, are on top of it. */
static int store_freeze(struct operation *operation, struct vdi *frozen, struct vdi *clone) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        struct vdi *vdi = operation->vdi, *old_parent = vdi->parent;
        int r;

        r = database_begin(operation->storage->db, &transaction);
        frozen->parent = old_parent;
        if (r >= 0)
                r = store_add_vdi(frozen);
        vdi->parent = frozen;
        if (r >= 0)
                r = store_set_vdi(vdi);
        vdi->parent = old_parent;
        if (clone)
                clone->parent = frozen;
        if (r >= 0 && clone)
                r = store_add_vdi(clone);
        if (r >= 0)
                r = operation_delete_intents(operation);
        return r < 0 ? r : database_commit(&transaction);
}

static int freeze_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        struct vdi *vdi = operation->vdi, *old_parent = vdi->parent;
        struct vdi *frozen = operation->stage ?: operation->new_vdi, *clone = operation->stage ? operation->new_vdi : NULL;
        struct xcp_vdi_created created;
        int r;

        r = operation_result_new(operation, ret_result);
        if (r >= 0)
                r = store_freeze(operation, frozen, clone);
        if (r < 0)
                return database_set_error(operation->storage->db, r, error);
        operation->intents = NULL;
        r = vdi_add(frozen, old_parent);
        if (r < 0)
                return r;
        vdi_set_parent(vdi, frozen);
        scan_touch(vdi->sr, &vdi->uuid);
        r = clone ? vdi_add(clone, frozen) : 0;
        if (r < 0)
                return r;
        created = (struct xcp_vdi_created) { .vdi = operation->new_vdi->path };
        r = xcp_vdi_created_append(*ret_result, &created);
        operation->new_vdi = vdi_unref(operation->new_vdi);
        operation->stage = vdi_unref(operation->stage);
        return r;
}

static int snapshot_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        return operation->wish.is_freeze ? freeze_finish(operation, ret_result, error) : vdi_make_finish(operation, ret_result, error);
}

const struct operation_kind operation_vdi_snapshot = {
        .name = "VDI.Snapshot",
        .is_slow = true,
        .begin = snapshot_begin,
        .finish = snapshot_finish,
};

const struct operation_kind operation_vdi_clone = {
        .name = "VDI.Clone",
        .is_slow = true,
        .begin = snapshot_begin,
        .finish = snapshot_finish,
};

int vdi_snapshot(struct vdi *vdi, struct idl_call *call, const char *name, bool clone, const char **ret_path, struct idl_error *error) {
        AUTO(operation_freep) struct operation *operation = NULL;
        struct operation *started;
        int r;

        r = spec_check_vdi_name("name", name, error);
        if (r >= 0)
                r = vdi_check_source(vdi, error);
        if (r >= 0)
                r = sr_check_usable(vdi->sr, true, error);
        if (r >= 0)
                r = operation_new(&operation, vdi->sr->storage, clone ? &operation_vdi_clone : &operation_vdi_snapshot, vdi->sr, vdi, error);
        if (r >= 0)
                r = vdi_new_named(vdi->sr, name, &operation->new_vdi, error);
        if (r < 0)
                return r;
        operation->wish.is_clone = clone;
        operation_claim(operation, &vdi->sr->resource, false);
        operation_claim(operation, &vdi->resource, !vdi->snapshot && vdi->format == XCP_VDI_FORMAT_QCOW2);
        started = operation;
        operation = NULL;
        return operation_start(started, call, ret_path, error, "%s %s", clone ? "Clone" : "Snapshot of", vdi->name);
}
