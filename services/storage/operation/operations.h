/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What can be done, as operations. Each function starts one for a call, and gives the path of its task; or, where there is no path, has
 * the call answered later. What can be seen to be wrong at once is refused at once.
 */

#include "call.h"
#include "storage.h"

/* Storage repositories: sr-operations.c, sr-make.c */
int sr_create(struct storage *storage, struct idl_call *call, const struct xcp_sr_spec *spec, bool introduce, const char **ret_path,
              struct idl_error *error);
int sr_attach(struct sr *sr, struct idl_call *call, const char **ret_path, struct idl_error *error);
int sr_detach(struct sr *sr, struct idl_call *call, const char **ret_path, struct idl_error *error);
int sr_scan(struct sr *sr, struct idl_call *call, const char **ret_path, struct idl_error *error);
int sr_forget(struct sr *sr, struct idl_call *call, const char **ret_path, struct idl_error *error);
int sr_destroy(struct sr *sr, struct idl_call *call, const char **ret_path, struct idl_error *error);
int sr_get_space(struct sr *sr, struct idl_call *call, struct idl_error *error);

/* The service itself: looks after one that was attached when it ended, or that is unreachable. */
void sr_probe(struct sr *sr);

/* New disks: vdi-make.c, vdi-snapshot.c */
int vdi_create(struct sr *sr, struct idl_call *call, const struct xcp_vdi_spec *spec, const char **ret_path, struct idl_error *error);
int vdi_import(struct sr *sr, struct idl_call *call, const struct xcp_vdi_spec *spec, int source, enum xcp_vdi_format format,
               const char **ret_path, struct idl_error *error);
int vdi_copy(struct vdi *vdi, struct idl_call *call, struct sr *to, const struct xcp_vdi_spec *spec, const char **ret_path,
             struct idl_error *error);
int vdi_snapshot(struct vdi *vdi, struct idl_call *call, const char *name, bool clone, const char **ret_path, struct idl_error *error);

/* Disks that are there: vdi-change.c */
int vdi_resize(struct vdi *vdi, struct idl_call *call, uint64_t size, const char **ret_path, struct idl_error *error);
int vdi_export(struct vdi *vdi, struct idl_call *call, int sink, enum xcp_vdi_format format, const char **ret_path,
               struct idl_error *error);
int vdi_destroy(struct vdi *vdi, struct idl_call *call, const char **ret_path, struct idl_error *error);
int vdi_get_usage(struct vdi *vdi, struct idl_call *call, struct idl_error *error);
void vdi_note(struct vdi *vdi);         /* its name or flags have changed */

/* Data paths: vdi-path.c */
int vdi_attach(struct vdi *vdi, struct idl_call *call, const char *reader, enum xcp_disk_mode mode, const enum xcp_data_path_kind *kinds,
               size_t n_kinds, const char **ret_path, struct idl_error *error);
int vdi_activate(struct vdi *vdi, struct idl_call *call, const char *reader, const char **ret_path, struct idl_error *error);
int vdi_deactivate(struct vdi *vdi, struct idl_call *call, const char *reader, const char **ret_path, struct idl_error *error);
int vdi_detach(struct vdi *vdi, struct idl_call *call, const char *reader, const char **ret_path, struct idl_error *error);
