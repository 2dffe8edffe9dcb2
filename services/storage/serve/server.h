/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Servers: the processes behind data paths that are sockets, one for each Activated reader of such a kind.
 *
 *                  VhostUser                               Nbd
 *      raw         xcp-vhost-blk                           qemu-storage-daemon
 *      qcow2       qemu-storage-daemon,                    qemu-storage-daemon
 *                  before it xcp-vhost-relay
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

/*
 * A reader who attaches while another is Activated is about to take its place, as in a migration, and its front-end has to find somebody before that: a
 * server that answers whatever it asks and does not touch the disk, until the reader is Activated. Over VhostUser, both can; the data path says so.
 */
void servers_stand_by(struct vdi *vdi, const char *reader);

/* Starts what is missing for a disk, and ends what should not be there. */
void servers_settle(struct vdi *vdi);

/*
 * Asks a reader's server to end, if there is one, and has the operation wait until it has: a step of its plan. There is no other in its place, whatever
 * the data path says meanwhile, before server_ended().
 */
int server_end(struct operation *operation, struct vdi *vdi, const char *reader);
void server_ended(const struct operation *operation, struct vdi *vdi);

/* A reader has detached: what an earlier process of the service's may have left of his socket goes, too. */
void server_detached(const struct vdi *vdi, const char *reader);

/*
 * A loop device that a keeper has. Attach is Busy, until it is known that there is no keeper any more: then the reader has one here, and the other is forgotten. The
 * keeper as the database has it; NULL: none.
 */
int server_left_check_attach(const struct vdi *vdi, const char *reader, struct idl_error *error);
int server_left_attached(const struct vdi *vdi, const char *reader);
int server_left_keeper(const struct vdi *vdi, const char *reader, char **ret_keeper);

/* Unreachable: it is another process's, which does not say that it has ended. */
int server_check_ended(const struct vdi *vdi, const char *reader, struct idl_error *error);

/*
 * Whether a disk can become larger as it is used now: Busy, if those cannot be told who have its image open. The plan begins with what has to be done to what serves it, and
 * if that makes the disk larger itself, SERVERS_RESIZE is returned; server_ended() is to come when the operation has ended.
 */
enum { SERVERS_RESIZE = 1 };
int servers_check_resize(const struct vdi *vdi, struct idl_error *error);
int servers_plan_resize(struct operation *operation, struct vdi *vdi, uint64_t size, struct idl_error *error);

/* A disk has become larger; its limits have changed. */
void servers_resized(const struct vdi *vdi);
void servers_limited(const struct vdi *vdi);

/* What a reader has done. BadState: it is not Activated. NotSupported: nobody counts. */
int server_get_statistics(const struct vdi *vdi, const char *reader, struct xcp_data_path_statistics *ret_statistics, struct idl_error *error);

/*
 * A move of the service, docs/storage.md. Who leaves: servers_leave() has those that are used go on as they are, under a keeper (keeper.h), and ends the others.
 * Who takes over finds which keeper has them in the state that it is given, servers_left_one(), and asks it from servers_left_watch() on; when one has
 * ended, another is started here.
 */
int servers_keep(struct storage *storage, const char *keeper);         /* in the database, of those that a keeper would have; "": of none */
bool servers_are_here(const struct storage *storage);                   /* whether there is one */
void servers_leave(struct storage *storage);
int servers_left_one(struct vdi *vdi, const struct data_path *path, const char *keeper);
void servers_left_watch(struct storage *storage);

/* All of them end now. */
void servers_stop(struct storage *storage);
