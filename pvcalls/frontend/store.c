/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"

#define PATH_SIZE 512u                  /* a backend's path, and the names of its nodes */

/* A node's text; NULL if it cannot be read. */
static char *node_read(const struct store *store, const char *directory, const char *name) {
        char path[PATH_SIZE];
        unsigned n;

        snprintf(path, sizeof path, "%s/%s", directory, name);
        return xs_read(store->xs, XBT_NULL, path, &n);
}

/* Decimal digits, at most 32 bits, as nodes have it. */
static bool number_parse(const char *text, uint32_t *ret_number) {
        uint64_t number = 0;

        if (!text || text[0] == '\0')
                return false;
        for (; *text; text++) {
                if (*text < '0' || *text > '9')
                        return false;
                number = number * 10 + (uint64_t) (*text - '0');
                if (number > UINT32_MAX)
                        return false;
        }
        *ret_number = (uint32_t) number;
        return true;
}

static bool number_read(const struct store *store, const char *directory, const char *name, uint32_t *ret_number) {
        char *text = node_read(store, directory, name);
        bool is = number_parse(text, ret_number);

        free(text);
        return is;
}

/* Whether the backend has an extension. */
static bool has_feature(const struct store *store, const char *node) {
        uint32_t value;

        return number_read(store, store->backend, node, &value) && value == 1;
}

static int state_watch(const struct store *store, bool on) {
        char path[PATH_SIZE];
        bool done;

        snprintf(path, sizeof path, "%s/state", store->backend);
        done = on ? xs_watch(store->xs, path, "pvcalls") : xs_unwatch(store->xs, path, "pvcalls");
        return done || errno == EEXIST ? 0 : -errno;
}

int store_open(struct store *store, unsigned device) {
        char path[PATH_SIZE];

        *store = (struct store) { .xs = xs_open(0) };
        if (!store->xs)
                return -errno;
        if (asprintf(&store->frontend, "device/pvcalls/%u", device) < 0) {
                store->frontend = NULL;
                return -ENOMEM;
        }
        snprintf(path, sizeof path, "%s/backend", store->frontend);
        return xs_watch(store->xs, path, "pvcalls") ? 0 : -errno;
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
        char **event;

        while ((event = xs_check_watch(store->xs)))
                free(event);
}

/* The toolstack has moved the device, or made it, or taken it away. path is ours from here on; NULL: it is gone. */
static void backend_change(struct store *store, char *path) {
        if (store->backend)
                (void) state_watch(store, false);
        free(store->backend);
        store->backend = path;
        if (!path)
                return;
        if (strlen(path) > PATH_SIZE / 2 || !number_read(store, store->frontend, "backend-id", &store->backend_domid) ||
            state_watch(store, true) < 0) {
                free(path);
                store->backend = NULL;  /* it is half made: the watch on `backend` does not fire again, so it has to be written last */
        }
}

void store_look(struct store *store, enum front_state *ret_backend) {
        char *path = node_read(store, store->frontend, "backend"), *state;

        if (path && store->backend && strcmp(path, store->backend) == 0)
                free(path);
        else
                backend_change(store, path);
        state = store->backend ? node_read(store, store->backend, "state") : NULL;
        *ret_backend = front_state_parse(state);
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
        char *versions = node_read(store, store->backend, "versions");
        bool known = versions_have_1(versions);
        uint32_t order, calls;

        free(versions);
        if (!known || !number_read(store, store->backend, "function-calls", &calls) || calls != 1 ||
            !number_read(store, store->backend, "max-page-order", &order) || order < 1)
                return -EPROTONOSUPPORT;
        *ret_terms = (struct store_terms) {
                .max_page_order = order < PVCALLS_ORDER_MAX ? order : PVCALLS_ORDER_MAX,
                .suppress = has_feature(store, "feature-notification-suppression"),
                .names = has_feature(store, "feature-names"),
                .shutdown = has_feature(store, "feature-shutdown"),
                .options = has_feature(store, "feature-socket-options"),
                .datagrams = has_feature(store, "feature-datagrams"),
                .ipv6 = has_feature(store, "feature-ipv6"),
                .local = has_feature(store, "feature-unix"),
        };
        return 0;
}

int store_write_number(const struct store *store, const char *node, uint32_t number) {
        char path[PATH_SIZE], text[12];

        snprintf(path, sizeof path, "%s/%s", store->frontend, node);
        snprintf(text, sizeof text, "%u", number);
        return xs_write(store->xs, XBT_NULL, path, text, (unsigned) strlen(text)) ? 0 : -errno;
}

int store_set_state(const struct store *store, enum front_state state) {
        return store_write_number(store, "state", (uint32_t) state);
}
