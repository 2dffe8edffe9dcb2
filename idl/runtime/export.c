/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "export.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

struct export {
        const void *handlers;
        void *object;                   /* of one object */
        idl_find_t find;                /* of a tree, otherwise NULL */
        void *userdata;
};

static int export_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found, sd_bus_error *ret_error) {
        const struct export *export = userdata;

        return export->find(path, export->userdata, ret_found);
}

static struct {
        sd_bus *bus, *second;           /* not referenced */
} mirror;

void idl_export_mirror(sd_bus *bus, sd_bus *second) {
        mirror.bus = second ? bus : NULL;
        mirror.second = second;
}

sd_bus *idl_export_mirror_of(sd_bus *bus) {
        return bus == mirror.bus ? mirror.second : NULL;
}

static int export_add(sd_bus *bus, sd_bus_slot **ret_slot, const char *path, struct idl_interface *interface, struct export template) {
        sd_bus *second = idl_export_mirror_of(bus);
        struct export *export;
        sd_bus_slot *slot;
        int r;

        if (second) {
                r = export_add(second, NULL, path, interface, template);
                if (r < 0)
                        return r;
        }
        export = malloc(sizeof(*export));
        if (!export)
                return -ENOMEM;
        *export = template;

        if (export->find)
                r = sd_bus_add_fallback_vtable(bus, &slot, path, interface->name, interface->vtable, export_find, export);
        else
                r = sd_bus_add_object_vtable(bus, &slot, path, interface->name, interface->vtable, export);
        if (r < 0) {
                free(export);
                return r;
        }
        sd_bus_slot_set_destroy_callback(slot, free);
        idl_interface_add(interface);

        if (ret_slot)
                *ret_slot = slot;
        else {
                sd_bus_slot_set_floating(slot, true);
                sd_bus_slot_unref(slot);
        }
        return 0;
}

int idl_export(sd_bus *bus, sd_bus_slot **ret_slot, const char *path, struct idl_interface *interface, const void *handlers,
               void *object) {
        return export_add(bus, ret_slot, path, interface, (struct export) { .handlers = handlers, .object = object });
}

int idl_export_tree(sd_bus *bus, sd_bus_slot **ret_slot, const char *prefix, struct idl_interface *interface, const void *handlers,
                    idl_find_t find, void *userdata) {
        return export_add(bus, ret_slot, prefix, interface,
                          (struct export) { .handlers = handlers, .find = find, .userdata = userdata });
}

const void *idl_export_current(sd_bus *bus, void *userdata, void **ret_object) {
        /* sd-bus gives callbacks the object that find found, or, without find, what the slot was made with. */
        const struct export *export = sd_bus_slot_get_userdata(sd_bus_get_current_slot(bus));

        *ret_object = export->find ? userdata : export->object;
        return export->handlers;
}
