/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Guests elsewhere: in a file, or on their way to another manager. A stream is a line that says how long the guest's facts are, these, and
 * what libxl writes.
 */

#include "hypervisor.h"

int xen_stream_save(void *guest, struct hypervisor_call *call, int fd, struct idl_error *error);
int xen_stream_restore(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error);
int xen_stream_check_send(void *guest, struct hypervisor_call *call, struct idl_error *error);
int xen_stream_send(void *guest, struct hypervisor_call *call, int fd, const struct xcp_migrate_options *options, struct idl_error *error);
int xen_stream_receive(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error);
