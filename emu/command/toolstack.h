/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a toolstack writes about a domain into the store, after libxl of Xen 4.17 (libxl_create.c, libxl__domain_make): a guest finds
 * the same nodes with the same owners here and under xl.
 *
 * All speak to xenstored as domain 0, through the run directory's dom0/xenbus. Errors are negative errnos.
 */

#include <stdint.h>

/* Domain 0's own nodes, which xen-init-dom0 writes on a real machine. */
int toolstack_describe_first(const char *run_dir);

/* Writes a new domain's nodes and introduces it to xenstored. -EEXIST if another domain has the name; nothing is left then. */
int toolstack_introduce(const char *run_dir, uint32_t domid, uint32_t store_port, const char *name, const char *uuid);

/* Removes all that the store has about a dead domain. That nothing is there is no error. */
int toolstack_forget(const char *run_dir, uint32_t domid);

/* The domain with that name. -ESRCH if none has it. */
int toolstack_find(const char *run_dir, const char *name, uint32_t *ret_domid);

/* A domain's name, which the caller frees, or NULL. */
char *toolstack_name(const char *run_dir, uint32_t domid);
