/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What new disks have in common, however they are made: vdi-make.c, vdi-snapshot.c. */

#include "operation.h"

/* One with a name, for snapshots, clones, and what passes through: its UUID is taken. */
int vdi_new_named(struct sr *sr, const char *name, struct vdi **ret_vdi, struct idl_error *error);

/* Can a disk be copied as it is used now? */
int vdi_check_source(const struct vdi *vdi, struct idl_error *error);

/* The intents of the operation's new disk, and of its stage; the steps of a copy, with those. */
int vdi_intend_making(struct operation *operation, struct idl_error *error);
int vdi_plan_full_copy(struct operation *operation, struct idl_error *error);

/* It is there: into the database, where its intent goes, and onto the bus. */
int vdi_make_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error);
