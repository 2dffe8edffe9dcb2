/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Steps of saving and restoring memory that others have too: operations-save.c. The VDI is attached as ATTACHMENT_SAVED. */

#include "job.h"

int save_attach(struct job *job, const char *vdi, struct idl_error *error);
int save_detach(struct job *job, struct idl_error *error);
int save_open(struct job *job, struct idl_error *error);        /* to be written */
int save_write(struct job *job, struct idl_error *error);
int save_undo_write(struct job *job, struct idl_error *error);
int save_deactivate(struct job *job, struct idl_error *error);

/* The memory is there, durably. */
int save_keep(struct job *job, const char *vdi, enum store_passing passing, struct idl_error *error);

int restore_open(struct job *job, struct idl_error *error);     /* to be read */
int restore_read(struct job *job, struct idl_error *error);
int restore_resume(struct job *job, struct idl_error *error);   /* unless job->flag */
int restore_done(struct job *job, struct idl_error *error);     /* the memory does not fit the disks any more */

/* What the memory has to have in a VDI. */
uint64_t save_size(const struct vm *vm);
