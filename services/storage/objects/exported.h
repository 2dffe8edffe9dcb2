/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the storage service has on the bus, besides what all services have. Exports end with the bus. */

#include <stdio.h>

#include "storage.h"

#define SR_PREFIX "/org/xen/xcp/storage/sr"
#define VDI_PREFIX "/org/xen/xcp/storage/vdi"

#define EXPORTED_PATH_SIZE 128u

/* PREFIX/UUID, with _ for what a path may not have. Returns path. */
static inline const char *exported_path(const char *prefix, const char *id, char *path) {
        snprintf(path, EXPORTED_PATH_SIZE, "%s/%s", prefix, id);
        for (char *p = path; *p; p++)
                if (*p == '-')
                        *p = '_';
        return path;
}

int manager_export(struct storage *storage);
int sr_export(struct storage *storage);         /* makes storage->sr_objects */
int vdi_export_objects(struct storage *storage); /* makes storage->vdi_objects */
