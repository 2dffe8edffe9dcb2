/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "node.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A node that is absent and one that is still private are the same here: its owner has not finished it yet. */
static int node_matches(struct xs_handle *store, const char *path, const char *value, bool *ret_matches) {
        char *found = xs_read(store, XBT_NULL, path, NULL);

        if (!found && errno != ENOENT && errno != EACCES)
                return -errno;

        *ret_matches = found && (!value || strcmp(found, value) == 0);
        free(found);
        return 0;
}

int node_await(struct xs_handle *store, const char *path, const char *value) {
        bool matches = false;
        int r;

        /* The store sends one event for the watch itself, so a node that is already there is seen at once. */
        if (!xs_watch(store, path, "await"))
                return -errno;

        do {
                unsigned int n;
                char **event = xs_read_watch(store, &n);

                if (!event) {
                        r = -errno;
                        break;
                }
                free(event);
                r = node_matches(store, path, value, &matches);
        } while (r == 0 && !matches);

        xs_unwatch(store, path, "await");
        return r;
}
