/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where things are: in the tree that this program was built in, or where it was installed to. */

#include <stdint.h>

struct layout {
        const char *run_dir;            /* where the domains' directories are, unless $XCP_RUNDIR says otherwise */
        const char *const *policies;    /* policy files, and directories of them; NULL ends each list */
        const char *const *services;    /* directories of activation files */
};

/* Finds the layout that this program, /proc/self/exe, belongs to. Returns 0 or a negative errno. */
int layout_find(const struct layout **ret_layout);

/*
 * The directory of the domain that this program runs in, below $XCP_RUNDIR or the layout's. The domain's number is what its store says;
 * without a store it is 0. Returns 0 and a path to be freed, or -ENOMEM.
 */
int layout_domain_dir(const struct layout *layout, char **ret_path);
