/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The disks and network interfaces of a VM, as objects. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "objects.h"
#include "vm.h"
#include "xenopsd1-disk.h"
#include "xenopsd1-network-interface.h"

/* Objects are at vm/UUID and below, with _ for -: none of the names has a _ of its own. */
int vm_object_path(const char *uuid, const struct device *device, char *text, size_t size) {
        int n;

        n = snprintf(text, size, XENOPSD_VM_PREFIX "/%s%s%s", uuid, device ? device->is_disk ? "/disk/" : "/network/" : "",
                     device ? device->name : "");
        if (n < 0 || (size_t) n >= size)
                return -ENAMETOOLONG;
        for (char *p = text; *p; p++)
                if (*p == '-')
                        *p = '_';
        return 0;
}

int vm_publish_device(struct device *device) {
        struct xenopsd *xenopsd = device->vm->xenopsd;
        char path[256];
        int r;

        r = vm_object_path(device->vm->uuid, device, path, sizeof path);
        return r < 0 ? r : objects_add_path(device->is_disk ? xenopsd->disks : xenopsd->networks, path, device, &device->path);
}

void vm_unpublish_device(struct device *device) {
        if (device->path)
                objects_remove(device->is_disk ? device->vm->xenopsd->disks : device->vm->xenopsd->networks, device->path);
        device->path = NULL;
}

const struct xcp_disk_spec *vm_disk_spec(const struct vm *vm, const char *name) {
        for (size_t i = 0; i < vm->spec.n_disks; i++)
                if (strcmp(vm->spec.disks[i].name, name) == 0)
                        return vm->spec.disks + i;
        return NULL;
}

const struct xcp_network_interface_spec *vm_network_spec(const struct vm *vm, const char *name) {
        for (size_t i = 0; i < vm->spec.n_network_interfaces; i++)
                if (strcmp(vm->spec.network_interfaces[i].name, name) == 0)
                        return vm->spec.network_interfaces + i;
        return NULL;
}

struct device *vm_find_device(struct vm *vm, bool is_disk, const char *name) {
        for (struct device *device = vm->devices; device; device = device->next)
                if (device->is_disk == is_disk && strcmp(device->name, name) == 0)
                        return device;
        return NULL;
}

int vm_add_device(struct vm *vm, bool is_disk, const char *name, struct device **ret_device) {
        struct device *device = calloc(1, sizeof *device), **p = &vm->devices;
        int r;

        if (!device)
                return -ENOMEM;
        *device = (struct device) { .vm = vm, .is_disk = is_disk, .name = strdup(name) };
        r = device->name ? 0 : -ENOMEM;
        while (*p)
                p = &(*p)->next;
        *p = device;
        if (r >= 0 && vm->path)
                r = vm_publish_device(device);
        if (r < 0) {
                vm_remove_device(device);
                return r;
        }
        if (ret_device)
                *ret_device = device;
        return 0;
}

void vm_remove_device(struct device *device) {
        struct device **p = &device->vm->devices;

        vm_unpublish_device(device);
        while (*p != device)
                p = &(*p)->next;
        *p = device->next;
        free(device->name);
        free(device);
}

void vm_set_plugged(struct device *device, bool plugged) {
        sd_bus *bus = device->vm->xenopsd->bus;

        if (device->plugged == plugged)
                return;
        device->plugged = plugged;
        if (!device->path)
                return;
        if (device->is_disk)
                xenopsd1_disk_emit_changed(bus, device->path, XENOPSD1_DISK_PROPERTY_PLUGGED);
        else
                xenopsd1_network_interface_emit_changed(bus, device->path, XENOPSD1_NETWORK_INTERFACE_PROPERTY_PLUGGED);
}

static int add_new_devices(struct vm *vm) {
        int r = 0;

        for (size_t i = 0; i < vm->spec.n_disks && r >= 0; i++)
                if (!vm_find_device(vm, true, vm->spec.disks[i].name))
                        r = vm_add_device(vm, true, vm->spec.disks[i].name, NULL);
        for (size_t i = 0; i < vm->spec.n_network_interfaces && r >= 0; i++)
                if (!vm_find_device(vm, false, vm->spec.network_interfaces[i].name))
                        r = vm_add_device(vm, false, vm->spec.network_interfaces[i].name, NULL);
        return r;
}

int vm_take_spec(struct vm *vm, struct idl_arena *arena, const struct xcp_vm_spec *spec) {
        idl_arena_done(&vm->arena);
        vm->arena = *arena;
        *arena = (struct idl_arena) IDL_ARENA_NULL;
        vm->spec = *spec;
        for (struct device *device = vm->devices, *next; device; device = next) {
                next = device->next;
                if (device->is_disk ? !vm_disk_spec(vm, device->name) : !vm_network_spec(vm, device->name))
                        vm_remove_device(device);
        }
        return add_new_devices(vm);
}
