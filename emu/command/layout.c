/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where the parts are; see layout.h. */

#include "layout.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

static bool is_below(const char *path, const char *directory) {
        size_t n = strlen(directory);

        return strncmp(path, directory, n) == 0 && path[n] == '/';
}

/* Debian keeps each Xen version's programs apart. Finds the newest xenstored, or where it would be. */
static void find_xenstored(char *ret_path, size_t n_path) {
        const char *path = "/usr/lib/xen-4.17/bin/xenstored";
        glob_t found = {};

        if (glob("/usr/lib/xen-4.*/bin/xenstored", 0, NULL, &found) == 0)
                path = found.gl_pathv[found.gl_pathc - 1];
        snprintf(ret_path, n_path, "%s", path);
        globfree(&found);
}

void layout_find(const char *own_path, struct layout *ret_layout) {
        if (is_below(own_path, LAYOUT_BUILD_ROOT))
                *ret_layout = (struct layout) {
                        .hypervisor = LAYOUT_BUILD_ROOT "/emu/hypervisor/xenemud",
                        .guest = LAYOUT_BUILD_ROOT "/emu/guest/xenemu-guest",
                        .library_dir = LAYOUT_BUILD_ROOT "/emu/lib",
                        .preload = LAYOUT_BUILD_ROOT "/emu/xenstored/xenemu-dom0-devices.so",
                        .run_dir = LAYOUT_SOURCE_ROOT "/build/run",
                        .tree = LAYOUT_SOURCE_ROOT,
                };
        else
                *ret_layout = (struct layout) {
                        .hypervisor = LAYOUT_LIBEXEC "/xenemud",
                        .guest = LAYOUT_LIBEXEC "/xenemu-guest",
                        .library_dir = LAYOUT_LIBRARY,
                        .preload = LAYOUT_LIBRARY "/xenemu-dom0-devices.so",
                        .run_dir = "/run/xcpbus",
                };

        find_xenstored(ret_layout->xenstored, sizeof ret_layout->xenstored);
}
