/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "address.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <gio/gio.h>

#define INSTALLED_RUN_DIR "/run/xcpbus"
#define TREE_RUN_DIR ADDRESS_SOURCE_ROOT "/build/run"

static bool is_in_tree(void) {
        char path[PATH_MAX] = "";

        return readlink("/proc/self/exe", path, sizeof path - 1) > 0 && g_str_has_prefix(path, ADDRESS_BUILD_ROOT "/");
}

char *address_socket_in(const char *run_dir, bool in_tree, uint32_t domain) {
        g_autofree char *name = g_strdup_printf("dom%u", domain);

        if (!run_dir || !*run_dir)
                run_dir = in_tree ? TREE_RUN_DIR : INSTALLED_RUN_DIR;
        return g_build_filename(run_dir, name, "bus", NULL);
}

char *address_socket(uint32_t domain) {
        return address_socket_in(getenv("XCP_RUNDIR"), is_in_tree(), domain);
}

char *address_of_socket(const char *path) {
        g_autofree char *escaped = g_dbus_address_escape_value(path);

        return g_strconcat("unix:path=", escaped, NULL);
}
