/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "objects.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "export.h"

struct item {
        uint64_t key;                   /* orders items as their paths do, as far as it goes, and is in the array itself */
        char *path;
        void *object;
};

struct objects {
        sd_bus *bus;
        char *prefix;
        size_t n_prefix;
        sd_bus_slot *enumerator;
        struct item *items;             /* in the order of their paths */
        size_t n_items, n_allocated;
};

static bool is_below_prefix(const struct objects *objects, const char *path) {
        return strncmp(path, objects->prefix, objects->n_prefix) == 0 && path[objects->n_prefix] == '/';
}

/* The first bytes of what follows the prefix, as a number that is less when they are. */
static uint64_t key_of(const struct objects *objects, const char *path) {
        const char *id = path + objects->n_prefix + 1;
        uint64_t bytes = 0;

        memcpy(&bytes, id, strnlen(id, sizeof bytes));
        return be64toh(bytes);
}

static bool is_less(const struct item *item, uint64_t key, const char *path) {
        return item->key != key ? item->key < key : strcmp(item->path, path) < 0;
}

/* The first item whose path is not less than one below the prefix. */
static size_t position(const struct objects *objects, const char *path) {
        uint64_t key = key_of(objects, path);
        size_t low = 0, high = objects->n_items;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (is_less(&objects->items[middle], key, path))
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool is_at(const struct objects *objects, size_t i, const char *path) {
        return i < objects->n_items && strcmp(objects->items[i].path, path) == 0;
}

/* The item at any path: NULL if there is none. */
static struct item *lookup(const struct objects *objects, const char *path) {
        size_t i;

        if (!is_below_prefix(objects, path))
                return NULL;
        i = position(objects, path);
        return is_at(objects, i, path) ? &objects->items[i] : NULL;
}

static void free_strings(char **strings) {
        for (char **s = strings; s && *s; s++)
                free(*s);
        free(strings);
}

/* sd_bus_add_node_enumerator(3): the array and the strings are freed by sd-bus. */
static int on_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        struct objects *objects = userdata;
        char **nodes;

        nodes = calloc(objects->n_items + 1, sizeof *nodes);
        if (!nodes)
                return -ENOMEM;
        for (size_t i = 0; i < objects->n_items; i++) {
                nodes[i] = strdup(objects->items[i].path);
                if (!nodes[i]) {
                        free_strings(nodes);
                        return -ENOMEM;
                }
        }
        *ret_nodes = nodes;
        return 0;
}

int objects_new(struct objects **ret_objects, sd_bus *bus, const char *prefix) {
        AUTO(objects_freep) struct objects *objects = NULL;
        int r;

        objects = calloc(1, sizeof *objects);
        if (!objects)
                return -ENOMEM;
        objects->bus = sd_bus_ref(bus);
        objects->prefix = strdup(prefix);
        if (!objects->prefix)
                return -ENOMEM;
        objects->n_prefix = strlen(prefix);
        r = sd_bus_add_node_enumerator(bus, &objects->enumerator, prefix, on_enumerate, objects);
        if (r >= 0 && idl_export_mirror_of(bus))
                r = sd_bus_add_node_enumerator(idl_export_mirror_of(bus), NULL, prefix, on_enumerate, objects);
        if (r < 0)
                return r;
        *ret_objects = objects;
        objects = NULL;
        return 0;
}

struct objects *objects_free(struct objects *objects) {
        if (!objects)
                return NULL;
        sd_bus_slot_unref(objects->enumerator);
        for (size_t i = 0; i < objects->n_items; i++)
                free(objects->items[i].path);
        free(objects->items);
        free(objects->prefix);
        sd_bus_unref(objects->bus);
        free(objects);
        return NULL;
}

static int grow(struct objects *objects) {
        size_t n = objects->n_allocated > 0 ? 2 * objects->n_allocated : 16;
        struct item *items;

        if (objects->n_items < objects->n_allocated)
                return 0;
        items = reallocarray(objects->items, n, sizeof *items);
        if (!items)
                return -ENOMEM;
        objects->items = items;
        objects->n_allocated = n;
        return 0;
}

static void take_out(struct objects *objects, size_t i) {
        free(objects->items[i].path);
        objects->n_items--;
        memmove(objects->items + i, objects->items + i + 1, (objects->n_items - i) * sizeof *objects->items);
}

/* Takes the path over. */
static int add(struct objects *objects, char *path, void *object, const char **ret_path) {
        AUTO_FREE char *owned = path;
        size_t i = position(objects, path);
        int r;

        if (is_at(objects, i, path))
                return -EEXIST;
        r = grow(objects);
        if (r < 0)
                return r;
        memmove(objects->items + i + 1, objects->items + i, (objects->n_items - i) * sizeof *objects->items);
        objects->items[i] = (struct item) { key_of(objects, path), path, object };
        objects->n_items++;
        owned = NULL;
        *ret_path = path;               /* the getters of the properties may ask for it */

        r = sd_bus_emit_object_added(objects->bus, path);
        if (r < 0) {
                take_out(objects, i);
                return r;
        }
        return 0;
}

int objects_add(struct objects *objects, const char *id, void *object, const char **ret_path) {
        char *path;
        int r;

        r = sd_bus_path_encode(objects->prefix, id, &path);
        return r < 0 ? r : add(objects, path, object, ret_path);
}

int objects_add_number(struct objects *objects, uint64_t id, void *object, const char **ret_path) {
        char *path;

        if (asprintf(&path, "%s/%" PRIu64, objects->prefix, id) < 0)
                return -ENOMEM;
        return add(objects, path, object, ret_path);
}

int objects_add_path(struct objects *objects, const char *path, void *object, const char **ret_path) {
        char *copy;

        if (!is_below_prefix(objects, path) || !sd_bus_object_path_is_valid(path))
                return -EINVAL;
        copy = strdup(path);
        return copy ? add(objects, copy, object, ret_path) : -ENOMEM;
}

int objects_remove(struct objects *objects, const char *path) {
        const struct item *item = lookup(objects, path);
        int r;

        if (!item)
                return 0;
        /* Emitted while it can still be found, since sd-bus looks which interfaces there are. */
        r = sd_bus_emit_object_removed(objects->bus, path);
        take_out(objects, (size_t) (item - objects->items));
        return r < 0 ? r : 1;
}

const char *objects_prefix(const struct objects *objects) {
        return objects->prefix;
}

size_t objects_count(const struct objects *objects) {
        return objects->n_items;
}

int objects_find(const char *path, void *userdata, void **ret_object) {
        const struct item *item = lookup(userdata, path);

        if (!item)
                return 0;
        *ret_object = item->object;
        return 1;
}
