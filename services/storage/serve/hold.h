/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Holds: whoever has a disk Activated holds it, by a lock of its file (io/lock.c), for writing alone unless the disk is Sharable. It is the same for all kinds
 * of data paths, and keeps those from it whom this service knows nothing of: another service with the same storage, or what such a one has left behind.
 *
 * The lock is the service's from Activate to Deactivate, and of what serves the disk, too, so that it lasts until that has ended.
 */

#include "data-path.h"
#include "storage.h"

struct operation;

/* A step that takes it for a reader; Busy, with the holder, if somebody else has it. hold_done() is to come when the operation has ended. */
int hold_plan(struct operation *operation, struct vdi *vdi, const struct data_path *path);
void hold_done(const struct operation *operation, struct vdi *vdi);

/* As data paths say, after a restart: those that are missing are taken as soon as nobody else has them, and those let go that nobody needs. */
void holds_settle(struct vdi *vdi);

/* -1: it is not held yet. */
int hold_fd(const struct vdi *vdi, const char *reader);

void hold_drop(const struct vdi *vdi, const char *reader);

/* The service is another process's: all that are for nobody who is served here. */
void holds_leave(struct storage *storage);
void holds_stop(struct storage *storage);
