/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Configurations, as libxl wants them: a domain's, and those of its devices. Nothing here asks Xen. */

#include <libxl.h>

#include "facts.h"

#define CONFIG_DISKS_HVM_MAX 4u         /* that an HVM guest's firmware sees: two IDE controllers with two each */
#define CONFIG_VDEV_SIZE 8u

/* What kind of domain a VM is: Auto is PVH for one with a kernel, and HVM for all else. */
libxl_domain_type xen_config_type(const struct xcp_vm_spec *spec);

/* Refuses what cannot be had with Xen. */
int xen_config_check(const struct xcp_vm_spec *spec, struct idl_error *error);
int xen_config_check_network(const struct xcp_network_interface_spec *spec, const char *name, struct idl_error *error);

/*
 * A domain's, of that name, to be disposed of. Facts get its devices; with those that are there, as of a guest that comes from elsewhere,
 * they are where they were.
 */
int xen_config_make(libxl_domain_config *ret_config, const struct hypervisor_config *config, const char *name, struct xen_facts *facts,
                struct idl_error *error);

/* Devices, to be disposed of. */
int xen_config_make_disk(libxl_device_disk *ret_disk, libxl_domain_type type, const struct hypervisor_disk *disk, uint32_t index,
                     struct idl_error *error);
int xen_config_make_network(libxl_device_nic *ret_nic, libxl_domain_type type, const struct xcp_network_interface_spec *spec,
                            uint32_t index);

/* A domain whose devices were made for `facts` gets them where `there` says they were; those that were unplugged it does not get. */
int xen_config_move(libxl_domain_config *config, struct xen_facts *facts, struct xen_facts *there);

/* What the guest's disk of that index is called: xvda, or hda. */
void xen_config_name_vdev(libxl_domain_type type, uint32_t index, char *ret_vdev);
