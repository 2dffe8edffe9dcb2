/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VDIs that a job makes, one at a time. Each is written down as garbage of the job (garbage.h) before the storage service is asked for
 * it; the job's last transaction says that it is none.
 */

#include "job.h"

#define MAKING_TIMEOUT_USEC (3600 * UINT64_C(1000000))  /* a snapshot of a raw disk may be a copy of all of it */

/* Gives the job an owner's name, of which there is no other. */
int making_begin(struct job *job);

/* What a VDI of the job is called as long as it is garbage; in the job's arena. NULL: no memory. */
const char *making_name(struct job *job, const char *kind, const char *what);

/* Calls a method that makes one under that name. done gets what making_end() reads. 0: it is under way. */
int making_call(struct job *job, const char *name, sd_bus_message *call, remote_task_done_t done, struct idl_error *error);

/* In done: the VDI that there is now, in the job's arena. */
int making_end(struct job *job, int r, sd_bus_message *result, const char **ret_vdi, struct idl_error *error);

/* A copy of a configuration whose disks can be changed, as job->spec. */
int making_copy_spec(struct job *job, const struct xcp_vm_spec *spec);
void making_set_vdi(struct job *job, size_t disk, const char *vdi);
