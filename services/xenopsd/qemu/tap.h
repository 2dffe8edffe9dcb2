/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tap devices: a guest's network interface on a bridge of the host. One is there as long as somebody has its descriptor, which is QEMU
 * alone: it cannot be left behind. Its name follows from the VM and the interface.
 */

#include "hypervisor.h"

#define TAP_NAME_SIZE 16u               /* IFNAMSIZ */

void tap_name(const char *uuid, const char *interface, char *ret_name);
bool tap_exists(const char *name);

/* A new one, up and on the bridge. DoesNotExist if there is no such bridge. */
int tap_open(const char *uuid, const struct xcp_network_interface_spec *spec, int *ret_fd, struct idl_error *error);

/* Puts it on another bridge. */
int tap_move(const char *uuid, const struct xcp_network_interface_spec *spec, struct idl_error *error);

/* What has passed, as the guest sees it. -ENODEV */
int tap_statistics(const char *uuid, const char *interface, struct xcp_network_statistics *ret_statistics);
