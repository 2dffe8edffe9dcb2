/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What an HVM guest's firmware is, and what it can start. A guest whose firmware is not for Xen, or cannot start its kernel, stands still and
 * says nothing, so this is looked at before there is one.
 */

#include "hypervisor.h"

#define FIRMWARE_UEFI "/usr/share/ovmf/OVMF.fd"         /* where Debian's libxl has it */
#define FIRMWARE_UEFI_VARIABLE "XCP_XEN_OVMF"           /* of the environment, and names another, which is taken as it is */

/* The image of UEFI, or NULL for libxl's own. */
const char *xen_firmware_uefi(void);

/* With error: why a guest of this kind would not begin. */
int xen_firmware_check(const struct xcp_vm_spec *spec, struct idl_error *error);
