/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.xen.xcp.xenopsd1.NetworkInterface */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "device-call.h"
#include "spec.h"
#include "xenopsd1-network-interface.h"

static const struct xcp_network_interface_spec *spec_of(const struct device *network) {
        return vm_network_spec(network->vm, network->name);
}

static int on_plug(void *network, struct idl_call *call, struct idl_error *error) {
        return device_begin(network, OPERATION_PLUG, false, NULL, call, xenopsd1_network_interface_reply_plug, error);
}

static int on_unplug(void *network, struct idl_call *call, bool force, struct idl_error *error) {
        return device_begin(network, OPERATION_UNPLUG, force, NULL, call, xenopsd1_network_interface_reply_unplug, error);
}

static int on_move(void *network, struct idl_call *call, const char *to, struct idl_error *error) {
        int r;

        r = spec_check_network_name("network", to, error);
        return r < 0 ? r : device_begin(network, OPERATION_MOVE, false, to, call, xenopsd1_network_interface_reply_move, error);
}

static int on_remove(void *network, struct idl_call *call, struct idl_error *error) {
        return device_begin(network, OPERATION_REMOVE, false, NULL, call, xenopsd1_network_interface_reply_remove, error);
}

static void answer_statistics(struct idl_call *call, const struct hypervisor_call *from) {
        xenopsd1_network_interface_reply_get_statistics(call, &from->network_statistics);
}

static int on_get_statistics(void *object, struct idl_call *call, struct idl_error *error) {
        static const struct xcp_network_statistics none;
        struct device *network = object;

        if (!lifecycle_is_alive(network->vm->state) || !network->plugged)
                return xenopsd1_network_interface_reply_get_statistics(call, &none);
        return device_ask(network, network->vm->backend->hypervisor->network_statistics, call, answer_statistics, error);
}

/* Ports */

/* A connection to the guest, and who asked for it. */
struct opening {
        struct idl_call *call;
        const struct device *network;   /* which may be gone later on */
        uint16_t port;
};

static int on_open(struct vm *vm, struct hypervisor_call *call, void *userdata, struct idl_error *error) {
        const struct opening *opening = userdata;

        return vm->backend->hypervisor->open_port(vm->guest, call, spec_of(opening->network), opening->port, error);
}

static void on_open_dropped(void *userdata) {
        struct opening *opening = userdata;

        idl_call_unref(opening->call);          /* and the opening, which is in its arena */
}

/* Who did not answer in time is the guest, of which the backend waited for an answer. */
static void name_port(const struct opening *opening, struct idl_error *error) {
        char what[48];

        snprintf(what, sizeof what, "the answer at port %u of the guest", opening->port);
        idl_error_set_timed_out(error, what, XENOPSD_OPEN_PORT_MS);
}

static void on_opened(struct vm *vm, int r, const struct hypervisor_call *from, void *userdata, struct idl_error *error) {
        struct opening *opening = userdata;

        if (r < 0) {
                idl_error_set_errno(error, r, "the backend");
                if (strcmp(error->name, IDL_ERROR_TIMED_OUT) == 0)
                        name_port(opening, error);
                idl_call_fail(opening->call, error);
                idl_error_done(error);
        } else
                xenopsd1_network_interface_reply_open_port(opening->call, from->connection);
        on_open_dropped(opening);
}

static int check_open(struct device *network, uint16_t port, struct idl_error *error) {
        int r;

        if (port == 0)
                return idl_error_set_invalid_argument(error, "port", "0", "has to be 1 at least");
        if (!network->vm->backend->hypervisor->open_port)
                return idl_error_set_not_supported(error, "OpenPort");
        r = vm_check(network->vm, LIFECYCLE_OPEN_PORT, error);
        if (r < 0)
                return r;
        return network->plugged ? 0 : idl_error_set_bad_state(error, "network interface", network->name, "plugged", "unplugged");
}

static int on_open_port(void *object, struct idl_call *call, uint16_t port, struct idl_error *error) {
        struct device *network = object;
        struct opening *opening;
        int r;

        r = check_open(network, port, error);
        if (r < 0)
                return r;
        opening = idl_arena_alloc(idl_call_arena(call), 1, sizeof *opening);
        if (!opening)
                return -ENOMEM;
        *opening = (struct opening) { idl_call_ref(call), network, port };
        r = vm_ask_within(network->vm, XENOPSD_OPEN_PORT_MS, on_open, on_opened, on_open_dropped, opening, error);
        if (r < 0)
                idl_call_unref(call);
        return r;
}

/* Properties */

static int get_name(void *object, struct idl_arena *arena, const char **ret) {
        *ret = ((struct device *) object)->name;
        return 0;
}

static int get_vm(void *object, struct idl_arena *arena, const char **ret) {
        *ret = ((struct device *) object)->vm->path;
        return 0;
}

static int get_mac(void *object, struct idl_arena *arena, const char **ret) {
        *ret = spec_of(object)->mac;
        return 0;
}

static int get_network(void *object, struct idl_arena *arena, const char **ret) {
        *ret = spec_of(object)->network;
        return 0;
}

static int get_mtu(void *object, struct idl_arena *arena, uint32_t *ret) {
        *ret = spec_of(object)->has_mtu ? spec_of(object)->mtu : 0;
        return 0;
}

/* No backend has one so far. */
static int get_host_device(void *object, struct idl_arena *arena, const char **ret) {
        *ret = "";
        return 0;
}

static int get_carrier(void *object, struct idl_arena *arena, bool *ret) {
        *ret = spec_of(object)->carrier;
        return 0;
}

static int get_rate_limit(void *object, struct idl_arena *arena, uint64_t *ret) {
        *ret = spec_of(object)->has_rate_limit ? spec_of(object)->rate_limit : 0;
        return 0;
}

static int get_plugged(void *object, struct idl_arena *arena, bool *ret) {
        *ret = ((struct device *) object)->plugged;
        return 0;
}

/* The guest first, since only it can refuse; then what is kept. */
static int change(struct device *network, const struct xcp_network_interface_spec *to, struct idl_error *error) {
        struct xcp_network_interface_spec all[SPEC_NETWORK_INTERFACES_MAX];
        struct vm *vm = network->vm;
        struct xcp_vm_spec spec = vm->spec;
        int r;

        if (lifecycle_is_alive(vm->state) && network->plugged) {
                if (!vm->backend->hypervisor->set_network)
                        return idl_error_set_not_supported(error, "Changing a network interface that is plugged");
                r = vm->backend->hypervisor->set_network(vm->guest, to, error);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < spec.n_network_interfaces; i++)
                all[i] = strcmp(spec.network_interfaces[i].name, to->name) == 0 ? *to : spec.network_interfaces[i];
        spec.network_interfaces = all;
        r = vm_change_spec(vm, &spec, error);
        if (r < 0)
                return r;
        if (lifecycle_is_alive(vm->state))
                vm_refresh(vm);
        return 1;
}

static int set_carrier(void *object, bool carrier, struct idl_error *error) {
        struct xcp_network_interface_spec to = *spec_of(object);

        if (to.carrier == carrier)
                return 0;
        to.carrier = carrier;
        return change(object, &to, error);
}

static int set_rate_limit(void *object, uint64_t rate_limit, struct idl_error *error) {
        struct xcp_network_interface_spec to = *spec_of(object);

        if ((to.has_rate_limit ? to.rate_limit : 0) == rate_limit)
                return 0;
        to.has_rate_limit = rate_limit > 0;
        to.rate_limit = rate_limit;
        return change(object, &to, error);
}

static const struct xenopsd1_network_interface_handlers handlers = {
        .plug = on_plug,
        .unplug = on_unplug,
        .move = on_move,
        .remove = on_remove,
        .get_statistics = on_get_statistics,
        .open_port = on_open_port,
        .get_name = get_name,
        .get_vm = get_vm,
        .get_mac = get_mac,
        .get_network = get_network,
        .get_mtu = get_mtu,
        .get_host_device = get_host_device,
        .get_carrier = get_carrier,
        .set_carrier = set_carrier,
        .get_rate_limit = get_rate_limit,
        .set_rate_limit = set_rate_limit,
        .get_plugged = get_plugged,
};

int network_objects_export(struct xenopsd *xenopsd) {
        return xenopsd1_network_interface_export_tree(xenopsd->bus, NULL, XENOPSD_VM_PREFIX, &handlers, objects_find, xenopsd->networks);
}
