/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Figures of Xen guests: from Xen, and from this domain's kernel where its drivers are the guest's backends. */

#include "hypervisor.h"

int xen_statistics_vm(void *guest, struct hypervisor_call *call, struct idl_error *error);
int xen_statistics_disk(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error);
int xen_statistics_network(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error);
