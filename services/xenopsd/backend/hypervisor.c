/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hypervisor.h"

#include "noop/noop.h"
#include "qemu/qemu.h"
#include "xen/xen.h"

const struct hypervisor *const hypervisors[] = {
        &noop_hypervisor,
        &qemu_hypervisor,
#ifdef HAVE_XENLIGHT
        &xen_hypervisor,
#endif
        NULL,
};
