/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a domain's state means. */

#include <libxl.h>

#include "facts.h"

/* reason: enum libxl_shutdown_reason, or -1 if it is gone. HYPERVISOR_NO_EVENT for one that is saved. */
enum hypervisor_event xen_status_event(int reason);
const char *xen_status_detail(enum hypervisor_event event);

/* info: NULL if it is gone. */
void xen_status_read(struct hypervisor_status *ret_status, const struct xen_facts *facts, const libxl_dominfo *info);
