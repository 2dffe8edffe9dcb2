/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Forwards: connections to TCP ports of guests in QEMU's own network, into which only QEMU can reach. It forwards a port of the host's
 * loopback for as long as it takes to connect to it; the connection goes on without that.
 */

#include "action.h"

struct forward;

/* For hypervisor.h */
int forward_open_port(void *guest, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec, uint16_t port,
                      struct idl_error *error);

struct forward *forward_free(struct forward *forward);

/* Has a port not forwarded any more that a manager left so which ended in between. untrusted_text: of "info usernet". */
void forward_sweep(struct qemu_guest *guest, const char *untrusted_text);
