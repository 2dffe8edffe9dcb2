/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Network interfaces that were unplugged, and that the guest's device model emulates all the same, until the guest boots anew: libxl has no
 * way to take them from QEMU. What that saves has them, and another QEMU that has them not does not take it: "Unknown savevm section".
 *
 * So where such a guest is restored it is made with them, joined to nothing, and they are unplugged again before it goes on.
 */

#include <stdint.h>

#include <libxl.h>

#include "facts.h"

/* For a domain whose devices are where `there` says (xen_config_move()). -ENOMEM */
int xen_left_add(libxl_domain_config *config, const struct xen_facts *there);

/* Returns what libxl does. */
int xen_left_remove(libxl_ctx *ctx, uint32_t domid, const struct xen_facts *there);
