/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "xen-block.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "driver.h"
#include "server.h"

int xen_block_describe(const struct vdi *vdi, const char *reader, struct idl_arena *arena, struct xcp_data_path *path) {
        bool is_raw = vdi->format == XCP_VDI_FORMAT_RAW;
        struct xcp_dict_s_s_entry *parameters = idl_arena_alloc(arena, 2, sizeof *parameters);
        AUTO_FREE char *link = server_make_path(vdi, reader);

        if (!link || !parameters)
                return -ENOMEM;
        parameters[0] = (struct xcp_dict_s_s_entry) { "type", is_raw ? "phy" : "qdisk" };
        parameters[1] = (struct xcp_dict_s_s_entry) { "format", is_raw ? "raw" : "qcow2" };
        if (is_raw)                     /* else it is where the driver has said */
                path->path = idl_arena_strdup(arena, link);
        path->parameters = parameters;
        path->n_parameters = 2;
        return path->path ? 0 : -ENOMEM;
}

bool xen_block_has_device(const struct vdi *vdi, const struct data_path *path) {
        return path->kind == XCP_DATA_PATH_KIND_XEN_BLOCK && vdi->format == XCP_VDI_FORMAT_RAW;
}

static void add(struct plan *plan, const struct vdi *vdi, const struct data_path *path, uint64_t size, unsigned flags, const char *what, const char *verb) {
        AUTO_FREE char *link = server_make_path(vdi, path->reader);
        struct place place = {};

        if (!xen_block_has_device(vdi, path))
                return;
        if (!link) {
                plan->r = -ENOMEM;
                return;
        }
        vdi->sr->driver->place(plan, vdi, false, &place);
        plan_io(plan, what, STEP_COMMIT | flags, verb, place.directory, place.name, plan_number(plan, place.offset),
                plan_number(plan, place.is_range ? size : 0), path->mode == XCP_DISK_MODE_READ_ONLY ? "ro" : "rw", link, NULL);
}

void xen_block_attach(struct plan *plan, const struct vdi *vdi, const struct data_path *path) {
        add(plan, vdi, path, vdi->size, 0, "put a loop device before the disk", "loop-attach");
}

void xen_block_detach(struct plan *plan, const struct vdi *vdi, const struct data_path *path) {
        add(plan, vdi, path, vdi->size, 0, "take the loop device from the disk", "loop-detach");
}

void xen_block_resize(struct plan *plan, const struct vdi *vdi, const struct data_path *path, uint64_t size) {
        add(plan, vdi, path, size, STEP_TOLERATE, "make the loop device before the disk larger", "loop-resize");
}
