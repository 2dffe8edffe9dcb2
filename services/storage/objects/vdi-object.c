/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.xen.xcp.storage1.VDI. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "database-error.h"
#include "exported.h"
#include "idl-errors.h"
#include "operations.h"
#include "server.h"
#include "spec.h"
#include "store.h"
#include "storage1-vdi.h"

static int on_snapshot(void *object, struct idl_call *call, const char *name, struct idl_error *error) {
        const char *path;
        int r;

        r = vdi_snapshot(object, call, name, false, &path, error);
        return r < 0 ? r : storage1_vdi_reply_snapshot(call, path);
}

static int on_clone(void *object, struct idl_call *call, const char *name, struct idl_error *error) {
        const char *path;
        int r;

        r = vdi_snapshot(object, call, name, true, &path, error);
        return r < 0 ? r : storage1_vdi_reply_clone(call, path);
}

static int on_copy(void *object, struct idl_call *call, const char *sr_path, const struct xcp_vdi_spec *spec, struct idl_error *error) {
        struct vdi *vdi = object;
        const char *path;
        void *sr;
        int r;

        r = objects_find(sr_path, vdi->sr->storage->sr_objects, &sr);
        if (r <= 0)
                return r < 0 ? r : spec_set_missing(error, "SR", sr_path);
        r = vdi_copy(vdi, call, sr, spec, &path, error);
        return r < 0 ? r : storage1_vdi_reply_copy(call, path);
}

static int on_resize(void *object, struct idl_call *call, uint64_t size, struct idl_error *error) {
        const char *path;
        int r;

        r = vdi_resize(object, call, size, &path, error);
        return r < 0 ? r : storage1_vdi_reply_resize(call, path);
}

static int on_export(void *object, struct idl_call *call, int sink, enum xcp_vdi_format format, struct idl_error *error) {
        const char *path;
        int r;

        r = vdi_export(object, call, sink, format, &path, error);
        return r < 0 ? r : storage1_vdi_reply_export(call, path);
}

static int on_destroy(void *object, struct idl_call *call, struct idl_error *error) {
        const char *path;
        int r;

        r = vdi_destroy(object, call, &path, error);
        return r < 0 ? r : storage1_vdi_reply_destroy(call, path);
}

static int on_get_usage(void *object, struct idl_call *call, struct idl_error *error) {
        return vdi_get_usage(object, call, error);
}

static int on_get_statistics(void *object, struct idl_call *call, const char *reader, struct idl_error *error) {
        struct xcp_data_path_statistics statistics;
        int r;

        r = server_get_statistics(object, reader, &statistics, error);
        return r < 0 ? r : storage1_vdi_reply_get_statistics(call, &statistics);
}

static int on_attach(void *object, struct idl_call *call, const char *reader, enum xcp_disk_mode mode, const enum xcp_data_path_kind *kinds,
                     size_t n_kinds, struct idl_error *error) {
        const char *path;
        int r;

        r = vdi_attach(object, call, reader, mode, kinds, n_kinds, &path, error);
        return r < 0 ? r : storage1_vdi_reply_attach(call, path);
}

static int on_activate(void *object, struct idl_call *call, const char *reader, struct idl_error *error) {
        const char *path;
        int r;

        r = vdi_activate(object, call, reader, &path, error);
        return r < 0 ? r : storage1_vdi_reply_activate(call, path);
}

static int on_deactivate(void *object, struct idl_call *call, const char *reader, struct idl_error *error) {
        const char *path;
        int r;

        r = vdi_deactivate(object, call, reader, &path, error);
        return r < 0 ? r : storage1_vdi_reply_deactivate(call, path);
}

static int on_detach(void *object, struct idl_call *call, const char *reader, struct idl_error *error) {
        const char *path;
        int r;

        r = vdi_detach(object, call, reader, &path, error);
        return r < 0 ? r : storage1_vdi_reply_detach(call, path);
}

/* Properties */

static int get_uuid(void *object, struct idl_arena *arena, const char **ret_uuid) {
        *ret_uuid = ((struct vdi *) object)->id;
        return 0;
}

static int get_name(void *object, struct idl_arena *arena, const char **ret_name) {
        *ret_name = ((struct vdi *) object)->name;
        return 0;
}

static int get_description(void *object, struct idl_arena *arena, const char **ret_description) {
        *ret_description = ((struct vdi *) object)->description;
        return 0;
}

static int get_labels(void *object, struct idl_arena *arena, const struct xcp_dict_s_s_entry **ret_labels, size_t *ret_n_labels) {
        const struct vdi *vdi = object;

        *ret_labels = vdi->labels;
        *ret_n_labels = vdi->n_labels;
        return 0;
}

static int get_sr(void *object, struct idl_arena *arena, const char **ret_sr) {
        *ret_sr = ((struct vdi *) object)->sr->path ?: "/";
        return 0;
}

static int get_format(void *object, struct idl_arena *arena, enum xcp_vdi_format *ret_format) {
        *ret_format = ((struct vdi *) object)->format;
        return 0;
}

static int get_size(void *object, struct idl_arena *arena, uint64_t *ret_size) {
        *ret_size = ((struct vdi *) object)->size;
        return 0;
}

static int get_read_only(void *object, struct idl_arena *arena, bool *ret_read_only) {
        *ret_read_only = ((struct vdi *) object)->read_only;
        return 0;
}

static int get_sharable(void *object, struct idl_arena *arena, bool *ret_sharable) {
        *ret_sharable = ((struct vdi *) object)->sharable;
        return 0;
}

static int get_snapshot_of(void *object, struct idl_arena *arena, const char **ret_snapshot_of) {
        const struct vdi *original = vdi_original(object);

        *ret_snapshot_of = original && original->path ? original->path : "/";
        return 0;
}

static int get_created_us(void *object, struct idl_arena *arena, uint64_t *ret_created_us) {
        *ret_created_us = ((struct vdi *) object)->created_usec;
        return 0;
}

static int get_missing(void *object, struct idl_arena *arena, bool *ret_missing) {
        *ret_missing = ((struct vdi *) object)->missing;
        return 0;
}

static int get_iops_limit(void *object, struct idl_arena *arena, uint64_t *ret_limit) {
        *ret_limit = ((struct vdi *) object)->iops_limit;
        return 0;
}

static int get_rate_limit(void *object, struct idl_arena *arena, uint64_t *ret_limit) {
        *ret_limit = ((struct vdi *) object)->rate_limit;
        return 0;
}

static int get_data_paths(void *object, struct idl_arena *arena, const struct xcp_data_path_info **ret_paths, size_t *ret_n) {
        const struct vdi *vdi = object;
        struct xcp_data_path_info *infos = idl_arena_alloc(arena, vdi->paths.n + 1, sizeof *infos);

        if (!infos)
                return -errno;
        for (size_t i = 0; i < vdi->paths.n; i++) {
                const struct data_path *path = &vdi->paths.items[i];

                infos[i] = (struct xcp_data_path_info) { path->reader, path->state, path->kind, path->mode };
        }
        *ret_paths = infos;
        *ret_n = vdi->paths.n;
        return 0;
}

/* Changes a string in the database and then in memory. */
static int set_string(struct vdi *vdi, char **field, const char *value, struct idl_error *error) {
        char *copy, *old = *field;
        int r;

        if (strcmp(old, value) == 0)
                return 0;
        copy = strdup(value);
        if (!copy)
                return -ENOMEM;
        *field = copy;
        r = store_set_vdi(vdi);
        if (r < 0) {
                *field = old;
                free(copy);
                return database_set_error(vdi->sr->storage->db, r, error);
        }
        free(old);
        vdi_note(vdi);
        return 1;
}

static int set_name(void *object, const char *name, struct idl_error *error) {
        struct vdi *vdi = object;
        int r;

        r = spec_check_vdi_name("Name", name, error);
        return r < 0 ? r : set_string(vdi, &vdi->name, name, error);
}

static int set_description(void *object, const char *description, struct idl_error *error) {
        struct vdi *vdi = object;
        int r;

        r = spec_check_description("Description", description, error);
        return r < 0 ? r : set_string(vdi, &vdi->description, description, error);
}

static int store_labels(struct vdi *vdi) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        int r;

        r = database_begin(vdi->sr->storage->db, &transaction);
        if (r >= 0)
                r = store_set_labels(vdi);
        return r < 0 ? r : database_commit(&transaction);
}

static int set_labels(void *object, const struct xcp_dict_s_s_entry *labels, size_t n_labels, struct idl_error *error) {
        struct vdi *vdi = object;
        struct xcp_dict_s_s_entry *old = vdi->labels;
        size_t n_old = vdi->n_labels;
        int r;

        r = spec_check_labels("Labels", labels, n_labels, error);
        if (r < 0)
                return r;
        vdi->labels = NULL;
        vdi->n_labels = 0;
        r = vdi_set_labels(vdi, labels, n_labels);
        if (r >= 0)
                r = store_labels(vdi);
        if (r < 0) {
                labels_free(vdi->labels, vdi->n_labels);
                vdi->labels = old;
                vdi->n_labels = n_old;
                return database_set_error(vdi->sr->storage->db, r, error);
        }
        labels_free(old, n_old);
        return 1;
}

static int set_read_only(void *object, bool read_only, struct idl_error *error) {
        struct vdi *vdi = object;
        const struct data_path *writer = data_paths_writer(&vdi->paths, NULL);
        int r;

        if (read_only == vdi->read_only)
                return 0;
        if (vdi->snapshot)
                return idl_error_set_read_only(error, "VDI", vdi->id);
        if (read_only && writer)
                return idl_error_set_busy(error, "VDI", vdi->id, writer->reader);
        vdi->read_only = read_only;
        r = store_set_vdi(vdi);
        if (r < 0) {
                vdi->read_only = !read_only;
                return database_set_error(vdi->sr->storage->db, r, error);
        }
        vdi_note(vdi);
        return 1;
}

static int set_limits(struct vdi *vdi, uint64_t iops_limit, uint64_t rate_limit, struct idl_error *error) {
        uint64_t old_iops_limit = vdi->iops_limit, old_rate_limit = vdi->rate_limit;
        int r;

        if (iops_limit == old_iops_limit && rate_limit == old_rate_limit)
                return 0;
        vdi->iops_limit = iops_limit;
        vdi->rate_limit = rate_limit;
        r = store_set_vdi_limits(vdi);
        if (r < 0) {
                vdi->iops_limit = old_iops_limit;
                vdi->rate_limit = old_rate_limit;
                return database_set_error(vdi->sr->storage->db, r, error);
        }
        servers_limited(vdi);
        return 1;
}

static int set_iops_limit(void *object, uint64_t limit, struct idl_error *error) {
        struct vdi *vdi = object;
        int r;

        r = spec_check_limit("IopsLimit", limit, SPEC_IOPS_LIMIT_MAX, error);
        return r < 0 ? r : set_limits(vdi, limit, vdi->rate_limit, error);
}

static int set_rate_limit(void *object, uint64_t limit, struct idl_error *error) {
        struct vdi *vdi = object;
        int r;

        r = spec_check_limit("RateLimit", limit, SPEC_RATE_LIMIT_MAX, error);
        return r < 0 ? r : set_limits(vdi, vdi->iops_limit, limit, error);
}

static const struct storage1_vdi_handlers handlers = {
        .snapshot = on_snapshot,
        .clone = on_clone,
        .copy = on_copy,
        .resize = on_resize,
        .export = on_export,
        .destroy = on_destroy,
        .get_usage = on_get_usage,
        .get_statistics = on_get_statistics,
        .attach = on_attach,
        .activate = on_activate,
        .deactivate = on_deactivate,
        .detach = on_detach,
        .get_uuid = get_uuid,
        .get_name = get_name,
        .set_name = set_name,
        .get_description = get_description,
        .set_description = set_description,
        .get_labels = get_labels,
        .set_labels = set_labels,
        .get_sr = get_sr,
        .get_format = get_format,
        .get_size = get_size,
        .get_read_only = get_read_only,
        .set_read_only = set_read_only,
        .get_sharable = get_sharable,
        .get_snapshot_of = get_snapshot_of,
        .get_created_us = get_created_us,
        .get_missing = get_missing,
        .get_iops_limit = get_iops_limit,
        .set_iops_limit = set_iops_limit,
        .get_rate_limit = get_rate_limit,
        .set_rate_limit = set_rate_limit,
        .get_data_paths = get_data_paths,
};

int vdi_export_objects(struct storage *storage) {
        int r;

        r = objects_new(&storage->vdi_objects, storage->bus, VDI_PREFIX);
        return r < 0 ? r : storage1_vdi_export_tree(storage->bus, NULL, VDI_PREFIX, &handlers, objects_find, storage->vdi_objects);
}
