/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.xen.xcp.storage1.Manager. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "export.h"
#include "exported.h"
#include "idl-errors.h"
#include "operations.h"
#include "spec.h"
#include "storage1-manager.h"

static int on_list_drivers(void *object, struct idl_call *call, struct idl_error *error) {
        struct xcp_driver_info infos[8];
        size_t n = 0;

        for (; drivers[n] && n < sizeof infos / sizeof infos[0]; n++) {
                const struct driver *driver = drivers[n];

                infos[n] = (struct xcp_driver_info) {
                        .name = driver->name,
                        .description = driver->description,
                        .features = driver->features,
                        .options = driver->options,
                        .n_options = driver->n_options,
                };
                while (driver->features[infos[n].n_features])
                        infos[n].n_features++;
        }
        return storage1_manager_reply_list_drivers(call, infos, n);
}

static int on_create_sr(void *object, struct idl_call *call, const struct xcp_sr_spec *spec, struct idl_error *error) {
        const char *path;
        int r;

        r = sr_create(object, call, spec, false, &path, error);
        return r < 0 ? r : storage1_manager_reply_create_sr(call, path);
}

static int on_introduce_sr(void *object, struct idl_call *call, const struct xcp_sr_spec *spec, struct idl_error *error) {
        const char *path;
        int r;

        r = sr_create(object, call, spec, true, &path, error);
        return r < 0 ? r : storage1_manager_reply_introduce_sr(call, path);
}

static int compare_names(const void *a, const void *b) {
        return strcmp(((const struct xcp_sr_summary *) a)->name, ((const struct xcp_sr_summary *) b)->name);
}

static int on_list_srs(void *object, struct idl_call *call, struct idl_error *error) {
        struct storage *storage = object;
        struct xcp_sr_summary *summaries = idl_arena_alloc(idl_call_arena(call), storage->n_srs + 1, sizeof *summaries);
        size_t n = 0;

        if (!summaries)
                return -errno;
        for (const struct sr *sr = storage->srs; sr; sr = sr->next)
                if (sr->path)
                        summaries[n++] = (struct xcp_sr_summary) { sr->path, sr->id, sr->name, sr->driver->name, sr->state };
        qsort(summaries, n, sizeof *summaries, compare_names);
        return storage1_manager_reply_list_srs(call, summaries, n);
}

static int on_lookup_sr(void *object, struct idl_call *call, const char *uuid, struct idl_error *error) {
        const struct sr *sr = sr_find(object, uuid);

        if (!sr || !sr->path)
                return spec_set_missing(error, "SR", uuid);
        return storage1_manager_reply_lookup_sr(call, sr->path);
}

static int on_lookup_sr_by_name(void *object, struct idl_call *call, const char *name, struct idl_error *error) {
        const struct sr *sr = sr_find_by_name(object, name);

        if (!sr || !sr->path)
                return spec_set_missing(error, "SR", name);
        return storage1_manager_reply_lookup_sr_by_name(call, sr->path);
}

static int on_lookup_vdi(void *object, struct idl_call *call, const char *text, struct idl_error *error) {
        const struct vdi *vdi = NULL;
        struct uuid uuid;

        if (uuid_parse(text, &uuid) >= 0)
                vdi = vdi_find(object, &uuid);
        if (!vdi || !vdi->path)
                return spec_set_missing(error, "VDI", text);
        return storage1_manager_reply_lookup_vdi(call, vdi->path);
}

static const struct storage1_manager_handlers handlers = {
        .list_drivers = on_list_drivers,
        .create_sr = on_create_sr,
        .introduce_sr = on_introduce_sr,
        .list_srs = on_list_srs,
        .lookup_sr = on_lookup_sr,
        .lookup_sr_by_name = on_lookup_sr_by_name,
        .lookup_vdi = on_lookup_vdi,
};

int manager_export(struct storage *storage) {
        return storage1_manager_export(storage->bus, NULL, service_path(storage->service), &handlers, storage);
}
