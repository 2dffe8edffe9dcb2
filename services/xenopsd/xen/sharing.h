/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Disks of a guest that moves while it runs. For a while there are two back-ends of each, here and where it goes, and nobody tells the one what
 * the other has written. A block device or a raw file is the same to both. An image is not: where in it what is, each QEMU knows by itself,
 * and what the first has allocated since the second has opened it, that overwrites.
 */

#include <stdbool.h>

#include <libxl.h>

#define SHARING_FORMAT_SIZE 16u

/*
 * Whether it can have two. params: what the back-end was given in xenstore, FORMAT:PATH for QEMU's; NULL if that cannot be read. ret_format: in
 * what format it is, if not.
 */
bool xen_disk_is_shareable(const libxl_device_disk *disk, const char *params, char *ret_format);
