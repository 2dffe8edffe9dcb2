/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feature-nodes.h"
#include "layout.h"
#include "nodes.h"

static bool number_read(const struct store *store, const char *directory, const char *name, uint32_t *ret_number) {
        char *text = nodes_read(store->xs, directory, name);
        int r = nodes_parse_number(text, ret_number);

        free(text);
        return r == 0;
}

/* Whether the backend has an extension. */
static bool has_feature(const struct store *store, const char *node) {
        uint32_t value;

        return number_read(store, store->backend, node, &value) && value == 1;
}

int store_open(struct store *store, unsigned device) {
        *store = (struct store) { .xs = xs_open(0) };
        if (!store->xs)
                return -errno;
        if (asprintf(&store->frontend, "device/pvcalls/%u", device) < 0) {
                store->frontend = NULL;
                return -ENOMEM;
        }
        return nodes_watch(store->xs, store->frontend, "backend");
}

void store_close(struct store *store) {
        if (store->xs)
                xs_close(store->xs);
        free(store->frontend);
        free(store->backend);
        *store = (struct store) {};
}

int store_fd(const struct store *store) {
        return xs_fileno(store->xs);
}

void store_drain(struct store *store) {
        nodes_drain(store->xs);
}

/* The toolstack has moved the device, or made it, or taken it away. path is ours from here on; NULL: it is gone. */
static void backend_change(struct store *store, char *path) {
        if (store->backend)
                (void) nodes_unwatch(store->xs, store->backend, "state");
        free(store->backend);
        store->backend = path;
        if (!path)
                return;
        if (strlen(path) > NODES_PATH_MAX || !number_read(store, store->frontend, "backend-id", &store->backend_domid) ||
            nodes_watch(store->xs, store->backend, "state") < 0) {
                free(path);
                store->backend = NULL;  /* it is half made: the watch on `backend` does not fire again, so it has to be written last */
        }
}

void store_look(struct store *store, enum xenbus_state *ret_backend) {
        char *path = nodes_read(store->xs, store->frontend, "backend"), *state;

        if (path && store->backend && strcmp(path, store->backend) == 0)
                free(path);
        else
                backend_change(store, path);
        state = store->backend ? nodes_read(store->xs, store->backend, "state") : NULL;
        *ret_backend = xenbus_state_parse(state);
        free(state);
}

/* Whether a comma-separated list has the version. */
static bool versions_have_1(const char *versions) {
        for (const char *p = versions; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
                if (p[0] == '1' && (p[1] == ',' || p[1] == '\0'))
                        return true;
        return false;
}

int store_read_terms(const struct store *store, struct store_terms *ret_terms) {
        char *versions = nodes_read(store->xs, store->backend, "versions");
        bool known = versions_have_1(versions);
        uint32_t order, calls;

        free(versions);
        if (!known || !number_read(store, store->backend, "function-calls", &calls) || calls != 1 ||
            !number_read(store, store->backend, "max-page-order", &order) || order < 1)
                return -EPROTONOSUPPORT;
        *ret_terms = (struct store_terms) {
                .max_page_order = order < PVCALLS_ORDER_MAX ? order : PVCALLS_ORDER_MAX,
                .suppress = has_feature(store, FEATURE_SUPPRESSION),
                .names = has_feature(store, FEATURE_NAMES),
                .shutdown = has_feature(store, FEATURE_SHUTDOWN),
                .options = has_feature(store, FEATURE_OPTIONS),
                .datagrams = has_feature(store, FEATURE_DATAGRAMS),
                .ipv6 = has_feature(store, FEATURE_IPV6),
                .local = has_feature(store, FEATURE_UNIX),
        };
        return 0;
}

int store_write_number(const struct store *store, const char *node, uint32_t number) {
        char text[12];

        snprintf(text, sizeof text, "%u", number);
        return nodes_write(store->xs, XBT_NULL, store->frontend, node, text);
}

int store_set_state(const struct store *store, enum xenbus_state state) {
        return store_write_number(store, "state", (uint32_t) state);
}
