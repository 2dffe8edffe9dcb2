/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.xen.xcp.storage1.SR. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "database-error.h"
#include "exported.h"
#include "idl-errors.h"
#include "operations.h"
#include "spec.h"
#include "store.h"
#include "storage1-sr.h"

static int on_attach(void *object, struct idl_call *call, struct idl_error *error) {
        const char *path;
        int r;

        r = sr_attach(object, call, &path, error);
        return r < 0 ? r : storage1_sr_reply_attach(call, path);
}

static int on_detach(void *object, struct idl_call *call, struct idl_error *error) {
        const char *path;
        int r;

        r = sr_detach(object, call, &path, error);
        return r < 0 ? r : storage1_sr_reply_detach(call, path);
}

static int on_scan(void *object, struct idl_call *call, struct idl_error *error) {
        const char *path;
        int r;

        r = sr_scan(object, call, &path, error);
        return r < 0 ? r : storage1_sr_reply_scan(call, path);
}

static int on_forget(void *object, struct idl_call *call, struct idl_error *error) {
        const char *path;
        int r;

        r = sr_forget(object, call, &path, error);
        return r < 0 ? r : storage1_sr_reply_forget(call, path);
}

static int on_destroy(void *object, struct idl_call *call, struct idl_error *error) {
        const char *path;
        int r;

        r = sr_destroy(object, call, &path, error);
        return r < 0 ? r : storage1_sr_reply_destroy(call, path);
}

static int on_get_space(void *object, struct idl_call *call, struct idl_error *error) {
        return sr_get_space(object, call, error);
}

static int on_create_vdi(void *object, struct idl_call *call, const struct xcp_vdi_spec *spec, struct idl_error *error) {
        const char *path;
        int r;

        r = vdi_create(object, call, spec, &path, error);
        return r < 0 ? r : storage1_sr_reply_create_vdi(call, path);
}

static int on_import_vdi(void *object, struct idl_call *call, const struct xcp_vdi_spec *spec, int source, enum xcp_vdi_format format,
                         struct idl_error *error) {
        const char *path;
        int r;

        r = vdi_import(object, call, spec, source, format, &path, error);
        return r < 0 ? r : storage1_sr_reply_import_vdi(call, path);
}

static int compare_names(const void *a, const void *b) {
        const struct xcp_vdi_summary *x = a, *y = b;
        int order = strcmp(x->name, y->name);

        return order != 0 ? order : strcmp(x->uuid, y->uuid);
}

static int on_list_vdis(void *object, struct idl_call *call, struct idl_error *error) {
        struct sr *sr = object;
        struct xcp_vdi_summary *summaries = idl_arena_alloc(idl_call_arena(call), sr->n_vdis + 1, sizeof *summaries);
        size_t n = 0;

        if (!summaries)
                return -errno;
        for (const struct vdi *vdi = sr->first; vdi; vdi = vdi->next)
                if (vdi->path)
                        summaries[n++] = (struct xcp_vdi_summary) { vdi->path, vdi->id, vdi->name, vdi->size };
        qsort(summaries, n, sizeof *summaries, compare_names);
        return storage1_sr_reply_list_vdis(call, summaries, n);
}

/* Properties */

static int get_uuid(void *object, struct idl_arena *arena, const char **ret_uuid) {
        *ret_uuid = ((struct sr *) object)->id;
        return 0;
}

static int get_name(void *object, struct idl_arena *arena, const char **ret_name) {
        *ret_name = ((struct sr *) object)->name;
        return 0;
}

static int get_description(void *object, struct idl_arena *arena, const char **ret_description) {
        *ret_description = ((struct sr *) object)->description;
        return 0;
}

static int get_driver(void *object, struct idl_arena *arena, const char **ret_driver) {
        *ret_driver = ((struct sr *) object)->driver->name;
        return 0;
}

static int get_config(void *object, struct idl_arena *arena, const struct xcp_dict_s_s_entry **ret_config, size_t *ret_n_config) {
        const struct sr *sr = object;

        *ret_config = sr->config;
        *ret_n_config = sr->n_config;
        return 0;
}

static int get_state(void *object, struct idl_arena *arena, enum xcp_sr_state *ret_state) {
        *ret_state = ((struct sr *) object)->state;
        return 0;
}

static int get_state_reason(void *object, struct idl_arena *arena, const char **ret_reason) {
        *ret_reason = ((struct sr *) object)->reason;
        return 0;
}

static int get_read_only(void *object, struct idl_arena *arena, bool *ret_read_only) {
        *ret_read_only = ((struct sr *) object)->read_only;
        return 0;
}

/* Changes a string in the database and then in memory. */
static int set_string(struct sr *sr, char **field, const char *value, struct idl_error *error) {
        char *copy, *old = *field;
        int r;

        if (strcmp(old, value) == 0)
                return 0;
        copy = strdup(value);
        if (!copy)
                return -ENOMEM;
        *field = copy;
        r = store_set_sr(sr);
        if (r < 0) {
                *field = old;
                free(copy);
                return r == -EEXIST ? idl_error_set_already_exists(error, "SR", value) : database_set_error(sr->storage->db, r, error);
        }
        free(old);
        return 1;
}

static int set_name(void *object, const char *name, struct idl_error *error) {
        struct sr *sr = object;
        const struct sr *other = sr_find_by_name(sr->storage, name);
        int r;

        r = spec_check_sr_name("Name", name, error);
        if (r < 0)
                return r;
        if (other && other != sr)
                return idl_error_set_already_exists(error, "SR", name);
        return set_string(sr, &sr->name, name, error);
}

static int set_description(void *object, const char *description, struct idl_error *error) {
        struct sr *sr = object;
        int r;

        r = spec_check_description("Description", description, error);
        return r < 0 ? r : set_string(sr, &sr->description, description, error);
}

static const struct storage1_sr_handlers handlers = {
        .attach = on_attach,
        .detach = on_detach,
        .scan = on_scan,
        .get_space = on_get_space,
        .list_vdis = on_list_vdis,
        .create_vdi = on_create_vdi,
        .import_vdi = on_import_vdi,
        .forget = on_forget,
        .destroy = on_destroy,
        .get_uuid = get_uuid,
        .get_name = get_name,
        .set_name = set_name,
        .get_description = get_description,
        .set_description = set_description,
        .get_driver = get_driver,
        .get_config = get_config,
        .get_state = get_state,
        .get_state_reason = get_state_reason,
        .get_read_only = get_read_only,
};

int sr_export(struct storage *storage) {
        int r;

        r = objects_new(&storage->sr_objects, storage->bus, SR_PREFIX);
        return r < 0 ? r : storage1_sr_export_tree(storage->bus, NULL, SR_PREFIX, &handlers, objects_find, storage->sr_objects);
}
