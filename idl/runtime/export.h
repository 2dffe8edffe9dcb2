/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Exports: which handlers stand behind the objects at a path. Generated code wraps these functions with the types of an interface.
 */

#include <systemd/sd-bus.h>

#include "interface.h"

/* Finds the object at a path below an exported tree: 1 and the object, 0 if there is none, or a negative errno. */
typedef int (*idl_find_t)(const char *path, void *userdata, void **ret_object);

/* One object. The slot is the export: it ends with it. With ret_slot NULL it ends with the bus. */
int idl_export(sd_bus *bus, sd_bus_slot **ret_slot, const char *path, struct idl_interface *interface, const void *handlers,
               void *object);

/* All objects at prefix and below that find finds. */
int idl_export_tree(sd_bus *bus, sd_bus_slot **ret_slot, const char *prefix, struct idl_interface *interface, const void *handlers,
                    idl_find_t find, void *userdata);

/*
 * Whatever is exported on a bus from here on is exported on a second connection as well, until mirror is NULL. A service has one such pair at
 * most: it is the process's, as counters are (interface.h). What is only on the second one ends with that connection.
 */
void idl_export_mirror(sd_bus *bus, sd_bus *mirror);
sd_bus *idl_export_mirror_of(sd_bus *bus);      /* NULL: there is none */

/* In a callback of the vtable: the handlers and the object. Before anything else is done with the bus. */
const void *idl_export_current(sd_bus *bus, void *userdata, void **ret_object);
