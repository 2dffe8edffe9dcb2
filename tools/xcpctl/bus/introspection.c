/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "introspection.h"

#include <string.h>

#include "property.h"
#include "result.h"
#include "screen-text.h"

#define DBUS_PREFIX "org.freedesktop.DBus."

static void object_free(void *pointer) {
        struct introspected_object *object = pointer;

        g_free(object->path);
        g_strfreev(object->interfaces);
        g_free(object);
}

static void add_object(GPtrArray *objects, const char *path, GPtrArray *interfaces) {
        struct introspected_object *object = g_new(struct introspected_object, 1);

        g_ptr_array_add(interfaces, NULL);
        *object = (struct introspected_object) { .path = g_strdup(path), .interfaces = g_strdupv((char **) interfaces->pdata) };
        g_ptr_array_add(objects, object);
}

static int compare_objects(const void *a, const void *b) {
        return strcmp((*(struct introspected_object *const *) a)->path, (*(struct introspected_object *const *) b)->path);
}

static void add_node(GPtrArray *objects, const char *path, GDBusNodeInfo *node) {
        g_autoptr(GPtrArray) interfaces = g_ptr_array_new();

        for (GDBusInterfaceInfo **info = node->interfaces; info && *info; info++)
                if (!g_str_has_prefix((*info)->name, DBUS_PREFIX))
                        g_ptr_array_add(interfaces, (*info)->name);
        if (interfaces->len > 0)
                add_object(objects, path, interfaces);
}

static bool add_managed(struct context *context, const char *service, GPtrArray *objects) {
        g_autoptr(GVariant) managed = client_objects(context, service, NULL);

        for (gsize i = 0; managed && i < g_variant_n_children(managed); i++) {
                g_autoptr(GPtrArray) names = g_ptr_array_new();
                g_autoptr(GVariant) interfaces = NULL;
                const char *path;

                g_variant_get_child(managed, i, "{&o@a{sa{sv}}}", &path, &interfaces);
                for (gsize j = 0; j < g_variant_n_children(interfaces); j++) {
                        const char *name;

                        g_variant_get_child(interfaces, j, "{&s@a{sv}}", &name, NULL);
                        if (!g_str_has_prefix(name, DBUS_PREFIX))
                                g_ptr_array_add(names, (char *) name);
                }
                add_object(objects, path, names);
        }
        return managed != NULL;
}

/* Walks the tree of a service that has no ObjectManager, breadth first. */
static bool walk(struct context *context, const char *service, GPtrArray *objects, GError **error) {
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

        g_ptr_array_add(paths, g_strdup("/"));
        for (unsigned i = 0; i < paths->len && i < INTROSPECTION_OBJECTS_MAX; i++) {
                const char *path = paths->pdata[i];
                g_autoptr(GDBusNodeInfo) node = client_introspect(context, service, path, error);

                if (!node)
                        return false;
                add_node(objects, path, node);
                for (GDBusNodeInfo **child = node->nodes; child && *child; child++) {
                        g_autofree char *below = g_strconcat(strcmp(path, "/") == 0 ? "" : path, "/", (*child)->path, NULL);

                        if (g_variant_is_object_path(below))
                                g_ptr_array_add(paths, g_steal_pointer(&below));
                }
        }
        return true;
}

GPtrArray *introspection_objects(struct context *context, const char *service, GError **error) {
        g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func(object_free);
        g_autofree char *root = client_root(service);
        g_autoptr(GDBusNodeInfo) node = client_introspect(context, service, root, error);

        if (!node)
                return NULL;
        if (g_dbus_node_info_lookup_interface(node, DBUS_PREFIX "ObjectManager") && add_managed(context, service, objects))
                add_node(objects, root, node);
        else if (!walk(context, service, objects, error))
                return NULL;
        g_ptr_array_sort(objects, compare_objects);
        return g_steal_pointer(&objects);
}

static bool print_properties(struct context *context, const char *interface, GVariant *properties, GError **error) {
        g_autofree char *name = screen_text(interface);
        g_autofree char *title = g_strdup_printf("%s%s%s\n", context_colour(context, COLOUR_BOLD), name, context_colour(context, COLOUR_NONE));
        struct table *pairs = result_pairs_new();
        bool good;

        result_pairs_add_properties(pairs, interface, properties);
        good = (!context->header || context_print(context, title, error)) && result_pairs_print(context, pairs, error);
        table_free(pairs);
        return good;
}

bool introspection_show(struct context *context, const char *service, const char *path, GError **error) {
        g_autoptr(GDBusNodeInfo) node = client_introspect(context, service, path, error);
        struct json_object *json = json_object_new_object();
        unsigned n = 0;
        bool good = node != NULL;

        for (GDBusInterfaceInfo **info = node ? node->interfaces : NULL; good && info && *info; info++) {
                g_autoptr(GVariant) properties = NULL;

                if (g_str_has_prefix((*info)->name, DBUS_PREFIX))
                        continue;
                n++;
                properties = client_properties(context, service, path, (*info)->name, error);
                good = properties != NULL;
                if (good && context->json)
                        json_object_object_add(json, (*info)->name, property_json((*info)->name, properties));
                else if (good)
                        good = print_properties(context, (*info)->name, properties, error);
        }
        if (good && n == 0)
                good = context_fail(error, CONTEXT_ERROR_FAILED, "%s has no object %s", client_short_name(service), path);
        if (good && context->json)
                good = context_print_json(context, json_object_get(json), false, error);
        json_object_put(json);
        return good;
}

char *introspection_usage(const GDBusMethodInfo *method) {
        GString *usage = g_string_new(method->name);

        for (GDBusArgInfo **argument = method->in_args; argument && *argument; argument++)
                g_string_append_printf(usage, " (%s %s)", (*argument)->signature, (*argument)->name);
        return g_string_free(usage, FALSE);
}

struct contract_value *introspection_outputs(const GDBusMethodInfo *method) {
        GArray *outputs = g_array_new(TRUE, TRUE, sizeof(struct contract_value));

        for (GDBusArgInfo **argument = method->out_args; argument && *argument; argument++) {
                struct contract_value output = { .name = (*argument)->name ? (*argument)->name : "result", .type = (*argument)->signature };

                g_array_append_val(outputs, output);
        }
        return (struct contract_value *) g_array_free(outputs, FALSE);
}
