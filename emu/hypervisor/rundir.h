/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The run directory: a folder for each domain and one for the hypervisor (DESIGN: $XCP_RUNDIR).
 *
 *      xenemud/lock       held while a hypervisor runs here
 *      xenemud/control    the toolstack's socket
 *      xenemud/log        what it had to say
 *      domN/xen           the domain's hypercall socket
 *      domN/xenbus        the domain's way to the store
 *      dom0/xenstored/    xenstored's own files
 */

#include <stdint.h>

/*
 * Opens the run directory, making it if need be, takes its lock and removes what an earlier hypervisor left.
 * Returns 0 and both descriptors, -EBUSY if a hypervisor runs there, -ENAMETOOLONG, or another negative errno.
 */
int rundir_open(const char *path, int *ret_dir_fd, int *ret_lock_fd);

/* Makes an empty folder for a domain and returns a descriptor of it. */
int rundir_make_domain(int dir_fd, uint32_t domid);

/* Removes a domain's folder and all that is in it. */
void rundir_remove_domain(int dir_fd, uint32_t domid);

/* Removes the folders of all domains. */
void rundir_remove_domains(int dir_fd);
