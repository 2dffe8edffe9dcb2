/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "signal-text.h"

#include <string.h>

#include "contract.h"
#include "value.h"

#define CHANGED_TYPE G_VARIANT_TYPE("(sa{sv}as)")
#define ADDED_TYPE G_VARIANT_TYPE("(oa{sa{sv}})")
#define REMOVED_TYPE G_VARIANT_TYPE("(oas)")

static bool is(const struct signal_event *event, const char *name, const GVariantType *type) {
        return g_str_has_prefix(event->interface, "org.freedesktop.DBus.") && strcmp(event->name, name) == 0 &&
               g_variant_is_of_type(event->arguments, type);
}

static bool is_owner_change(const struct signal_event *event) {
        return strcmp(event->interface, "org.freedesktop.DBus") == 0 && strcmp(event->name, "NameOwnerChanged") == 0 &&
               g_variant_is_of_type(event->arguments, G_VARIANT_TYPE("(sss)"));
}

static void append_value(GString *text, const char *name, GVariant *value, const char *type) {
        g_autofree char *content = value_text(value, type, name);
        bool list = g_variant_is_container(value) && !g_variant_is_of_type(value, G_VARIANT_TYPE_VARIANT);

        g_string_append_printf(text, list ? "%s%s=(%s)" : "%s%s=%s", text->len ? " " : "", name, content);
}

static void append_changed(GString *text, GVariant *arguments) {
        g_autoptr(GVariant) changed = NULL, invalidated = NULL;
        const char *interface, *name;
        GVariantIter iter;
        GVariant *value;

        g_variant_get(arguments, "(&s@a{sv}@as)", &interface, &changed, &invalidated);
        g_variant_iter_init(&iter, changed);
        while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
                const struct contract_value *known = contract_property(interface, name);

                append_value(text, name, value, known ? known->type : NULL);
                g_variant_unref(value);
        }
        g_variant_iter_init(&iter, invalidated);
        while (g_variant_iter_next(&iter, "&s", &name))
                g_string_append_printf(text, "%s%s has changed", text->len ? ", " : "", name);
}

static const char *last_word(const char *interface) {
        const char *dot = strrchr(interface, '.');

        return dot ? dot + 1 : interface;
}

/* The path in the arguments is what it is about, not that of the ObjectManager. */
static void append_added(GString *text, GVariant *arguments) {
        g_autoptr(GVariant) interfaces = NULL;
        const char *path;

        g_variant_get(arguments, "(&o@a{sa{sv}})", &path, &interfaces);
        g_string_append_printf(text, "added %s", path);
        for (gsize i = 0; i < g_variant_n_children(interfaces); i++) {
                const char *interface;

                g_variant_get_child(interfaces, i, "{&s@a{sv}}", &interface, NULL);
                if (!g_str_has_prefix(interface, "org.freedesktop.DBus."))
                        g_string_append_printf(text, " %s", last_word(interface));
        }
}

static void append_removed(GString *text, GVariant *arguments) {
        const char *path;

        g_variant_get_child(arguments, 0, "&o", &path);
        g_string_append_printf(text, "removed %s", path);
}

static void append_owner(GString *text, GVariant *arguments) {
        const char *old, *new;

        g_variant_get(arguments, "(&s&s&s)", NULL, &old, &new);
        if (*old && *new)
                g_string_append_printf(text, "has moved from %s to %s", old, new);
        else
                g_string_append_printf(text, *new ? "is on the bus, as %s" : "has left the bus, where it was %s", *new ? new : old);
}

static void append_signal(GString *text, const struct signal_event *event) {
        const struct contract_call *known = contract_call(event->interface, event->name);
        const struct contract_value *argument = known ? known->outputs : contract_nothing;

        g_string_append(text, event->name);
        for (gsize i = 0; i < g_variant_n_children(event->arguments); i++) {
                g_autoptr(GVariant) value = g_variant_get_child_value(event->arguments, i);
                g_autofree char *name = argument->name ? g_strdup(argument->name) : g_strdup_printf("%zu", i);

                append_value(text, name, value, argument->type);
                if (argument->name)
                        argument++;
        }
}

char *signal_text(const struct signal_event *event) {
        GString *text = g_string_new(NULL);

        if (is(event, "PropertiesChanged", CHANGED_TYPE))
                append_changed(text, event->arguments);
        else if (is(event, "InterfacesAdded", ADDED_TYPE))
                append_added(text, event->arguments);
        else if (is(event, "InterfacesRemoved", REMOVED_TYPE))
                append_removed(text, event->arguments);
        else if (is_owner_change(event))
                append_owner(text, event->arguments);
        else
                append_signal(text, event);
        return g_string_free(text, FALSE);
}

static const char *const *names_of(const struct signal_event *event) {
        static const char *const changed[] = { "interface", "changed", "invalidated", NULL };
        static const char *const object[] = { "object", "interfaces", NULL };
        static const char *const owner[] = { "name", "old_owner", "new_owner", NULL };

        if (is(event, "PropertiesChanged", CHANGED_TYPE))
                return changed;
        if (is_owner_change(event))
                return owner;
        return is(event, "InterfacesAdded", ADDED_TYPE) || is(event, "InterfacesRemoved", REMOVED_TYPE) ? object : NULL;
}

/* By their names; those that have none, as an array. */
static struct json_object *json_of_arguments(const struct signal_event *event) {
        const struct contract_call *known = contract_call(event->interface, event->name);
        const struct contract_value *argument = known ? known->outputs : contract_nothing;
        const char *const *names = names_of(event);
        struct json_object *arguments;

        if (!names && !argument->name)
                return value_json(event->arguments, NULL);
        arguments = json_object_new_object();
        for (gsize i = 0; i < g_variant_n_children(event->arguments); i++) {
                g_autoptr(GVariant) value = g_variant_get_child_value(event->arguments, i);

                if (names && names[i]) {
                        json_object_object_add(arguments, names[i], value_json(value, NULL));
                } else if (!names && argument->name) {
                        json_object_object_add(arguments, argument->name, value_json(value, argument->type));
                        argument++;
                }
        }
        return arguments;
}

struct json_object *signal_json(const struct signal_event *event) {
        struct json_object *object = json_object_new_object();

        json_object_object_add(object, "service", json_object_new_string(event->service));
        json_object_object_add(object, "path", json_object_new_string(event->path));
        json_object_object_add(object, "interface", json_object_new_string(event->interface));
        json_object_object_add(object, "signal", json_object_new_string(event->name));
        json_object_object_add(object, "arguments", json_of_arguments(event));
        return object;
}
