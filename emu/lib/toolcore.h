/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The part of libxentoolcore that Xen's libraries use among themselves, which has a stable ABI (VERS_1.0) but no installed header.
 *
 * Every open handle registers, so that xentoolcore_restrict_all() can confine a process (a device model) to one domain. A drop-in
 * library that did not would leave a door open that the caller believes shut.
 */

#include <xentoolcore.h>

struct toolcore_handle {
        int (*restrict_handle)(struct toolcore_handle *handle, domid_t domid);
        struct {
                struct toolcore_handle *next;
                struct toolcore_handle **previous;
        } entry;
};

void xentoolcore__register_active_handle(struct toolcore_handle *handle);
void xentoolcore__deregister_active_handle(struct toolcore_handle *handle);

/* For handles that know no restriction: makes fd refer to /dev/null, so that whatever is asked over it fails from now on. */
int xentoolcore__restrict_by_dup2_null(int fd);
