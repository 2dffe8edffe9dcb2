/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Disks, as the service knows them: see storage.h. */

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "exported.h"
#include "idl-errors.h"
#include "log.h"
#include "scan.h"
#include "storage.h"
#include "storage1-vdi.h"

static int compare(const void *a, const void *b) {
        return uuid_compare(a, b);      /* a struct vdi begins with its UUID */
}

void labels_free(struct xcp_dict_s_s_entry *labels, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free((char *) (uintptr_t) labels[i].key);
                free((char *) (uintptr_t) labels[i].value);
        }
        free(labels);
}

int vdi_new(struct vdi **ret_vdi, struct sr *sr, const struct uuid *uuid, const char *name, const char *description) {
        AUTO(vdi_unrefp) struct vdi *vdi = calloc(1, sizeof *vdi);

        if (!vdi)
                return -ENOMEM;
        vdi->n_references = 1;
        vdi->uuid = *uuid;
        uuid_format(uuid, vdi->id);
        vdi->sr = sr_ref(sr);
        vdi->depth = 1;
        vdi->name = strdup(name);
        vdi->description = strdup(description);
        if (!vdi->name || !vdi->description)
                return -ENOMEM;
        *ret_vdi = vdi;
        vdi = NULL;
        return 0;
}

struct vdi *vdi_ref(struct vdi *vdi) {
        vdi->n_references++;
        return vdi;
}

struct vdi *vdi_unref(struct vdi *vdi) {
        if (!vdi || --vdi->n_references > 0)
                return NULL;
        data_paths_done(&vdi->paths);
        labels_free(vdi->labels, vdi->n_labels);
        free(vdi->name);
        free(vdi->description);
        sr_unref(vdi->sr);
        free(vdi);
        return NULL;
}

struct vdi *vdi_find(struct storage *storage, const struct uuid *uuid) {
        struct vdi *const *found = tfind(uuid, &storage->vdis, compare);

        return found ? *found : NULL;
}

int vdi_set_labels(struct vdi *vdi, const struct xcp_dict_s_s_entry *labels, size_t n) {
        struct xcp_dict_s_s_entry *copy = calloc(n + 1, sizeof *copy);

        if (!copy)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                copy[i].key = strdup(labels[i].key);
                copy[i].value = strdup(labels[i].value);
                if (!copy[i].key || !copy[i].value) {
                        labels_free(copy, i + 1);
                        return -ENOMEM;
                }
        }
        labels_free(vdi->labels, vdi->n_labels);
        vdi->labels = copy;
        vdi->n_labels = n;
        return 0;
}

/* UUIDs that are taken */

int vdi_reserve(struct vdi *vdi, struct idl_error *error) {
        struct storage *storage = vdi->sr->storage;
        size_t n = vdi->sr->n_vdis + vdi->sr->n_making;

        if (n >= VDIS_PER_SR_MAX)
                return idl_error_set_limit_exceeded(error, "disks in this storage repository", n + 1, VDIS_PER_SR_MAX);
        if (vdi_find(storage, &vdi->uuid) || tfind(vdi, &storage->making, compare))
                return idl_error_set_already_exists(error, "VDI", vdi->id);
        if (!tsearch(vdi, &storage->making, compare))
                return -ENOMEM;
        vdi->sr->n_making++;
        return 0;
}

void vdi_unreserve(struct vdi *vdi) {
        struct storage *storage = vdi->sr->storage;
        struct vdi *const *found = tfind(vdi, &storage->making, compare);

        if (!found || *found != vdi)
                return;
        tdelete(vdi, &storage->making, compare);
        vdi->sr->n_making--;
        scan_touch(vdi->sr, &vdi->uuid);
}

/* Being one of a storage repository's */

void vdi_set_parent(struct vdi *vdi, struct vdi *parent) {
        if (vdi->parent)
                vdi->parent->n_children--;
        vdi->parent = parent;
        vdi->depth = parent ? parent->depth + 1 : 1;
        if (parent)
                parent->n_children++;
}

struct vdi *vdi_original(const struct vdi *vdi) {
        return uuid_is_null(&vdi->snapshot_of) ? NULL : vdi_find(vdi->sr->storage, &vdi->snapshot_of);
}

int vdi_add(struct vdi *vdi, struct vdi *parent) {
        struct sr *sr = vdi->sr;
        int r;

        vdi->parent = NULL;             /* may have been said for the making */
        vdi_unreserve(vdi);
        if (!tsearch(vdi, &sr->storage->vdis, compare))
                return -ENOMEM;
        vdi_ref(vdi);
        vdi->next = sr->first;
        if (sr->first)
                sr->first->previous = vdi;
        sr->first = vdi;
        sr->n_vdis++;
        sr->promised += vdi->size;
        vdi->seen = sr->n_scans;
        vdi_set_parent(vdi, parent);
        if (vdi_original(vdi))
                vdi_original(vdi)->n_snapshots++;
        scan_touch(sr, &vdi->uuid);
        r = vdi->hidden ? 0 : vdi_show(vdi);
        if (r < 0)
                vdi_remove(vdi);
        return r;
}

int vdi_show(struct vdi *vdi) {
        char path[EXPORTED_PATH_SIZE];

        vdi->hidden = false;
        return objects_add_path(vdi->sr->storage->vdi_objects, exported_path(VDI_PREFIX, vdi->id, path), vdi, &vdi->path);
}

/* Those that say they are its snapshots say / from now on. */
static void tell_snapshots(const struct vdi *vdi) {
        if (vdi->n_snapshots == 0)
                return;
        for (const struct vdi *other = vdi->sr->first; other; other = other->next)
                if (uuid_compare(&other->snapshot_of, &vdi->uuid) == 0)
                        vdi_changed(other, STORAGE1_VDI_PROPERTY_SNAPSHOT_OF);
}

/* sd-bus looks at the object while it says that it is gone: it is still whole. */
void vdi_hide(struct vdi *vdi) {
        if (vdi->path) {
                const char *path = vdi->path;

                objects_remove(vdi->sr->storage->vdi_objects, path);
                vdi->path = NULL;
        }
        vdi->hidden = true;
        tell_snapshots(vdi);
}

void vdi_remove(struct vdi *vdi) {
        struct sr *sr = vdi->sr;

        vdi_hide(vdi);
        vdi->is_gone = true;
        if (vdi_original(vdi))
                vdi_original(vdi)->n_snapshots--;
        vdi_set_parent(vdi, NULL);
        if (vdi->previous)
                vdi->previous->next = vdi->next;
        else
                sr->first = vdi->next;
        if (vdi->next)
                vdi->next->previous = vdi->previous;
        vdi->previous = vdi->next = NULL;
        sr->n_vdis--;
        sr->n_data_paths -= vdi->paths.n;
        sr->promised -= vdi->size;
        tdelete(vdi, &sr->storage->vdis, compare);
        scan_touch(sr, &vdi->uuid);
        vdi_unref(vdi);
}

void vdi_set_size(struct vdi *vdi, uint64_t size) {
        vdi->sr->promised += size - vdi->size;
        vdi->size = size;
        scan_touch(vdi->sr, &vdi->uuid);
        vdi_changed(vdi, STORAGE1_VDI_PROPERTY_SIZE);
}

void vdi_changed(const struct vdi *vdi, unsigned properties) {
        int r;

        if (!vdi->path)
                return;
        r = storage1_vdi_emit_changed(vdi->sr->storage->bus, vdi->path, properties);
        if (r < 0)
                log_event(LOG_WARNING, LOG_FIELDS({"XCP_VDI", vdi->id}), "Cannot tell that the disk has changed: %s", strerrordesc_np(-r));
}

int vdi_check_there(const struct vdi *vdi, bool to_write, struct idl_error *error) {
        int r;

        if (vdi->is_gone || vdi->hidden)
                return idl_error_set_does_not_exist(error, "VDI", vdi->id);
        r = sr_check_usable(vdi->sr, to_write, error);
        if (r < 0)
                return r;
        if (vdi->missing)
                return idl_error_set_bad_state(error, "VDI", vdi->id, "there", "missing");
        return 0;
}
