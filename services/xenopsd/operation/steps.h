/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Steps that several operations have in common. */

#include "attachment.h"
#include "job.h"

/* Disks: attaches all of the VM's, and activates them as far as job->activates; detaches them, which never fails. */
int step_attach_disks(struct job *job, struct idl_error *error);
int step_detach_disks(struct job *job, struct idl_error *error);

/* One disk: what it is now, or is to be. */
int step_attach_disk(struct job *job, const struct xcp_disk_spec *disk, struct idl_error *error);
int step_detach_disk(struct job *job, const char *disk);

/* Activates or deactivates all that are attached. */
int step_activate_disks(struct job *job, struct idl_error *error);
int step_deactivate_disks(struct job *job, struct idl_error *error);

/* Where disks are, for the backend. In the job's arena. */
int steps_locate_disk(struct job *job, const struct xcp_disk_spec *spec, struct hypervisor_disk *ret_disk, struct idl_error *error);
int steps_make_config(struct job *job, struct hypervisor_config *ret_config, struct idl_error *error);

/* Takes away what a guest left; whatever there is of one. */
int step_clean(struct job *job, struct idl_error *error);
int step_destroy(struct job *job, struct idl_error *error);

/* The backend says what the VM is now. */
int step_look(struct job *job, struct idl_error *error);

int step_resume(struct job *job, struct idl_error *error);
