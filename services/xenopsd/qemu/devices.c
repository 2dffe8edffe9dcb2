/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "devices.h"

#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "json-add.h"
#include "source.h"

#define FIRST_ADDRESS 4u                /* of a bus: below are the machine's own devices */
#define PORTS_OF_ADDRESS 8u             /* functions of a PCI device */
#define SERIAL_MAX 20                   /* virtio, 5.2.6: bytes of a disk's serial number */

void device_id(bool is_disk, const char *name, char *ret_id) {
        snprintf(ret_id, QEMU_ID_SIZE, "%s-%.32s", is_disk ? "disk" : "net", name);
}

void device_netdev(const char *name, char *ret_id) {
        snprintf(ret_id, QEMU_ID_SIZE, "netdev-%.32s", name);
}

bool device_is_user_network(const struct xcp_network_interface_spec *spec) {
        return strcmp(spec->network, "user") == 0;
}

bool device_disk_has_slot(const struct xcp_disk_spec *spec, enum qemu_machine machine) {
        return machine != QEMU_MICROVM && spec->kind == XCP_DISK_KIND_DISK;
}

/* Disks */

/* A q35 has a root port for each slot, of which only the first address is used; a pc has its one bus. */
static void add_place(struct json_object *device, struct device_place place) {
        char text[16];

        if (place.slot < 0)
                return;
        if (place.machine == QEMU_Q35) {
                snprintf(text, sizeof text, "slot%d", place.slot);
                add_string(device, "bus", text);
                return;
        }
        snprintf(text, sizeof text, "0x%x", FIRST_ADDRESS + (unsigned) place.slot);
        add_string(device, "bus", "pci.0");
        add_string(device, "addr", text);
}

static struct json_object *describe(const char *driver, const char *id, struct device_place place, bool has_boot_index,
                                    uint32_t boot_index) {
        struct json_object *device = json_object_new_object();

        if (!device)
                return NULL;
        add_string(device, "driver", driver);
        add_string(device, "id", id);
        add_place(device, place);
        if (has_boot_index)
                add_number(device, "bootindex", boot_index);
        return device;
}

/* The other end says how large it is and what its serial number is, and deals with what goes wrong. */
static struct json_object *describe_socket_disk(const struct xcp_disk_spec *spec, struct device_place place) {
        char id[QEMU_ID_SIZE], chardev[QEMU_ID_SIZE];
        struct json_object *device;

        device_id(true, spec->name, id);
        source_chardev(spec->name, chardev);
        device = describe(place.machine == QEMU_MICROVM ? "vhost-user-blk" : "vhost-user-blk-pci", id, place, spec->has_boot_index,
                          spec->boot_index);
        if (!device)
                return NULL;
        add_string(device, "chardev", chardev);
        add_number(device, "num-queues", 1);    /* what every server has */
        return device;
}

struct json_object *device_describe_disk(const struct hypervisor_disk *disk, struct device_place place) {
        const struct xcp_disk_spec *spec = disk->spec;
        const char *driver = place.machine == QEMU_MICROVM ? "virtio-blk-device" : "virtio-blk-pci";
        bool is_disk = spec->kind == XCP_DISK_KIND_DISK;
        char id[QEMU_ID_SIZE], node[QEMU_ID_SIZE], serial[SERIAL_MAX + 1];
        struct json_object *device;

        if (source_is_socket(disk->path))
                return describe_socket_disk(spec, place);
        device_id(true, spec->name, id);
        source_node(spec->name, node);
        device = describe(is_disk ? driver : "ide-cd", id, place, spec->has_boot_index, spec->boot_index);
        if (!device)
                return NULL;
        if (disk->path)
                add_string(device, "drive", node);
        if (is_disk) {
                snprintf(serial, sizeof serial, "%s", spec->name);
                add_string(device, "serial", serial);
                /* Else as many as QEMU is started with virtual CPUs: another number for who restores a guest that was given some meanwhile. */
                if (place.machine != QEMU_MICROVM && place.n_queues > 0)
                        add_number(device, "num-queues", place.n_queues);
                add_string(device, "werror", "stop");
                add_string(device, "rerror", "stop");
        }
        return device;
}

/* Network interfaces */

struct json_object *device_describe_network(const struct xcp_network_interface_spec *spec, struct device_place place) {
        char id[QEMU_ID_SIZE], netdev[QEMU_ID_SIZE];
        struct json_object *device;

        device_id(false, spec->name, id);
        device_netdev(spec->name, netdev);
        device = describe(place.machine == QEMU_MICROVM ? "virtio-net-device" : "virtio-net-pci", id, place, spec->has_boot_index,
                          spec->boot_index);
        if (!device)
                return NULL;
        add_string(device, "netdev", netdev);
        add_string(device, "mac", spec->mac);
        if (spec->has_mtu)
                add_number(device, "host_mtu", spec->mtu);
        if (place.machine != QEMU_MICROVM && !spec->has_boot_index)
                add_string(device, "romfile", "");      /* nobody boots from it: its firmware would only take time */
        return device;
}

struct json_object *device_describe_netdev(const struct xcp_network_interface_spec *spec, const char *tap_fd) {
        struct json_object *netdev = json_object_new_object();
        char id[QEMU_ID_SIZE];

        if (!netdev)
                return NULL;
        device_netdev(spec->name, id);
        add_string(netdev, "id", id);
        add_string(netdev, "type", device_is_user_network(spec) ? "user" : "tap");
        if (!device_is_user_network(spec))
                add_string(netdev, "fd", tap_fd);
        return netdev;
}

/* Ports */

struct json_object *device_describe_port(unsigned slot) {
        struct json_object *port = json_object_new_object();
        char text[32];

        if (!port)
                return NULL;
        snprintf(text, sizeof text, "slot%u", slot);
        add_string(port, "driver", "pcie-root-port");
        add_string(port, "id", text);
        add_string(port, "bus", "pcie.0");
        snprintf(text, sizeof text, "0x%x.0x%x", FIRST_ADDRESS + slot / PORTS_OF_ADDRESS, slot % PORTS_OF_ADDRESS);
        add_string(port, "addr", text);
        if (slot % PORTS_OF_ADDRESS == 0)
                add_bool(port, "multifunction", true);
        add_number(port, "chassis", slot + 1);
        add_number(port, "slot", slot + 1);
        return port;
}
