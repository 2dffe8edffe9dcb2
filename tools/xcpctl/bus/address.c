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

static const char *run_dir_of(const char *run_dir, bool in_tree) {
        if (run_dir && *run_dir)
                return run_dir;
        return in_tree ? TREE_RUN_DIR : INSTALLED_RUN_DIR;
}

char *address_socket_in(const char *run_dir, bool in_tree, uint32_t domain) {
        g_autofree char *name = g_strdup_printf("dom%u", domain);

        return g_build_filename(run_dir_of(run_dir, in_tree), name, "bus", NULL);
}

static bool has_bus(const char *run_dir, bool in_tree, uint32_t domain) {
        g_autofree char *socket = address_socket_in(run_dir, in_tree, domain);

        return g_file_test(socket, G_FILE_TEST_EXISTS);
}

uint32_t address_domain_in(const char *run_dir, bool in_tree) {
        g_autoptr(GDir) dir = g_dir_open(run_dir_of(run_dir, in_tree), 0, NULL);
        const char *name;
        uint64_t domain, only = 0;

        while (dir && (name = g_dir_read_name(dir))) {
                if (!g_str_has_prefix(name, "dom") || !g_ascii_string_to_unsigned(name + 3, 10, 0, UINT32_MAX, &domain, NULL) ||
                    !has_bus(run_dir, in_tree, (uint32_t) domain))
                        continue;
                if (domain == 0 || only > 0)
                        return 0;
                only = domain;
        }
        return (uint32_t) only;
}

char *address_socket(uint32_t domain) {
        return address_socket_in(getenv("XCP_RUNDIR"), is_in_tree(), domain);
}

uint32_t address_domain(void) {
        return address_domain_in(getenv("XCP_RUNDIR"), is_in_tree());
}

char *address_of_socket(const char *path) {
        g_autofree char *escaped = g_dbus_address_escape_value(path);

        return g_strconcat("unix:path=", escaped, NULL);
}
