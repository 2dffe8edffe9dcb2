/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl vm: virtual machines. Most are methods of org.xen.xcp.xenopsd1, one each. */

#include <string.h>

#include "console.h"
#include "contract.h"
#include "objects.h"
#include "operation.h"
#include "property.h"
#include "result.h"
#include "value.h"
#include "vm-addresses.h"
#include "vm-port.h"
#include "vm-ssh.h"

#define MANAGER "org.xen.xcp.xenopsd1.Manager"
#define VM "org.xen.xcp.xenopsd1.VM"

/* The devices of a VM, below a heading each: {path: properties} of one interface. */
static bool add_devices(GVariant *objects, const char *vm, enum parameter_kind kind, const char *title, struct table *pairs,
                        struct json_object *json) {
        const char *interface = objects_interface(kind);
        struct json_object *list = json_object_new_array();

        for (gsize i = 0; i < g_variant_n_children(objects); i++) {
                g_autoptr(GVariant) interfaces = NULL, properties = NULL;
                g_autofree char *text = NULL;
                const char *path;

                g_variant_get_child(objects, i, "{&o@a{sa{sv}}}", &path, &interfaces);
                properties = g_variant_lookup_value(interfaces, interface, G_VARIANT_TYPE_VARDICT);
                if (!properties || !g_str_has_prefix(path, vm) || path[strlen(vm)] != '/')
                        continue;
                json_object_array_add(list, property_json(interface, properties));
                text = property_line(kind, properties);
                table_add(pairs, (const char *const[]) { title, text, NULL });
        }
        return json_object_object_add(json, kind == PARAMETER_DISK ? "disks" : "network_interfaces", list) == 0;
}

static bool run_show(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *path = objects_find(context, PARAMETER_VM, NULL, arguments_get(arguments, "VM"), error);
        g_autoptr(GVariant) properties = path ? client_properties(context, CLIENT_XENOPSD, path, VM, error) : NULL;
        g_autoptr(GVariant) objects = properties ? client_objects(context, CLIENT_XENOPSD, error) : NULL;
        struct json_object *json;
        struct table *pairs;
        bool good;

        if (!objects)
                return false;
        json = property_json(VM, properties);
        pairs = result_pairs_new();
        result_pairs_add_properties(pairs, VM, properties);
        add_devices(objects, path, PARAMETER_DISK, "Disk", pairs, json);
        add_devices(objects, path, PARAMETER_NIC, "Network interface", pairs, json);
        good = context->json ? context_print_json(context, json_object_get(json), false, error) : result_pairs_print(context, pairs, error);
        json_object_put(json);
        table_free(pairs);
        return good;
}

static bool run_rename(struct context *context, const struct arguments *arguments, GError **error) {
        return property_set(context, PARAMETER_VM, arguments_get(arguments, "VM"), "Name", arguments_get(arguments, "NAME"), error);
}

static bool run_set(struct context *context, const struct arguments *arguments, GError **error) {
        return property_set(context, PARAMETER_VM, arguments_get(arguments, "VM"), arguments_get(arguments, "PROPERTY"),
                            arguments_get(arguments, "VALUE"), error);
}

#define VM_PARAMETER { "VM", PARAMETER_VM, "Its name, its UUID or the beginning of that, or its object path." }
#define JUST_VM .parameters = (const struct parameter[]) { VM_PARAMETER, {} }
#define GRACE_PARAMETER                                                                                                                       \
        { "--grace", PARAMETER_DURATION, "How long the guest has before it is not asked any more.", .fallback = "60s" }
#define PAUSED_PARAMETER { "--paused", PARAMETER_FLAG, "Leave it Suspended instead of Running." }

const struct command vm_commands[] = {
        {
                .name = "vm list",
                .summary = "List VMs.",
                .parameters = (const struct parameter[]) { {} },
                OPERATION(MANAGER, "ListVms"),
        },
        { .name = "vm show", .summary = "Show all about a VM, with its devices.", JUST_VM, .run = run_show },
        {
                .name = "vm create",
                .summary = "Create a VM, which is Halted, and print its UUID.",
                .details = "A disk is a VDI, by name or UUID, or path=FILE for a file or block device of the manager's domain; more keys are kind "
                           "(Disk, CdRom), mode (ReadWrite, ReadOnly), rate_limit, iops_limit, name and boot_index. A network interface is a "
                           "network's name; more keys are mac, mtu, carrier, rate_limit, name and boot_index. A comma in a value is written \\,.",
                .parameters = (const struct parameter[]) {
                        { "NAME", PARAMETER_TEXT, "What people call it; of no other VM.", .type = "s", .key = "name" },
                        PARAMETER_KEYS_OF("VmSpec"),
                        {},
                },
                OPERATION(MANAGER, "Create"),
        },
        {
                .name = "vm start",
                .summary = "Start a VM.",
                .parameters = (const struct parameter[]) { VM_PARAMETER, PAUSED_PARAMETER, {} },
                OPERATION(VM, "Start"),
        },
        {
                .name = "vm stop",
                .summary = "Ask the guest to power down, and switch the VM off when its time is up.",
                .parameters = (const struct parameter[]) { VM_PARAMETER, GRACE_PARAMETER, {} },
                OPERATION(VM, "Stop"),
        },
        { .name = "vm kill", .summary = "Switch a VM off at once.", JUST_VM, OPERATION(VM, "Kill") },
        {
                .name = "vm reboot",
                .summary = "Ask the guest to reboot, and reset the VM when its time is up.",
                .parameters = (const struct parameter[]) { VM_PARAMETER, GRACE_PARAMETER, {} },
                OPERATION(VM, "Reboot"),
        },
        { .name = "vm reset", .summary = "Start the guest anew, without asking it.", JUST_VM, OPERATION(VM, "Reset") },
        { .name = "vm suspend", .summary = "Stop its virtual CPUs, and keep it in memory.", JUST_VM, OPERATION(VM, "Suspend") },
        { .name = "vm resume", .summary = "Let it go on after suspend, or after a disk that failed.", JUST_VM, OPERATION(VM, "Resume") },
        {
                .name = "vm save",
                .summary = "Write its memory to a disk, and give up all else.",
                .parameters = (const struct parameter[]) {
                        VM_PARAMETER,
                        { "VDI", PARAMETER_VDI, "The disk; at least as large as its memory and 16 MiB." },
                        {},
                },
                OPERATION(VM, "Save"),
        },
        {
                .name = "vm restore",
                .summary = "Read its memory back after save, and let it go on.",
                .parameters = (const struct parameter[]) { VM_PARAMETER, PAUSED_PARAMETER, {} },
                OPERATION(VM, "Restore"),
        },
        {
                .name = "vm migrate",
                .summary = "Move it to another manager while it runs.",
                .parameters = (const struct parameter[]) {
                        VM_PARAMETER,
                        { "MANAGER", PARAMETER_SERVICE, "The name of the other manager on this bus, in full." },
                        PARAMETER_KEYS_OF("MigrateOptions"),
                        {},
                },
                OPERATION(VM, "Migrate"),
        },
        { .name = "vm prepare", .summary = "Allocate all that it needs, without starting it.", JUST_VM, OPERATION(VM, "Prepare") },
        { .name = "vm destroy", .summary = "Switch it off and remove it. Its disks stay.", JUST_VM, OPERATION(VM, "Destroy") },
        { .name = "vm power-button", .summary = "Press its power button.", JUST_VM, OPERATION(VM, "PowerButton") },
        { .name = "vm state", .summary = "Ask its backend what it is.", JUST_VM, OPERATION(VM, "QueryState") },
        {
                .name = "vm addresses",
                .summary = "List what is known of guests' addresses, each with who says so.",
                .parameters = (const struct parameter[]) { { "VM", PARAMETER_VM, "Of this VM only.", .flags = PARAMETER_OPTIONAL }, {} },
                .run = vm_addresses_run,
        },
        { .name = "vm spec", .summary = "Show its configuration.", JUST_VM, OPERATION(VM, "GetSpec") },
        { .name = "vm statistics", .summary = "Show what it uses at this moment.", JUST_VM, OPERATION(VM, "GetStatistics") },
        {
                .name = "vm set-memory",
                .summary = "Give the guest more memory or less.",
                .parameters = (const struct parameter[]) { VM_PARAMETER, { "SIZE", PARAMETER_SIZE, "A multiple of 1 MiB, as in 2GiB." }, {} },
                OPERATION(VM, "SetMemory"),
        },
        {
                .name = "vm set-vcpus",
                .summary = "Give the guest more virtual CPUs or fewer.",
                .parameters = (const struct parameter[]) { VM_PARAMETER, { "NUMBER", PARAMETER_NUMBER, "How many." }, {} },
                OPERATION(VM, "SetVcpus"),
        },
        {
                .name = "vm rename",
                .summary = "Give it another name.",
                .parameters = (const struct parameter[]) { VM_PARAMETER, { "NAME", PARAMETER_TEXT, "The new name." }, {} },
                .run = run_rename,
        },
        {
                .name = "vm set",
                .summary = "Change a property of it.",
                .parameters = (const struct parameter[]) {
                        VM_PARAMETER,
                        { "PROPERTY", PARAMETER_PROPERTY, "Name, Description, Labels, OnCrash, OnReboot, Autostart, AutostartOrder, AutostartDelayMs.", .type = VM },
                        { "VALUE", PARAMETER_VALUE, "The value; labels as {'key': 'value'}.", .type = VM },
                        {},
                },
                .run = run_set,
        },
        {
                .name = "vm console",
                .summary = "Connect the terminal to a console of it; ^] leaves.",
                .details = "Without a terminal, what comes from standard input goes to the console until its end, and what the console says goes to "
                           "standard output until the console ends.",
                .parameters = (const struct parameter[]) {
                        VM_PARAMETER,
                        { "CONSOLE", PARAMETER_CONSOLE, "Which, as vm show lists them; the first serial one if left out.", .flags = PARAMETER_OPTIONAL },
                        { "--read-only", PARAMETER_FLAG, "Only look. One who writes may be there meanwhile." },
                        { "--log", PARAMETER_FLAG, "Print what it said last, and do not connect." },
                        {},
                },
                .run = console_run,
        },
        {
                .name = "vm log",
                .summary = "Print what a serial console of it said last, also of a VM that is off.",
                .parameters = (const struct parameter[]) {
                        VM_PARAMETER,
                        { "CONSOLE", PARAMETER_CONSOLE, "Which.", .fallback = "serial0", .flags = PARAMETER_OPTIONAL },
                        {},
                },
                .run = console_run_log,
        },
        {
                .name = "vm ssh",
                .summary = "Log in to the guest, at the best of the addresses that are known.",
                .details = "A VM of which no address can be reached, and which has a network interface in the network user, is connected to as vm connect does. "
                           "The key is the VM's own, if up has made one, and what the guest shows is remembered for each VM by itself. Words after -- are "
                           "a command, which is run instead of a shell; its exit status is the command's.",
                .parameters = (const struct parameter[]) {
                        VM_PARAMETER,
                        { "COMMAND", PARAMETER_TEXT, "What to run.", .flags = PARAMETER_OPTIONAL | PARAMETER_MANY },
                        { "--user", PARAMETER_TEXT, "Whom to log in as; the user of the file that up was given, if left out." },
                        { "--identity", PARAMETER_FILE, "Another key." },
                        { "--port", PARAMETER_NUMBER, "The guest's port.", .fallback = "22" },
                        {},
                },
                .run = vm_ssh_run,
        },
        {
                .name = "vm connect",
                .summary = "Connect standard input and output to a TCP port of a guest in the network user.",
                .details = "Such a guest has no address that anybody but its backend could reach. Made to be ssh's ProxyCommand, as in ~/.ssh/config: "
                           "ProxyCommand xcpctl vm connect %n %p",
                .parameters = (const struct parameter[]) {
                        VM_PARAMETER,
                        { "PORT", PARAMETER_NUMBER, "The guest's port." },
                        { "--nic", PARAMETER_NIC, "By which of its network interfaces; the first one in the network user, if left out." },
                        {},
                },
                .run = vm_port_run,
        },
        {
                .name = "vm backends",
                .summary = "List the ways to run VMs.",
                .details = "OPTIONS are the keys of the backend options that vm create takes; as JSON, each comes with a sentence about it.",
                .parameters = (const struct parameter[]) { {} },
                OPERATION(MANAGER, "ListBackends"),
        },
        {
                .name = "vm host",
                .summary = "Show what the host has at this moment.",
                .parameters = (const struct parameter[]) { {} },
                OPERATION(MANAGER, "GetHostInfo"),
        },
        {},
};
