/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Devices that come and go while a Xen guest is there. */

#include "hypervisor.h"

int xen_hotplug_plug_disk(void *guest, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error);
int xen_hotplug_unplug_disk(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error);
int xen_hotplug_change_medium(void *guest, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error);
int xen_hotplug_plug_network(void *guest, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec,
                         struct idl_error *error);
int xen_hotplug_unplug_network(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error);
