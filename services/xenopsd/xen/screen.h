/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The screen of an HVM guest, which has one if the option display is vnc: its device model serves it at a socket in the backend's directory. */

#include <libxl.h>

#include "guest.h"

#define SCREEN_NAME "vnc0"              /* of the console */

/* With error: what is no option of Xen's, or not of such a guest. */
int xen_screen_check(const struct xcp_vm_spec *spec, struct idl_error *error);

bool xen_screen_is_wanted(const struct xcp_vm_spec *spec);

/* Adds it to the configuration of a domain. */
int xen_screen_add(const struct xen_guest *guest, libxl_domain_build_info *info, struct idl_error *error);

/* A new connection to it. */
int xen_screen_connect(const struct xen_guest *guest, int *ret_fd);
