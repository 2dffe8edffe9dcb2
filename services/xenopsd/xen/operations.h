/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What hypervisor.h wants done with a guest, but for devices (hotplug.h), figures (statistics.h) and ways elsewhere (stream.h). */

#include "hypervisor.h"

int xen_query(void *guest, struct hypervisor_call *call, struct idl_error *error);
int xen_prepare(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, struct idl_error *error);
int xen_start(void *guest, struct hypervisor_call *call, bool paused, struct idl_error *error);
int xen_stop(void *guest, struct hypervisor_call *call, uint32_t timeout_ms, bool *ret_forced, struct idl_error *error);
int xen_reboot(void *guest, struct hypervisor_call *call, uint32_t timeout_ms, struct idl_error *error);
int xen_reset(void *guest, struct hypervisor_call *call, struct idl_error *error);
int xen_suspend(void *guest, struct hypervisor_call *call, struct idl_error *error);
int xen_resume(void *guest, struct hypervisor_call *call, struct idl_error *error);
int xen_destroy(void *guest, struct hypervisor_call *call, struct idl_error *error);
int xen_power_button(void *guest, struct idl_error *error);
int xen_set_memory(void *guest, struct hypervisor_call *call, uint64_t memory, struct idl_error *error);
int xen_set_vcpus(void *guest, struct hypervisor_call *call, uint32_t vcpus, struct idl_error *error);
