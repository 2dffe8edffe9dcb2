/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Address: which bus xcpctl talks to. docs/bus.md says where a domain's is. */

#include <stdbool.h>
#include <stdint.h>

/* The socket of a domain's bus, in $XCP_RUNDIR, or else in the run directory of this tree or installation. To be freed. */
char *address_socket(uint32_t domain);

/* The domain whose bus is meant if nobody says which: 0, unless 0 has none and one other domain does, as in a guest on real Xen. */
uint32_t address_domain(void);

/* A D-Bus address for a socket's path. To be freed. */
char *address_of_socket(const char *path);

/* The same two, given what they depend on: $XCP_RUNDIR, which may be NULL, and whether this program runs from the tree. */
char *address_socket_in(const char *run_dir, bool in_tree, uint32_t domain);
uint32_t address_domain_in(const char *run_dir, bool in_tree);
