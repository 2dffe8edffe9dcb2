/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "property.h"

#include <string.h>

#include "contract.h"
#include "node-value.h"
#include "objects.h"
#include "problems.h"
#include "quantity.h"
#include "result.h"
#include "value.h"

/* org.xen.xcp.storage of org.xen.xcp.storage1.SR. */
static char *service_of(const char *interface) {
        return g_strndup(interface, strcspn(interface, "0123456789"));
}

/* The signature of a property that can be set. */
static const char *signature_of(const struct contract_value *property) {
        const struct contract_type *named = contract_named(property->type);

        return named && named->kind == CONTRACT_ENUM ? "s" : property->type;
}

/* Milliseconds may be written as a duration, too, which is what they are shown as. */
static GVariant *parse_number(const char *name, const char *text, GError **error) {
        bool is_duration = quantity_unit_of(name) == QUANTITY_DURATION_MS && g_ascii_isdigit(*text) && g_ascii_isalpha(text[strlen(text) - 1]);
        uint64_t number = 0;

        if (!(is_duration ? quantity_parse_duration(text, &number, error) : quantity_parse_number(text, UINT32_MAX, &number, error)))
                return NULL;
        return g_variant_ref_sink(g_variant_new_uint32((guint32) MIN(number, UINT32_MAX)));
}

static GVariant *parse(const struct contract_value *property, const char *text, GError **error) {
        const struct contract_type *named = contract_named(property->type);
        g_autoptr(GError) problem = NULL;
        GVariant *value;

        if (named && !contract_member(named->members, text)) {
                g_autofree const char **names = node_names(named->members, NULL);
                g_autofree char *hint = problems_suggest(text, names);

                context_fail(error, CONTEXT_ERROR_USAGE, "%s: there is no '%.64s'; %s", property->name, text, hint);
                return NULL;
        }
        if (strcmp(property->type, "a{ss}") == 0 && *text != '{' && *text != '@') {
                context_fail(error, CONTEXT_ERROR_USAGE, "%s: '%.64s' has to be written as in {'owner': 'ann', 'since': '2026'}", property->name, text);
                return NULL;
        }
        value = strcmp(property->type, "u") == 0 ? parse_number(property->name, text, &problem)
                                                 : value_parse(text, G_VARIANT_TYPE(signature_of(property)), NULL, &problem);
        if (!value)
                context_fail(error, CONTEXT_ERROR_USAGE, "%s: %s", property->name, problem->message);
        return value;
}

/* Those that can be set, for one that cannot, or that there is not. */
static bool refuse_property(const char *interface, const char *name, GError **error) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        g_autofree char *hint = NULL;

        for (const struct contract_value *one = contract_interface(interface)->properties; one->name; one++)
                if (one->flag)
                        g_ptr_array_add(names, (char *) one->name);
        g_ptr_array_add(names, NULL);
        hint = problems_suggest(name, (const char *const *) names->pdata);
        return context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is no property that can be set; %s", name, hint);
}

bool property_set(struct context *context, enum parameter_kind kind, const char *object, const char *name, const char *text, GError **error) {
        const char *interface = objects_interface(kind);
        const struct contract_value *property = contract_property(interface, name);
        g_autofree char *service = service_of(interface), *path = NULL;
        g_autoptr(GVariant) value = NULL;

        if (!property || !property->flag)
                return refuse_property(interface, name, error);
        value = parse(property, text, error);
        path = value ? objects_find(context, kind, NULL, object, error) : NULL;
        return path && client_set_property(context, service, path, interface, name, value, error);
}

struct json_object *property_json(const char *interface, GVariant *properties) {
        struct json_object *object = json_object_new_object();
        GVariantIter iter;
        const char *name;
        GVariant *value;

        g_variant_iter_init(&iter, properties);
        while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
                const struct contract_value *known = contract_property(interface, name);

                json_object_object_add(object, name, value_json(value, known ? known->type : NULL));
                g_variant_unref(value);
        }
        return object;
}

char *property_line(enum parameter_kind kind, GVariant *properties) {
        static const char *const of_disk[] = { "Name", "Kind", "Mode", "VDI", "Path", "Plugged", NULL };
        static const char *const of_nic[] = { "Name", "Network", "Mac", "Plugged", NULL };
        GString *line = g_string_new(NULL);

        for (const char *const *name = kind == PARAMETER_DISK ? of_disk : of_nic; *name; name++) {
                g_autoptr(GVariant) value = g_variant_lookup_value(properties, *name, NULL);
                g_autofree char *text = value ? value_text(value, NULL, *name) : g_strdup("");

                if (strcmp(*name, "Plugged") == 0)
                        g_string_append(line, strcmp(text, "yes") == 0 ? " plugged" : " not plugged");
                else if (*text && strcmp(text, "/") != 0)
                        g_string_append_printf(line, "%s%s", line->len ? " " : "", client_short_path(text));
        }
        return g_string_free(line, FALSE);
}

bool property_show(struct context *context, enum parameter_kind kind, const char *container, const char *object, GError **error) {
        const char *interface = objects_interface(kind);
        g_autofree char *path = objects_find(context, kind, container, object, error), *service = NULL;
        g_autoptr(GVariant) properties = NULL;
        struct table *pairs;
        bool good;

        service = path ? client_service_of(path) : NULL;
        if (path && !service)
                return context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is below no service's /org/xen/xcp/SERVICE", path);
        properties = path ? client_properties(context, service, path, interface, error) : NULL;
        if (!properties)
                return false;
        if (context->json)
                return context_print_json(context, property_json(interface, properties), false, error);
        pairs = result_pairs_new();
        result_pairs_add_properties(pairs, interface, properties);
        good = result_pairs_print(context, pairs, error);
        table_free(pairs);
        return good;
}
