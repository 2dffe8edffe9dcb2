/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The properties of org.xen.xcp.xenopsd1.VM. */

#include "vm.h"

/* The consoles that its guests have. */
const struct xcp_console_info *vm_consoles(const struct vm *vm, size_t *ret_n);

int vm_get_uuid(void *object, struct idl_arena *arena, const char **ret);
int vm_get_name(void *object, struct idl_arena *arena, const char **ret);
int vm_set_name(void *object, const char *name, struct idl_error *error);
int vm_get_description(void *object, struct idl_arena *arena, const char **ret);
int vm_set_description(void *object, const char *description, struct idl_error *error);
int vm_get_labels(void *object, struct idl_arena *arena, const struct xcp_dict_s_s_entry **ret, size_t *ret_n);
int vm_set_labels(void *object, const struct xcp_dict_s_s_entry *labels, size_t n_labels, struct idl_error *error);
int vm_get_backend(void *object, struct idl_arena *arena, const char **ret);
int vm_get_state(void *object, struct idl_arena *arena, enum xcp_vm_state *ret);
int vm_get_state_reason(void *object, struct idl_arena *arena, enum xcp_vm_state_reason *ret);
int vm_get_state_detail(void *object, struct idl_arena *arena, const char **ret);
int vm_get_ready(void *object, struct idl_arena *arena, bool *ret);
int vm_get_started_us(void *object, struct idl_arena *arena, uint64_t *ret);
int vm_get_domains(void *object, struct idl_arena *arena, const uint32_t **ret, size_t *ret_n);
int vm_get_pid(void *object, struct idl_arena *arena, uint32_t *ret);
int vm_get_memory(void *object, struct idl_arena *arena, uint64_t *ret);
int vm_get_vcpus(void *object, struct idl_arena *arena, uint32_t *ret);
int vm_get_addresses(void *object, struct idl_arena *arena, const struct xcp_guest_address **ret, size_t *ret_n);
int vm_get_consoles(void *object, struct idl_arena *arena, const struct xcp_console_info **ret, size_t *ret_n);
int vm_get_snapshots(void *object, struct idl_arena *arena, const struct xcp_vm_snapshot **ret, size_t *ret_n);
int vm_get_on_crash(void *object, struct idl_arena *arena, enum xcp_guest_action *ret);
int vm_set_on_crash(void *object, enum xcp_guest_action action, struct idl_error *error);
int vm_get_on_reboot(void *object, struct idl_arena *arena, enum xcp_guest_action *ret);
int vm_set_on_reboot(void *object, enum xcp_guest_action action, struct idl_error *error);
int vm_get_autostart(void *object, struct idl_arena *arena, bool *ret);
int vm_set_autostart(void *object, bool autostart, struct idl_error *error);
int vm_get_autostart_order(void *object, struct idl_arena *arena, uint32_t *ret);
int vm_set_autostart_order(void *object, uint32_t order, struct idl_error *error);
int vm_get_autostart_delay_ms(void *object, struct idl_arena *arena, uint32_t *ret);
int vm_set_autostart_delay_ms(void *object, uint32_t delay_ms, struct idl_error *error);

#define VM_PROPERTY_HANDLERS \
        .get_uuid = vm_get_uuid, .get_name = vm_get_name, .set_name = vm_set_name, .get_description = vm_get_description, \
        .set_description = vm_set_description, .get_labels = vm_get_labels, .set_labels = vm_set_labels, \
        .get_backend = vm_get_backend, .get_state = vm_get_state, .get_state_reason = vm_get_state_reason, \
        .get_state_detail = vm_get_state_detail, .get_ready = vm_get_ready, .get_started_us = vm_get_started_us, \
        .get_domains = vm_get_domains, .get_pid = vm_get_pid, .get_memory = vm_get_memory, .get_vcpus = vm_get_vcpus, \
        .get_addresses = vm_get_addresses, .get_consoles = vm_get_consoles, .get_snapshots = vm_get_snapshots, \
        .get_on_crash = vm_get_on_crash, \
        .set_on_crash = vm_set_on_crash, .get_on_reboot = vm_get_on_reboot, .set_on_reboot = vm_set_on_reboot, \
        .get_autostart = vm_get_autostart, .set_autostart = vm_set_autostart, \
        .get_autostart_order = vm_get_autostart_order, .set_autostart_order = vm_set_autostart_order, \
        .get_autostart_delay_ms = vm_get_autostart_delay_ms, .set_autostart_delay_ms = vm_set_autostart_delay_ms
