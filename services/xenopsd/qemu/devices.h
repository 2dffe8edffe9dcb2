/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Devices, as QEMU wants them described: the same on its command line and when they are plugged later.
 *
 * A disk is a source (source.h) and a device; a network interface is a network device and a device. On a bus that has addresses, each has
 * the slot that its guest's facts give it, so that a guest that comes from elsewhere finds all devices where they were.
 */

#include "options.h"

struct json_object;

#define DEVICES_CDROMS_MAX 4u           /* what the IDE controllers of all machines have */

/* Identifiers. ret_id has QEMU_ID_SIZE bytes. */
void device_id(bool is_disk, const char *name, char *ret_id);
void device_netdev(const char *name, char *ret_id);

/* Where a device is plugged in. slot: -1 where there are none. */
struct device_place {
        enum qemu_machine machine;
        int slot;
        uint32_t n_queues;              /* of a disk; 0: as QEMU has it */
};

struct json_object *device_describe_disk(const struct hypervisor_disk *disk, struct device_place place);
struct json_object *device_describe_network(const struct xcp_network_interface_spec *spec, struct device_place place);

/* A network of QEMU's own, or the tap device whose descriptor has this name or number. */
struct json_object *device_describe_netdev(const struct xcp_network_interface_spec *spec, const char *tap_fd);

bool device_is_user_network(const struct xcp_network_interface_spec *spec);

/* Does it take a slot? */
bool device_disk_has_slot(const struct xcp_disk_spec *spec, enum qemu_machine machine);

/* The root port of a slot, on a q35. */
struct json_object *device_describe_port(unsigned slot);
