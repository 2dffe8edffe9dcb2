/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl vm disk and vm nic: the devices of a VM. */

#include "contract.h"
#include "objects.h"
#include "operation.h"
#include "property.h"
#include "value.h"

#define VM "org.xen.xcp.xenopsd1.VM"
#define DISK "org.xen.xcp.xenopsd1.Disk"
#define NIC "org.xen.xcp.xenopsd1.NetworkInterface"

/* A line for each device, of some of its properties. */
static void add_row(struct table *table, const char *interface, const char *const *names, GVariant *properties) {
        g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

        for (; *names; names++) {
                g_autoptr(GVariant) value = g_variant_lookup_value(properties, *names, NULL);
                const struct contract_value *known = contract_property(interface, *names);
                g_autofree char *text = value ? value_text(value, known ? known->type : NULL, *names) : g_strdup("");

                g_ptr_array_add(cells, *text && g_strcmp0(text, "/") != 0 ? g_strdup(client_short_path(text)) : g_strdup("-"));
        }
        table_add(table, (const char *const *) cells->pdata);
}

static bool list(struct context *context, enum parameter_kind kind, const char *const *titles, const char *const *names, GError **error) {
        const char *interface = objects_interface(kind);
        g_autofree char *vm = objects_find(context, PARAMETER_VM, NULL, arguments_get(context->arguments, "VM"), error);
        g_autoptr(GPtrArray) devices = vm ? objects_list(context, kind, vm, error) : NULL;
        struct json_object *json = json_object_new_array();
        struct table *table = table_new(titles);
        bool good = devices != NULL;

        for (unsigned i = 0; good && i < devices->len; i++) {
                const struct candidate *device = devices->pdata[i];
                g_autoptr(GVariant) properties = client_properties(context, CLIENT_XENOPSD, device->path, interface, error);

                good = properties != NULL;
                if (good) {
                        json_object_array_add(json, property_json(interface, properties));
                        add_row(table, interface, names, properties);
                }
        }
        return context_print_list(context, table, json, good, error);
}

static bool run_disk_list(struct context *context, const struct arguments *arguments, GError **error) {
        return list(context, PARAMETER_DISK, (const char *const[]) { "NAME", "KIND", "MODE", "VDI", "PATH", "PLUGGED", NULL },
                    (const char *const[]) { "Name", "Kind", "Mode", "VDI", "Path", "Plugged", NULL }, error);
}

static bool run_nic_list(struct context *context, const struct arguments *arguments, GError **error) {
        return list(context, PARAMETER_NIC, (const char *const[]) { "NAME", "NETWORK", "MAC", "CARRIER", "RATE LIMIT", "PLUGGED", NULL },
                    (const char *const[]) { "Name", "Network", "Mac", "Carrier", "RateLimit", "Plugged", NULL }, error);
}

#define VM_PARAMETER { "VM", PARAMETER_VM, "The VM." }
#define DISK_PARAMETERS VM_PARAMETER, { "DISK", PARAMETER_DISK, "The disk's name in the VM." }
#define NIC_PARAMETERS VM_PARAMETER, { "NIC", PARAMETER_NIC, "The network interface's name in the VM." }
#define FORCE_PARAMETER { "--force", PARAMETER_FLAG, "Do not ask the guest." }
#define JUST(parameters_) .parameters = (const struct parameter[]) { parameters_, {} }

const struct command vm_device_commands[] = {
        { .name = "vm disk list", .summary = "List a VM's disks.", JUST(VM_PARAMETER), .run = run_disk_list },
        {
                .name = "vm disk add",
                .summary = "Add a disk to a VM. If it is not Halted, the disk is plugged in.",
                .parameters = (const struct parameter[]) {
                        VM_PARAMETER,
                        { "VDI", PARAMETER_VDI, "The disk; left out for --path, and for an empty drive.", .type = "o", .key = "vdi", .flags = PARAMETER_OPTIONAL },
                        PARAMETER_KEYS_OF("DiskSpec"),
                        {},
                },
                OPERATION(VM, "AddDisk"),
        },
        {
                .name = "vm disk remove",
                .summary = "Remove a disk from a VM. The VDI stays.",
                .parameters = (const struct parameter[]) { DISK_PARAMETERS, {} },
                OPERATION(DISK, "Remove"),
        },
        {
                .name = "vm disk plug",
                .summary = "Give a disk to the guest.",
                .parameters = (const struct parameter[]) { DISK_PARAMETERS, {} },
                OPERATION(DISK, "Plug"),
        },
        {
                .name = "vm disk unplug",
                .summary = "Take a disk from the guest.",
                .parameters = (const struct parameter[]) { DISK_PARAMETERS, FORCE_PARAMETER, {} },
                OPERATION(DISK, "Unplug"),
        },
        {
                .name = "vm disk insert",
                .summary = "Put a medium into an empty drive.",
                .parameters = (const struct parameter[]) { DISK_PARAMETERS, { "VDI", PARAMETER_VDI, "The medium." }, {} },
                OPERATION(DISK, "Insert"),
        },
        {
                .name = "vm disk eject",
                .summary = "Take the medium out of a drive.",
                .parameters = (const struct parameter[]) { DISK_PARAMETERS, {} },
                OPERATION(DISK, "Eject"),
        },
        {
                .name = "vm disk refresh",
                .summary = "Tell the guest that a disk has another size.",
                .parameters = (const struct parameter[]) { DISK_PARAMETERS, {} },
                OPERATION(DISK, "Refresh"),
        },
        {
                .name = "vm disk statistics",
                .summary = "Show what went to and from a disk.",
                .parameters = (const struct parameter[]) { DISK_PARAMETERS, {} },
                OPERATION(DISK, "GetStatistics"),
        },
        { .name = "vm nic list", .summary = "List a VM's network interfaces.", JUST(VM_PARAMETER), .run = run_nic_list },
        {
                .name = "vm nic add",
                .summary = "Add a network interface to a VM. If it is not Halted, it is plugged in.",
                .parameters = (const struct parameter[]) {
                        VM_PARAMETER,
                        { "NETWORK", PARAMETER_TEXT, "What it is plugged into: a bridge's name, or user for a network of the backend's own.",
                          .type = "s", .key = "network" },
                        PARAMETER_KEYS_OF("NetworkInterfaceSpec"),
                        {},
                },
                OPERATION(VM, "AddNetworkInterface"),
        },
        {
                .name = "vm nic remove",
                .summary = "Remove a network interface from a VM.",
                .parameters = (const struct parameter[]) { NIC_PARAMETERS, {} },
                OPERATION(NIC, "Remove"),
        },
        {
                .name = "vm nic plug",
                .summary = "Give a network interface to the guest.",
                .parameters = (const struct parameter[]) { NIC_PARAMETERS, {} },
                OPERATION(NIC, "Plug"),
        },
        {
                .name = "vm nic unplug",
                .summary = "Take a network interface from the guest.",
                .parameters = (const struct parameter[]) { NIC_PARAMETERS, FORCE_PARAMETER, {} },
                OPERATION(NIC, "Unplug"),
        },
        {
                .name = "vm nic move",
                .summary = "Plug a network interface into another network.",
                .parameters = (const struct parameter[]) { NIC_PARAMETERS, { "NETWORK", PARAMETER_TEXT, "The network." }, {} },
                OPERATION(NIC, "Move"),
        },
        {
                .name = "vm nic statistics",
                .summary = "Show what went through a network interface.",
                .parameters = (const struct parameter[]) { NIC_PARAMETERS, {} },
                OPERATION(NIC, "GetStatistics"),
        },
        {},
};
