/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "vm-addresses.h"

#include <string.h>

#include "objects.h"

#define VM "org.xen.xcp.xenopsd1.VM"

struct listing {
        struct table *table;
        struct json_object *json;
};

/* An address of the VM for each line; none for a VM of which none is known. */
static void add_addresses(const struct listing *listing, const struct candidate *vm, GVariant *addresses) {
        const char *address, *mac, *source;
        GVariantIter iter;

        g_variant_iter_init(&iter, addresses);
        while (g_variant_iter_next(&iter, "(&s&s&s)", &address, &mac, &source)) {
                struct json_object *row = json_object_new_object();

                table_add(listing->table, (const char *const[]) { vm->name, address, mac, source, NULL });
                json_object_object_add(row, "vm", json_object_new_string(vm->path));
                json_object_object_add(row, "name", json_object_new_string(vm->name));
                json_object_object_add(row, "address", json_object_new_string(address));
                json_object_object_add(row, "mac", json_object_new_string(mac));
                json_object_object_add(row, "source", json_object_new_string(source));
                json_object_array_add(listing->json, row);
        }
}

static GVariant *addresses_of(GVariant *objects, const char *vm) {
        g_autoptr(GVariant) interfaces = g_variant_lookup_value(objects, vm, G_VARIANT_TYPE("a{sa{sv}}"));
        g_autoptr(GVariant) properties = interfaces ? g_variant_lookup_value(interfaces, VM, G_VARIANT_TYPE_VARDICT) : NULL;

        return properties ? g_variant_lookup_value(properties, "Addresses", G_VARIANT_TYPE("a(sss)")) : NULL;
}

static bool list(struct context *context, const char *only, const struct listing *listing, GError **error) {
        g_autoptr(GPtrArray) vms = objects_list(context, PARAMETER_VM, NULL, error);
        g_autoptr(GVariant) objects = vms ? client_objects(context, CLIENT_XENOPSD, error) : NULL;

        if (!objects)
                return false;
        for (unsigned i = 0; i < vms->len; i++) {
                const struct candidate *vm = vms->pdata[i];
                g_autoptr(GVariant) addresses = !only || strcmp(vm->path, only) == 0 ? addresses_of(objects, vm->path) : NULL;

                if (addresses)
                        add_addresses(listing, vm, addresses);
        }
        return true;
}

bool vm_addresses_run(struct context *context, const struct arguments *arguments, GError **error) {
        struct listing listing = { table_new((const char *const[]) { "VM", "ADDRESS", "MAC", "SOURCE", NULL }), json_object_new_array() };
        const char *wanted = arguments_get(arguments, "VM");
        g_autofree char *only = wanted ? objects_find(context, PARAMETER_VM, NULL, wanted, error) : NULL;

        return context_print_list(context, listing.table, listing.json, (!wanted || only) && list(context, only, &listing, error), error);
}
