/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "client.h"

#include <string.h>

#define BUS "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"
#define PATH_PREFIX "/org/xen/xcp/"
#define BRIEF_MS 3000

/* GDBus takes what is none for a mistake of the program, and here it is one of the user or of a service's introspection. */
static bool are_names(const char *service, const char *path, const char *interface, const char *method, GError **error) {
        if (!g_dbus_is_name(service))
                return context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is no bus name", service);
        if (!g_variant_is_object_path(path))
                return context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is no object path", path);
        if (!g_dbus_is_interface_name(interface))
                return context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is no name of an interface", interface);
        return g_dbus_is_member_name(method) || context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is no name of a method", method);
}

const char *client_destination(const struct context *context, const char *service) {
        return context->manager && strcmp(service, CLIENT_XENOPSD) == 0 ? context->manager : service;
}

static GVariant *call(struct context *context, const char *service, const char *path, const char *interface, const char *method,
                      GVariant *arguments, int timeout_ms, GDBusCallFlags flags, GUnixFDList *fds, GUnixFDList **ret_fds, GError **error) {
        g_autoptr(GVariant) owned = arguments ? g_variant_ref_sink(arguments) : NULL;
        GDBusConnection *bus;

        service = client_destination(context, service);
        if (!are_names(service, path, interface, method, error))
                return NULL;
        bus = context_bus(context, error);
        if (!bus)
                return NULL;
        return g_dbus_connection_call_with_unix_fd_list_sync(bus, service, path, interface, method, owned, NULL, flags, timeout_ms, fds,
                                                             ret_fds, NULL, error);
}

GVariant *client_call(struct context *context, const char *service, const char *path, const char *interface, const char *method,
                      GVariant *arguments, GUnixFDList *fds, GUnixFDList **ret_fds, GError **error) {
        return call(context, service, path, interface, method, arguments, context->brief ? BRIEF_MS : -1,
                    context->brief ? G_DBUS_CALL_FLAGS_NO_AUTO_START : G_DBUS_CALL_FLAGS_NONE, fds, ret_fds, error);
}

GVariant *client_call_briefly(struct context *context, const char *service, const char *path, const char *interface, const char *method,
                              GVariant *arguments) {
        return call(context, service, path, interface, method, arguments, BRIEF_MS, G_DBUS_CALL_FLAGS_NO_AUTO_START, NULL, NULL, NULL);
}

/* The one result of a call, out of its tuple; checks that it is of a type. */
static GVariant *only_result(GVariant *tuple, const char *type, GError **error) {
        g_autoptr(GVariant) results = tuple;

        if (!results)
                return NULL;
        if (g_variant_n_children(results) != 1) {
                context_fail(error, CONTEXT_ERROR_FAILED, "the answer has %zu values, not one", g_variant_n_children(results));
                return NULL;
        }
        GVariant *result = g_variant_get_child_value(results, 0);

        if (g_variant_is_of_type(result, G_VARIANT_TYPE(type)))
                return result;
        context_fail(error, CONTEXT_ERROR_FAILED, "the answer is of type %s, not %s", g_variant_get_type_string(result), type);
        g_variant_unref(result);
        return NULL;
}

GVariant *client_properties(struct context *context, const char *service, const char *path, const char *interface, GError **error) {
        return only_result(client_call(context, service, path, BUS ".Properties", "GetAll", g_variant_new("(s)", interface), NULL, NULL, error),
                           "a{sv}", error);
}

GVariant *client_property(struct context *context, const char *service, const char *path, const char *interface, const char *name,
                          GError **error) {
        g_autoptr(GVariant) variant = only_result(
                client_call(context, service, path, BUS ".Properties", "Get", g_variant_new("(ss)", interface, name), NULL, NULL, error), "v", error);

        return variant ? g_variant_get_variant(variant) : NULL;
}

bool client_set_property(struct context *context, const char *service, const char *path, const char *interface, const char *name,
                         GVariant *value, GError **error) {
        g_autoptr(GVariant) results = client_call(context, service, path, BUS ".Properties", "Set",
                                                  g_variant_new("(ssv)", interface, name, value), NULL, NULL, error);

        return results != NULL;
}

GVariant *client_objects(struct context *context, const char *service, GError **error) {
        g_autofree char *root = client_root(service);

        return only_result(client_call(context, service, root, BUS ".ObjectManager", "GetManagedObjects", NULL, NULL, NULL, error),
                           "a{oa{sa{sv}}}", error);
}

GDBusNodeInfo *client_introspect(struct context *context, const char *service, const char *path, GError **error) {
        g_autoptr(GVariant) xml = only_result(
                client_call(context, service, path, BUS ".Introspectable", "Introspect", NULL, NULL, NULL, error), "s", error);

        return xml ? g_dbus_node_info_new_for_xml(g_variant_get_string(xml, NULL), error) : NULL;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static bool add_names(struct context *context, const char *method, GPtrArray *names, GError **error) {
        g_autoptr(GVariant) list = only_result(client_call(context, BUS, BUS_PATH, BUS, method, NULL, NULL, NULL, error), "as", error);
        GVariantIter iter;
        const char *name;

        if (!list)
                return false;
        g_variant_iter_init(&iter, list);
        while (g_variant_iter_next(&iter, "&s", &name))
                if (g_str_has_prefix(name, CLIENT_PREFIX) && !g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
                        g_ptr_array_add(names, g_strdup(name));
        return true;
}

char **client_services(struct context *context, bool also_activatable, GError **error) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

        if (!add_names(context, "ListNames", names, error))
                return NULL;
        if (also_activatable && !add_names(context, "ListActivatableNames", names, error))
                return NULL;
        g_ptr_array_sort(names, compare_names);
        g_ptr_array_add(names, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

bool client_is_running(struct context *context, const char *service) {
        g_autoptr(GVariant) owned = client_call_briefly(context, BUS, BUS_PATH, BUS, "NameHasOwner", g_variant_new("(s)", service));
        gboolean running = FALSE;

        if (owned)
                g_variant_get(owned, "(b)", &running);
        return running;
}

char *client_service_name(const char *text) {
        return strchr(text, '.') || *text == ':' ? g_strdup(text) : g_strconcat(CLIENT_PREFIX, text, NULL);
}

char *client_root(const char *service) {
        char *path = g_strconcat("/", service, NULL);

        g_strdelimit(path, ".", '/');
        return path;
}

char *client_service_of(const char *path) {
        g_autofree char *service = NULL;

        if (!g_str_has_prefix(path, PATH_PREFIX))
                return NULL;
        path += strlen(PATH_PREFIX);
        service = g_strdup_printf(CLIENT_PREFIX "%.*s", (int) strcspn(path, "/"), path);
        return g_dbus_is_name(service) ? g_steal_pointer(&service) : NULL;
}

const char *client_short_name(const char *service) {
        return g_str_has_prefix(service, CLIENT_PREFIX) ? service + strlen(CLIENT_PREFIX) : service;
}

const char *client_short_path(const char *path) {
        const char *slash;

        if (!g_str_has_prefix(path, PATH_PREFIX))
                return path;
        slash = strchr(path + strlen(PATH_PREFIX), '/');
        return slash ? slash + 1 : path;
}
