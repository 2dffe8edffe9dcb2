/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Sources: what is behind a QEMU guest's disk. A file, a block device or an NBD export is a block node of QEMU's, with a disk on top; a
 * vhost-user socket is a character device, and the disk is whoever is at its other end.
 */

#include "options.h"

struct json_object;

/* The kinds of data path for a disk of the storage service, what is liked best first; 0 ends them. is_served: it is also to be read now. */
const enum xcp_data_path_kind *source_kinds(const struct qemu_options *options, const struct xcp_disk_spec *disk, bool is_served);

/* Refuses one that cannot be used. */
int source_check(const struct xcp_data_path *path, struct idl_error *error);

bool source_is_socket(const struct xcp_data_path *path);

/* Of a socket: somebody answers there although the disk is not active yet. */
bool source_stands_by(const struct xcp_data_path *path);

/* Identifiers of the node or character device of a disk. ret_id has QEMU_ID_SIZE bytes. */
void source_node(const char *disk, char *ret_id);
void source_chardev(const char *disk, char *ret_id);

/* The block node of a disk whose path is no socket. NULL: without memory. */
struct json_object *source_describe_node(const struct hypervisor_disk *disk);

/* What keeps a disk to its limits: an object that its node refers to, and that is there before it and after it. */
bool source_has_limits(const struct xcp_disk_spec *disk);
void source_limits(const char *disk, char *ret_id);
struct json_object *source_describe_limits(const struct xcp_disk_spec *disk);

/* The character device of one whose path is a socket: as the monitor wants it, and as the command line does (for free()). */
struct json_object *source_describe_chardev(const struct hypervisor_disk *disk);
char *source_print_chardev(const struct hypervisor_disk *disk);
