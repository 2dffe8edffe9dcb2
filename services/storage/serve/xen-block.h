/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * XenBlock: data paths for guests of Xen, as its block back-ends take them.
 *
 *      raw         a loop device, for the kernel's back-end, blkback, as long as the reader is Attached; the path is a link to it
 *      qcow2       the image itself, for QEMU's back-end (libxl: qdisk)
 *
 * Loop devices are the kernel's: no process has to be there for them, and they outlive this service. When it moves, a keeper has them: device.h.
 */

#include "data-path.h"
#include "plan.h"
#include "storage.h"

/* Says in a data path where the disk is. */
int xen_block_describe(const struct vdi *vdi, const char *reader, struct idl_arena *arena, struct xcp_data_path *path);

/* Add what has to be done so that the path leads to the disk, and when it is not to any more. For other kinds, nothing. */
void xen_block_attach(struct plan *plan, const struct vdi *vdi, const struct data_path *path);
void xen_block_detach(struct plan *plan, const struct vdi *vdi, const struct data_path *path);

/* The disk is going to have another size then: the back-end sees it, and tells its guest. If that fails, it is seen when the disk is attached anew. */
void xen_block_resize(struct plan *plan, const struct vdi *vdi, const struct data_path *path, uint64_t size);

/* Whether there is a loop device from Attach to Detach. */
bool xen_block_has_device(const struct vdi *vdi, const struct data_path *path);
