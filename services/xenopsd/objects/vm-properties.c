/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "vm-properties.h"

#include <errno.h>
#include <string.h>

#include "snapshot.h"
#include "spec.h"

/* Those of the VM and its guest */

int vm_get_uuid(void *object, struct idl_arena *arena, const char **ret) {
        *ret = ((struct vm *) object)->uuid;
        return 0;
}

int vm_get_backend(void *object, struct idl_arena *arena, const char **ret) {
        *ret = ((struct vm *) object)->spec.backend;
        return 0;
}

int vm_get_state(void *object, struct idl_arena *arena, enum xcp_vm_state *ret) {
        *ret = ((struct vm *) object)->state;
        return 0;
}

int vm_get_state_reason(void *object, struct idl_arena *arena, enum xcp_vm_state_reason *ret) {
        *ret = ((struct vm *) object)->reason;
        return 0;
}

int vm_get_state_detail(void *object, struct idl_arena *arena, const char **ret) {
        *ret = ((struct vm *) object)->detail ?: "";
        return 0;
}

int vm_get_ready(void *object, struct idl_arena *arena, bool *ret) {
        *ret = ((struct vm *) object)->ready;
        return 0;
}

int vm_get_started_us(void *object, struct idl_arena *arena, uint64_t *ret) {
        *ret = ((struct vm *) object)->started_usec;
        return 0;
}

int vm_get_domains(void *object, struct idl_arena *arena, const uint32_t **ret, size_t *ret_n) {
        const struct vm *vm = object;

        *ret = vm->domains;
        *ret_n = vm->n_domains;
        return 0;
}

int vm_get_pid(void *object, struct idl_arena *arena, uint32_t *ret) {
        *ret = ((struct vm *) object)->pid;
        return 0;
}

int vm_get_memory(void *object, struct idl_arena *arena, uint64_t *ret) {
        *ret = ((struct vm *) object)->spec.memory;
        return 0;
}

int vm_get_vcpus(void *object, struct idl_arena *arena, uint32_t *ret) {
        *ret = ((struct vm *) object)->spec.vcpus;
        return 0;
}

int vm_get_snapshots(void *object, struct idl_arena *arena, const struct xcp_vm_snapshot **ret, size_t *ret_n) {
        const struct vm *vm = object;
        struct xcp_vm_snapshot *list = idl_arena_alloc(arena, snapshot_count(vm) + 1, sizeof *list);
        size_t n = 0;

        if (!list)
                return -ENOMEM;
        for (const struct snapshot *snapshot = vm->snapshots; snapshot; snapshot = snapshot->next)
                list[n++] = (struct xcp_vm_snapshot) { snapshot->name, snapshot->created_usec, snapshot->memory };
        *ret = list;
        *ret_n = n;
        return 0;
}

int vm_get_addresses(void *object, struct idl_arena *arena, const struct xcp_guest_address **ret, size_t *ret_n) {
        const struct vm *vm = object;

        *ret = vm->addresses;
        *ret_n = vm->n_addresses;
        return 0;
}

const struct xcp_console_info *vm_consoles(const struct vm *vm, size_t *ret_n) {
        const struct hypervisor *hypervisor = vm->backend->hypervisor;
        const struct xcp_console_info *consoles = NULL;
        size_t n = 0;

        if (hypervisor->vm_consoles)
                consoles = hypervisor->vm_consoles(vm->backend->backend, &vm->spec);
        if (!consoles)
                consoles = hypervisor->consoles;
        while (consoles && consoles[n].name)
                n++;
        *ret_n = n;
        return consoles;
}

int vm_get_consoles(void *object, struct idl_arena *arena, const struct xcp_console_info **ret, size_t *ret_n) {
        const struct vm *vm = object;

        *ret = vm_consoles(vm, ret_n);
        if (!lifecycle_is_alive(vm->state))
                *ret_n = 0;
        return 0;
}

/* Those of the configuration, which can be written */

int vm_get_name(void *object, struct idl_arena *arena, const char **ret) {
        *ret = ((struct vm *) object)->spec.name;
        return 0;
}

static int change(struct vm *vm, const struct xcp_vm_spec *spec, struct idl_error *error) {
        int r;

        r = vm_change_spec(vm, spec, error);
        return r < 0 ? r : 1;
}

int vm_set_name(void *object, const char *name, struct idl_error *error) {
        struct vm *vm = object;
        struct xcp_vm_spec spec = vm->spec;
        int r;

        if (strcmp(name, spec.name) == 0)
                return 0;
        r = spec_check_name("Name", name, error);
        if (r < 0)
                return r;
        spec.name = name;
        return change(vm, &spec, error);
}

int vm_get_description(void *object, struct idl_arena *arena, const char **ret) {
        *ret = ((struct vm *) object)->spec.description;
        return 0;
}

int vm_set_description(void *object, const char *description, struct idl_error *error) {
        struct vm *vm = object;
        struct xcp_vm_spec spec = vm->spec;
        int r;

        if (strcmp(description, spec.description) == 0)
                return 0;
        r = spec_check_description("Description", description, error);
        if (r < 0)
                return r;
        spec.description = description;
        return change(vm, &spec, error);
}

int vm_get_labels(void *object, struct idl_arena *arena, const struct xcp_dict_s_s_entry **ret, size_t *ret_n) {
        const struct vm *vm = object;

        *ret = vm->spec.labels;
        *ret_n = vm->spec.n_labels;
        return 0;
}

int vm_set_labels(void *object, const struct xcp_dict_s_s_entry *labels, size_t n_labels, struct idl_error *error) {
        struct vm *vm = object;
        struct xcp_vm_spec spec = vm->spec;
        int r;

        r = spec_check_labels("Labels", labels, n_labels, error);
        if (r < 0)
                return r;
        spec.labels = labels;
        spec.n_labels = n_labels;
        return change(vm, &spec, error);
}

int vm_get_on_crash(void *object, struct idl_arena *arena, enum xcp_guest_action *ret) {
        *ret = ((struct vm *) object)->spec.on_crash;
        return 0;
}

int vm_set_on_crash(void *object, enum xcp_guest_action action, struct idl_error *error) {
        struct vm *vm = object;
        struct xcp_vm_spec spec = vm->spec;

        if (spec.on_crash == action)
                return 0;
        spec.on_crash = action;
        return change(vm, &spec, error);
}

int vm_get_on_reboot(void *object, struct idl_arena *arena, enum xcp_guest_action *ret) {
        *ret = ((struct vm *) object)->spec.on_reboot;
        return 0;
}

int vm_set_on_reboot(void *object, enum xcp_guest_action action, struct idl_error *error) {
        struct vm *vm = object;
        struct xcp_vm_spec spec = vm->spec;

        if (spec.on_reboot == action)
                return 0;
        spec.on_reboot = action;
        return change(vm, &spec, error);
}

int vm_get_autostart(void *object, struct idl_arena *arena, bool *ret) {
        *ret = ((struct vm *) object)->spec.autostart;
        return 0;
}

int vm_set_autostart(void *object, bool autostart, struct idl_error *error) {
        struct vm *vm = object;
        struct xcp_vm_spec spec = vm->spec;

        if (spec.autostart == autostart)
                return 0;
        spec.autostart = autostart;
        return change(vm, &spec, error);
}

int vm_get_autostart_order(void *object, struct idl_arena *arena, uint32_t *ret) {
        *ret = ((struct vm *) object)->spec.autostart_order;
        return 0;
}

int vm_set_autostart_order(void *object, uint32_t order, struct idl_error *error) {
        struct vm *vm = object;
        struct xcp_vm_spec spec = vm->spec;

        if (spec.autostart_order == order)
                return 0;
        spec.autostart_order = order;
        return change(vm, &spec, error);
}

int vm_get_autostart_delay_ms(void *object, struct idl_arena *arena, uint32_t *ret) {
        *ret = ((struct vm *) object)->spec.autostart_delay_ms;
        return 0;
}

int vm_set_autostart_delay_ms(void *object, uint32_t delay_ms, struct idl_error *error) {
        struct vm *vm = object;
        struct xcp_vm_spec spec = vm->spec;
        int r;

        if (spec.autostart_delay_ms == delay_ms)
                return 0;
        r = spec_check_autostart_delay("AutostartDelayMs", delay_ms, error);
        if (r < 0)
                return r;
        spec.autostart_delay_ms = delay_ms;
        return change(vm, &spec, error);
}
