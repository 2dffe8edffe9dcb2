/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where the parts of emulated Xen are: beside this program in the build tree it was built in, or where it was installed to. */

#include <stdbool.h>

struct layout {
        const char *hypervisor;         /* xenemud */
        const char *guest;              /* xenemu-guest */
        const char *library_dir;        /* the drop-in libraries */
        const char *preload;            /* for xenstored */
        char xenstored[64];             /* Debian's, the newest there is */
        const char *run_dir;            /* the default run directory */
        const char *tree;               /* the source tree, or NULL when installed */
};

/* Finds the parts for the program at own_path, an absolute path. */
void layout_find(const char *own_path, struct layout *ret_layout);
