/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a server is told: the program and its arguments. Its descriptor 3 is the listening socket, 4 a pipe with
 * commands for xcp-vhost-blk or QEMU's monitor, 5 the memory in which that counts, 6 what has the lock of the disk (hold.h). */

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "data-path.h"
#include "storage.h"

#define SERVER_EXPORT "disk"                    /* the name of an NBD export: each socket has one */
#define SERVER_LIMITS "limits"                  /* the name of QEMU's object that has them */

/* stands_by: it is told later to begin (over VhostUser only). */
int server_command(const struct vdi *vdi, const struct data_path *path, bool stands_by, struct idl_arena *arena, const char *const **ret_argv);

/* Whether it is xcp-vhost-blk: it can be told of a new size and other limits, and it counts. */
bool server_is_ours(const struct vdi *vdi, const struct data_path *path);

/* Whether it is a qemu-storage-daemon behind xcp-vhost-relay, which stands by with an understudy. */
bool server_is_relayed(const struct vdi *vdi, const struct data_path *path);

/* The size that it is told. */
uint64_t server_told_size(const struct vdi *vdi);
