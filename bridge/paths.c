/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "paths.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* Of the administrator first: of rules, the first that matches counts. */
static const char *const installed[] = { PATHS_CONFIG "/bridge.d", PATHS_DATA "/bridge.d", NULL };
static const char *const tree[] = { PATHS_SOURCE_ROOT "/dbus-policy/bridge.d", NULL };

static bool in_tree(void) {
        static const char build_root[] = PATHS_BUILD_ROOT "/";
        char path[PATH_MAX] = "";
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

        return n > 0 && strncmp(path, build_root, sizeof build_root - 1) == 0;
}

const char *paths_run_dir(void) {
        return in_tree() ? PATHS_SOURCE_ROOT "/build/run" : "/run/xcpbus";
}

const char *paths_users(void) {
        return in_tree() ? NULL : "/run/userdb";
}

const char *const *paths_policies(void) {
        return in_tree() ? tree : installed;
}
