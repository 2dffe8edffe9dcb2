/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hypervisor.h"

#include "noop/noop.h"
#include "qemu/qemu.h"

const struct hypervisor *const hypervisors[] = {
        &noop_hypervisor,
        &qemu_hypervisor,
        NULL,
};
