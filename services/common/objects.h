/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Objects: all those of one kind that a service has, at PREFIX/ID.
 *
 * Give objects_find() and the objects to the generated export_tree function of each interface that these objects have, and from then on
 * objects_add() and objects_remove() are all it takes: introspection and GetManagedObjects know them, InterfacesAdded and
 * InterfacesRemoved are emitted. There is one export for all of them, so an object costs its path and two pointers.
 *
 *         objects_new(&vdis, bus, "/org/xen/xcp/storage/vdi");
 *         storage1_vdi_export_tree(bus, NULL, "/org/xen/xcp/storage/vdi", &handlers, objects_find, vdis);
 *         objects_add(vdis, vdi->name, vdi, &vdi->path);
 */

#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

struct objects;

/* The bus is referenced. Below a path with an object manager, as a service's root is. */
int objects_new(struct objects **ret_objects, sd_bus *bus, const char *prefix);

/* The objects themselves are not freed, and nothing is emitted. */
struct objects *objects_free(struct objects *objects);

/*
 * Adds an object, whose properties are all readable by now: they are in the signal. id may be any string; what a path may not have
 * in it is escaped as sd_bus_path_encode(3) does. The path is valid until the object is removed. -EEXIST: there is one.
 */
int objects_add(struct objects *objects, const char *id, void *object, const char **ret_path);

/* The same for an id that is a number, and needs no escape. */
int objects_add_number(struct objects *objects, uint64_t id, void *object, const char **ret_path);

/* The same for a path that is below the prefix already, at any depth. -EINVAL if it is not. */
int objects_add_path(struct objects *objects, const char *path, void *object, const char **ret_path);

/* Removes an object, whose path is freed. 0 if there is none. */
int objects_remove(struct objects *objects, const char *path);

const char *objects_prefix(const struct objects *objects);
size_t objects_count(const struct objects *objects);

/* The object at a path: 1, or 0 if there is none. An idl_find_t, with the objects as userdata. */
int objects_find(const char *path, void *userdata, void **ret_object);

static inline void objects_freep(struct objects **objects) {
        objects_free(*objects);
}
