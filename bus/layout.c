/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "layout.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenstore.h>

#include "cleanup.h"

static const struct layout tree = {
        .run_dir = LAYOUT_SOURCE_ROOT "/build/run",
        .policies = (const char *const[]) { LAYOUT_SOURCE_ROOT "/dbus-policy/bus.policy", LAYOUT_SOURCE_ROOT "/dbus-policy/bus.d", NULL },
        .services = (const char *const[]) { LAYOUT_BUILD_ROOT "/dbus-policy/services", NULL },
};

static const struct layout installed = {
        .run_dir = "/run/xcpbus",
        .policies = (const char *const[]) { LAYOUT_DATA "/bus.policy", LAYOUT_DATA "/bus.d", LAYOUT_CONFIG "/bus.d", NULL },
        .services = (const char *const[]) { LAYOUT_CONFIG "/services", LAYOUT_DATA "/services", NULL },
};

int layout_find(const struct layout **ret_layout) {
        static const char build_root[] = LAYOUT_BUILD_ROOT "/";
        char path[PATH_MAX] = "";

        if (readlink("/proc/self/exe", path, sizeof path - 1) < 0)
                return -errno;
        *ret_layout = strncmp(path, build_root, sizeof build_root - 1) == 0 ? &tree : &installed;
        return 0;
}

static unsigned own_domid(void) {
        struct xs_handle *store = xs_open(0);
        AUTO_FREE char *text = NULL;
        unsigned domid = 0;

        if (!store)
                return 0;
        text = xs_read(store, XBT_NULL, "domid", NULL);
        if (text)
                domid = strtoul(text, NULL, 10);
        xs_close(store);
        return domid;
}

int layout_domain_dir(const struct layout *layout, char **ret_path) {
        const char *run_dir = getenv("XCP_RUNDIR");

        if (!run_dir || !*run_dir)
                run_dir = layout->run_dir;
        if (asprintf(ret_path, "%s/dom%u", run_dir, own_domid()) < 0)
                return -ENOMEM;
        return 0;
}
