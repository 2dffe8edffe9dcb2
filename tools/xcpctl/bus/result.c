/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "result.h"

#include <string.h>

#include "objects.h"
#include "quantity.h"
#include "value.h"
#include "wait.h"

#define DIGEST_SHOWN 12u                /* digits, as others show */

struct table *result_pairs_new(void) {
        return table_new((const char *const[]) { "NAME", "VALUE", NULL });
}

void result_pairs_add(struct table *pairs, const char *name, GVariant *value, const char *type) {
        g_autofree char *text = value_text(value, type, name);

        table_add(pairs, (const char *const[]) { name, *text ? text : "-", NULL });
}

bool result_pairs_print(struct context *context, const struct table *pairs, GError **error) {
        const struct table_style style = {};    /* never cut: a value may be what somebody is after */
        g_autofree char *text = table_text(pairs, &style);

        return context_print(context, text, error);
}

void result_pairs_add_properties(struct table *pairs, const char *interface, GVariant *properties) {
        const struct contract_interface *known = contract_interface(interface);
        GVariantIter iter;
        const char *name;
        GVariant *value;

        for (const struct contract_value *property = known ? known->properties : contract_nothing; property->name; property++) {
                g_autoptr(GVariant) found = g_variant_lookup_value(properties, property->name, NULL);

                if (found)
                        result_pairs_add(pairs, property->name, found, property->type);
        }
        g_variant_iter_init(&iter, properties);
        while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
                if (!contract_property(interface, name))
                        result_pairs_add(pairs, name, value, NULL);
                g_variant_unref(value);
        }
}

static bool is_number(const char *type) {
        return strchr("yqutnixd", *type) != NULL;
}

/* The columns of a table of what has these members: the name first, and no paths where there are UUIDs or digests. Ends with NULL. */
static const struct contract_value **columns_of(const struct contract_type *type) {
        g_autoptr(GPtrArray) columns = g_ptr_array_new();
        const struct contract_value *name = contract_member(type->members, "name");
        bool has_id = contract_member(type->members, "uuid") || contract_member(type->members, "digest");

        if (name)
                g_ptr_array_add(columns, (void *) name);
        for (const struct contract_value *member = type->members; member->name; member++)
                if (member != name && (!has_id || strcmp(member->type, "o") != 0))
                        g_ptr_array_add(columns, (void *) member);
        g_ptr_array_add(columns, NULL);
        return (const struct contract_value **) g_ptr_array_free(g_steal_pointer(&columns), FALSE);
}

/* NAME of name; of a time, as in created_us, the unit is not shown. */
static char *title_of(const char *name) {
        size_t n = strlen(name);

        if (quantity_unit_of(name) == QUANTITY_TIME_US)
                n -= strlen("_us");
        return g_strdelimit(g_ascii_strup(name, (gssize) n), "_", ' ');
}

static struct table *table_of_columns(const struct contract_value *const *columns) {
        g_autoptr(GPtrArray) titles = g_ptr_array_new_with_free_func(g_free);
        struct table *table;

        for (size_t i = 0; columns[i]; i++)
                g_ptr_array_add(titles, title_of(columns[i]->name));
        g_ptr_array_add(titles, NULL);
        table = table_new((const char *const *) titles->pdata);
        for (size_t i = 0; columns[i]; i++)
                if (is_number(columns[i]->type))
                        table_align_right(table, i);
        return table;
}

static GVariant *member_of(GVariant *row, const struct contract_type *type, const struct contract_value *member) {
        if (type->kind == CONTRACT_RECORD)
                return g_variant_lookup_value(row, member->name, NULL);
        return g_variant_get_child_value(row, (gsize) (member - type->members));
}

/* So much of it that people tell one from the other by it, and that it can be given to other commands. */
static char *short_digest(const char *digest) {
        const char *colon = strchr(digest, ':');

        return g_strndup(colon ? colon + 1 : digest, DIGEST_SHOWN);
}

/* In a cell, only the keys of a dictionary: JSON has the rest. */
static char *cell_of(GVariant *value, const struct contract_value *column) {
        g_autoptr(GString) keys = NULL;
        GVariantIter iter;
        const char *key;

        if (strcmp(column->name, "digest") == 0 && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
                return short_digest(g_variant_get_string(value, NULL));
        if (!g_variant_is_of_type(value, G_VARIANT_TYPE("a{ss}")))
                return value_text(value, column->type, column->name);
        keys = g_string_new(NULL);
        g_variant_iter_init(&iter, value);
        while (g_variant_iter_next(&iter, "{&s&s}", &key, NULL))
                g_string_append_printf(keys, "%s%s", keys->len ? ", " : "", key);
        return g_string_free(g_steal_pointer(&keys), FALSE);
}

static void add_row(struct table *table, GVariant *row, const struct contract_type *type, const struct contract_value *const *columns) {
        g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

        for (size_t i = 0; columns[i]; i++) {
                g_autoptr(GVariant) value = member_of(row, type, columns[i]);

                g_ptr_array_add(cells, value ? cell_of(value, columns[i]) : g_strdup("-"));
        }
        table_add(table, (const char *const *) cells->pdata);
}

static bool show_rows(struct context *context, GVariant *list, const struct contract_type *type, GError **error) {
        g_autofree const struct contract_value **columns = columns_of(type);
        struct table *table = table_of_columns(columns);
        bool good;

        for (gsize i = 0; i < g_variant_n_children(list); i++) {
                g_autoptr(GVariant) row = g_variant_get_child_value(list, i);

                add_row(table, row, type, columns);
        }
        good = context_print_table(context, table, error);
        table_free(table);
        return good;
}

static bool show_dictionary(struct context *context, GVariant *dictionary, const char *type, GError **error) {
        const struct contract_type *record = contract_named(type);
        struct table *pairs = result_pairs_new();
        bool good;

        for (gsize i = 0; i < g_variant_n_children(dictionary); i++) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(dictionary, i);
                g_autoptr(GVariant) key = g_variant_get_child_value(entry, 0), value = g_variant_get_child_value(entry, 1);
                g_autofree char *name = value_text(key, NULL, NULL);
                const struct contract_value *member = record ? contract_member(record->members, name) : NULL;

                result_pairs_add(pairs, name, value, member ? member->type : NULL);
        }
        good = result_pairs_print(context, pairs, error);
        table_free(pairs);
        return good;
}

static bool show_lines(struct context *context, GVariant *list, const char *type, GError **error) {
        for (gsize i = 0; i < g_variant_n_children(list); i++) {
                g_autoptr(GVariant) element = g_variant_get_child_value(list, i);
                g_autofree char *text = value_text(element, type ? type + 1 : NULL, NULL);

                if (!context_print_line(context, text, error))
                        return false;
        }
        return true;
}

static bool is_container(GVariant *value) {
        return g_variant_is_of_type(value, G_VARIANT_TYPE_ARRAY) || g_variant_is_of_type(value, G_VARIANT_TYPE_TUPLE);
}

/* Whether the value has the shape of the type, which what another version of a service says need not have. */
static bool fits(GVariant *list, const struct contract_type *type) {
        GVariant *row;
        bool good = true;

        if (type->kind == CONTRACT_RECORD)
                return g_variant_is_of_type(list, G_VARIANT_TYPE("aa{sv}"));
        if (g_variant_n_children(list) == 0)
                return true;
        row = g_variant_get_child_value(list, 0);
        for (gsize n = 0; type->members[n].name && good; n++)
                good = g_variant_is_of_type(row, G_VARIANT_TYPE_TUPLE) && n < g_variant_n_children(row);
        g_variant_unref(row);
        return good;
}

bool result_show_value(struct context *context, GVariant *value, const char *type, const char *name, GError **error) {
        const struct contract_type *element = type && *type == 'a' ? contract_named(type + 1) : NULL;
        g_autofree char *text = NULL;

        if (context->json) {
                struct json_object *json = value_json(value, type), *named;

                if (is_container(value))
                        return context_print_json(context, json, false, error);
                named = json_object_new_object();
                json_object_object_add(named, name, json);
                return context_print_json(context, named, false, error);
        }
        if (element && element->kind != CONTRACT_ENUM && fits(value, element))
                return show_rows(context, value, element, error);
        if (g_variant_is_of_type(value, G_VARIANT_TYPE_DICTIONARY))
                return show_dictionary(context, value, type, error);
        if (g_variant_is_of_type(value, G_VARIANT_TYPE_ARRAY))
                return show_lines(context, value, type, error);
        text = value_text(value, type, name);
        return context_print_line(context, text, error);
}

/* The name that a device has in its VM, which its path need not have; NULL if it cannot be told. */
static char *device_name(struct context *context, const char *path) {
        const char *interface = objects_interface(strstr(path, "/disk/") ? PARAMETER_DISK : PARAMETER_NIC);
        g_autoptr(GVariant) name = client_property(context, CLIENT_XENOPSD, path, interface, "Name", NULL);

        return name && g_variant_is_of_type(name, G_VARIANT_TYPE_STRING) ? g_variant_dup_string(name, NULL) : NULL;
}

/* What was made is shown by its UUID, and a device by its name. */
static bool show_path(struct context *context, GVariant *value, const char *name, GError **error) {
        const char *path = g_variant_get_string(value, NULL);
        g_autofree char *id = NULL;

        if (context->json)
                return result_show_value(context, value, "o", name, error);
        if (strcmp(name, "device") == 0)
                id = device_name(context, path);
        if (!id)
                id = objects_id(path);
        return context_print_line(context, id, error);
}

/* The result of a task. */
static bool show_task_result(struct context *context, GVariant *result, const char *record, GError **error) {
        const struct contract_type *type = record ? contract_type(record) : NULL;
        g_autofree char *expression = type ? g_strdup_printf("[%s]", record) : NULL;

        if (!context->json && g_variant_n_children(result) == 1) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(result, 0), value = NULL;
                const char *name;

                g_variant_get(entry, "{&sv}", &name, &value);
                if (g_variant_is_of_type(value, G_VARIANT_TYPE_OBJECT_PATH))
                        return show_path(context, value, name, error);
        }
        return result_show_value(context, result, expression, "result", error);
}

static bool show_task(struct context *context, const char *service, GVariant *path, const char *record, GError **error) {
        g_autoptr(GVariant) result = NULL;

        if (!context->wait)
                return context->json ? result_show_value(context, path, "o", "task", error)
                                     : context_print_line(context, g_variant_get_string(path, NULL), error);
        if (!wait_for_task(context, service, g_variant_get_string(path, NULL), &result, error))
                return false;
        return show_task_result(context, result, record, error);
}

static bool show_several(struct context *context, const struct contract_value *outputs, GVariant *results, GError **error) {
        struct json_object *json = context->json ? json_object_new_object() : NULL;
        struct table *pairs = result_pairs_new();
        bool good;

        for (gsize i = 0; i < g_variant_n_children(results); i++) {
                g_autoptr(GVariant) value = g_variant_get_child_value(results, i);

                if (json)
                        json_object_object_add(json, outputs[i].name, value_json(value, outputs[i].type));
                else
                        result_pairs_add(pairs, outputs[i].name, value, outputs[i].type);
        }
        good = json ? context_print_json(context, json, false, error) : result_pairs_print(context, pairs, error);
        table_free(pairs);
        return good;
}

bool result_show(struct context *context, const char *service, const struct contract_value *outputs, const char *task_record,
                 GVariant *results, GError **error) {
        g_autoptr(GVariant) only = NULL;
        gsize n = 0;

        while (outputs[n].name)
                n++;
        if (g_variant_n_children(results) != n)
                return context_fail(error, CONTEXT_ERROR_FAILED, "the answer has %zu values, not %zu", g_variant_n_children(results), n);
        if (n != 1)
                return show_several(context, outputs, results, error);
        only = g_variant_get_child_value(results, 0);
        if (strcmp(outputs[0].name, "task") == 0 && g_variant_is_of_type(only, G_VARIANT_TYPE_OBJECT_PATH))
                return show_task(context, service, only, task_record, error);
        if (g_variant_is_of_type(only, G_VARIANT_TYPE_OBJECT_PATH))
                return show_path(context, only, outputs[0].name, error);
        return result_show_value(context, only, outputs[0].type, outputs[0].name, error);
}
