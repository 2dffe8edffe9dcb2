/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "store-watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenstore.h>

#define TOKEN_SIZE 24u

struct store_node {
        struct store_watch *watch;
        char *path;
        char token[TOKEN_SIZE];         /* never that of another, so that what comes late is nobody's */
        store_on_change_t on_change;
        void *userdata;
        struct store_node *next;
};

struct store_watch {
        struct xs_handle *xs;
        sd_event_source *source;
        struct store_node *nodes;
        uint64_t last;
};

static struct store_node *find(struct store_watch *watch, const char *token) {
        for (struct store_node *node = watch->nodes; node; node = node->next)
                if (strcmp(node->token, token) == 0)
                        return node;
        return NULL;
}

static int on_fired(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct store_watch *watch = userdata;
        char **fired;

        while ((fired = xs_check_watch(watch->xs))) {
                struct store_node *node = find(watch, fired[XS_WATCH_TOKEN]);

                free(fired);
                if (node)
                        node->on_change(node->userdata);
        }
        return 0;
}

int store_watch_new(struct store_watch **ret_watch, sd_event *event) {
        struct store_watch *watch = calloc(1, sizeof *watch);
        int r;

        if (!watch)
                return -ENOMEM;
        watch->xs = xs_open(0);
        r = watch->xs ? sd_event_add_io(event, &watch->source, xs_fileno(watch->xs), EPOLLIN, on_fired, watch) : -errno;
        if (r < 0) {
                store_watch_free(watch);
                return r;
        }
        *ret_watch = watch;
        return 0;
}

struct store_watch *store_watch_free(struct store_watch *watch) {
        if (!watch)
                return NULL;
        sd_event_source_disable_unref(watch->source);
        if (watch->xs)
                xs_close(watch->xs);
        free(watch);
        return NULL;
}

char *store_watch_read(struct store_watch *watch, const char *path) {
        unsigned n;

        return xs_read(watch->xs, XBT_NULL, path, &n);
}

int store_node_new(struct store_node **ret_node, struct store_watch *watch, const char *path, store_on_change_t on_change, void *userdata) {
        struct store_node *node = calloc(1, sizeof *node);

        if (!node)
                return -ENOMEM;
        *node = (struct store_node) { .watch = watch, .path = strdup(path), .on_change = on_change, .userdata = userdata };
        snprintf(node->token, sizeof node->token, "%" PRIu64, ++watch->last);
        if (!node->path || !xs_watch(watch->xs, path, node->token)) {
                int r = node->path ? -errno : -ENOMEM;

                free(node->path);
                free(node);
                return r;
        }
        node->next = watch->nodes;
        watch->nodes = node;
        *ret_node = node;
        return 0;
}

struct store_node *store_node_free(struct store_node *node) {
        if (!node)
                return NULL;
        for (struct store_node **p = &node->watch->nodes; *p; p = &(*p)->next)
                if (*p == node) {
                        *p = node->next;
                        break;
                }
        (void) xs_unwatch(node->watch->xs, node->path, node->token);
        free(node->path);
        free(node);
        return NULL;
}
