/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is done with a QEMU guest: functions of hypervisor.h, which says what each has to do. hotplug.c has devices, medium.c drives, resize.c
 * memory, vcpus.c virtual CPUs, stream.c what goes elsewhere.
 */

#include "action.h"

int operation_query(void *guest, struct hypervisor_call *call, struct idl_error *error);
int operation_prepare(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, struct idl_error *error);
int operation_start(void *guest, struct hypervisor_call *call, bool paused, struct idl_error *error);
int operation_stop(void *guest, struct hypervisor_call *call, uint32_t timeout_ms, bool *ret_forced, struct idl_error *error);
int operation_reboot(void *guest, struct hypervisor_call *call, uint32_t timeout_ms, struct idl_error *error);
int operation_reset(void *guest, struct hypervisor_call *call, struct idl_error *error);
int operation_suspend(void *guest, struct hypervisor_call *call, struct idl_error *error);
int operation_resume(void *guest, struct hypervisor_call *call, struct idl_error *error);
int operation_destroy(void *guest, struct hypervisor_call *call, struct idl_error *error);
int operation_power_button(void *guest, struct idl_error *error);

int statistics_vm(void *guest, struct hypervisor_call *call, struct idl_error *error);
int statistics_disk(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error);
int statistics_network(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error);

int resize_set_memory(void *guest, struct hypervisor_call *call, uint64_t memory, struct idl_error *error);

int vcpus_set(void *guest, struct hypervisor_call *call, uint32_t vcpus, struct idl_error *error);
uint32_t vcpus_count(struct json_object *cpus);        /* of query-hotpluggable-cpus; 0: that is no such answer */
bool vcpus_is_one(struct json_object *data);            /* whether an event is of one that was plugged */

int hotplug_plug_disk(void *guest, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error);
int hotplug_unplug_disk(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error);
int hotplug_plug_network(void *guest, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec, struct idl_error *error);
int hotplug_unplug_network(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error);
int hotplug_move_network(void *guest, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec, struct idl_error *error);
int hotplug_set_network(void *guest, const struct xcp_network_interface_spec *spec, struct idl_error *error);

int medium_change(void *guest, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error);
