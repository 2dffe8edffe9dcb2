/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The addresses of a VM's guest: those that it is configured to have, and those that its backend knows. */

#include <string.h>

#include "spec.h"
#include "vm.h"

#define STATIC_MAX (SPEC_NETWORK_INTERFACES_MAX * SPEC_ADDRESSES_MAX)

struct found {
        struct xcp_guest_address list[STATIC_MAX + HYPERVISOR_ADDRESSES_MAX];
        size_t n;
};

static bool is_among(const struct found *found, const struct xcp_guest_address *address) {
        for (size_t i = 0; i < found->n; i++)
                if (strcmp(found->list[i].address, address->address) == 0 && strcmp(found->list[i].mac, address->mac) == 0)
                        return true;
        return false;
}

/* An address that is configured is said to be so, whoever else knows it. */
static void find_all(struct vm *vm, const struct hypervisor_status *status, struct found *ret_found) {
        bool lives = status->state == HYPERVISOR_RUNNING || status->state == HYPERVISOR_SUSPENDED;

        ret_found->n = 0;
        for (size_t i = 0; lives && i < vm->spec.n_network_interfaces; i++) {
                const struct xcp_network_interface_spec *network = vm->spec.network_interfaces + i;
                const struct device *device = vm_find_device(vm, false, network->name);

                for (size_t j = 0; device && device->plugged && j < network->n_addresses; j++)
                        ret_found->list[ret_found->n++] =
                                (struct xcp_guest_address) { network->addresses[j], network->mac, XCP_ADDRESS_SOURCE_STATIC };
        }
        for (size_t i = 0; i < status->n_addresses && i < HYPERVISOR_ADDRESSES_MAX; i++)
                if (!is_among(ret_found, status->addresses + i))
                        ret_found->list[ret_found->n++] = status->addresses[i];
}

static bool is_same(const struct vm *vm, const struct found *found) {
        if (vm->n_addresses != found->n)
                return false;
        for (size_t i = 0; i < found->n; i++)
                if (strcmp(vm->addresses[i].address, found->list[i].address) != 0 || strcmp(vm->addresses[i].mac, found->list[i].mac) != 0 ||
                    vm->addresses[i].source != found->list[i].source)
                        return false;
        return true;
}

static void copy(struct vm *vm, const struct found *found) {
        struct idl_arena *arena = &vm->addresses_arena;

        idl_arena_done(arena);
        vm->n_addresses = 0;
        vm->addresses = found->n > 0 ? idl_arena_alloc(arena, found->n, sizeof *vm->addresses) : NULL;
        for (size_t i = 0; vm->addresses && i < found->n; i++) {
                struct xcp_guest_address *address = vm->addresses + vm->n_addresses;

                address->address = idl_arena_strdup(arena, found->list[i].address);
                address->mac = idl_arena_strdup(arena, found->list[i].mac);
                address->source = found->list[i].source;
                if (address->address && address->mac)   /* without memory, fewer are known */
                        vm->n_addresses++;
        }
}

bool vm_take_addresses(struct vm *vm, const struct hypervisor_status *status) {
        struct found found;

        find_all(vm, status, &found);
        if (is_same(vm, &found))
                return false;
        copy(vm, &found);
        return true;
}
