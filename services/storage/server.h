/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Servers: the processes behind data paths that are sockets, one for each Activated reader of such a kind.
 *
 *                  VhostUser                               Nbd
 *      raw         xcp-vhost-blk                           qemu-storage-daemon
 *      qcow2       qemu-storage-daemon                     qemu-storage-daemon
 *
 * Data paths say what should be (data-path.h), and servers_settle() makes it so. The socket is this service's: it listens before the process is
 * there, and while it is started again after it died, so that no reader finds nobody.
 */

#include <stdbool.h>

#include "data-path.h"
#include "storage.h"

struct operation;

/* The kinds of data paths that have servers: bits 1 << enum xcp_data_path_kind. */
#define SERVER_KINDS (1u << XCP_DATA_PATH_KIND_VHOST_USER | 1u << XCP_DATA_PATH_KIND_NBD)

static inline bool server_is_kind(enum xcp_data_path_kind kind) {
        return SERVER_KINDS & 1u << kind;
}

/* Where the socket, or whatever else leads to a disk, is for a reader: its own, and short. The caller's. NULL: out of memory. */
char *server_make_path(const struct vdi *vdi, const char *reader);

/* Says in a data path where the socket is, or will be. -ENAMETOOLONG: the state directory has too long a path for sockets. */
int server_describe(const struct vdi *vdi, const char *reader, struct idl_arena *arena, struct xcp_data_path *path);

/* Starts what is missing for a disk, and ends what should not be there. */
void servers_settle(struct vdi *vdi);

/*
 * Asks a reader's server to end, if there is one, and has the operation wait until it has: a step of its plan. There is no other in its place, whatever
 * the data path says meanwhile, before server_ended().
 */
int server_end(struct operation *operation, struct vdi *vdi, const char *reader);
void server_ended(const struct operation *operation, struct vdi *vdi);

/* A disk has become larger; its limits have changed. */
void servers_resized(const struct vdi *vdi);
void servers_limited(const struct vdi *vdi);

/* What a reader has done. BadState: it is not Activated. NotSupported: nobody counts. */
int server_get_statistics(const struct vdi *vdi, const char *reader, struct xcp_data_path_statistics *ret_statistics, struct idl_error *error);

/*
 * The service is another process's from now on, and will start servers of its own, which wait until these have ended. Those that can outlive this process
 * do so, as long as their front-ends are connected; servers_stop() leaves them alone.
 */
void servers_leave(struct storage *storage);

/* All of them end now. */
void servers_stop(struct storage *storage);
