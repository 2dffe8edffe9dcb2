/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Specs: the configuration of a VM, checked and completed.
 *
 * What a caller leaves out is chosen here: UUID, names of devices, MAC addresses. What is wrong is InvalidArgument or LimitExceeded,
 * with the name of the argument as the caller wrote it. What only the rest of the world can tell (whether a name is taken, a file
 * exists, a backend knows an option) is not looked at.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "idl.h"
#include "xcp-types.h"
#include "spec-limits.h"

#define SPEC_VDI_PREFIX "/org/xen/xcp/storage/vdi/"

/* What a spec is completed from. */
struct spec_defaults {
        const char *backend;            /* for a spec that names none */
        bool (*has_mac)(void *userdata, const char *mac);       /* whether some VM has it already; NULL: none has any */
        void *userdata;
};

/* Checks and completes. What is in *ret_spec is in the arena, or the caller's. */
int spec_complete(const struct xcp_vm_spec *spec, const struct spec_defaults *defaults, struct idl_arena *arena,
                  struct xcp_vm_spec *ret_spec, struct idl_error *error);

/* The same for a device to be added to a spec that is complete. name: of the argument. */
int spec_complete_disk(const struct xcp_vm_spec *spec, const struct xcp_disk_spec *disk, const char *name, struct idl_arena *arena,
                       struct xcp_disk_spec *ret_disk, struct idl_error *error);
int spec_complete_network(const struct xcp_vm_spec *spec, const struct xcp_network_interface_spec *network,
                          const struct spec_defaults *defaults, const char *name, struct idl_arena *arena,
                          struct xcp_network_interface_spec *ret_network, struct idl_error *error);

/* Single values. */
int spec_check_name(const char *name, const char *value, struct idl_error *error);
int spec_check_description(const char *name, const char *value, struct idl_error *error);
int spec_check_labels(const char *name, const struct xcp_dict_s_s_entry *labels, size_t n_labels, struct idl_error *error);
int spec_check_memory(const char *name, uint64_t memory, struct idl_error *error);
int spec_check_vcpus(const char *name, uint32_t vcpus, struct idl_error *error);
int spec_check_autostart_delay(const char *name, uint32_t ms, struct idl_error *error);
int spec_check_network_name(const char *name, const char *value, struct idl_error *error);
int spec_check_vdi(const char *name, const char *value, struct idl_error *error);

/* None of the disks that there are. */
int spec_check_is_new_vdi(const struct xcp_vm_spec *spec, const char *name, const char *vdi, struct idl_error *error);

/* A UUID in lower case, which needs 37 bytes. -EINVAL if it is none. */
int spec_uuid(const char *text, char *ret_uuid);

/* Whether a snapshot has the disk: what its guest can change, as far as storage has it. */
bool spec_is_kept(const struct xcp_disk_spec *disk);

/* What a running VM may have. */
uint64_t spec_memory_max(const struct xcp_vm_spec *spec);
uint32_t spec_vcpus_max(const struct xcp_vm_spec *spec);
