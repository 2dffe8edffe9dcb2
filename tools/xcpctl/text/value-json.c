/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <math.h>
#include <string.h>

#include "contract.h"
#include "value.h"

static struct json_object *json_of_double(double number) {
        char text[G_ASCII_DTOSTR_BUF_SIZE];

        if (!isfinite(number))
                return NULL;
        g_ascii_formatd(text, sizeof text, "%.15g", number);
        if (g_ascii_strtod(text, NULL) != number)       /* as short as it can be without being another number */
                g_ascii_dtostr(text, sizeof text, number);
        return json_object_new_double_s(number, text);
}

static struct json_object *json_of_dictionary(GVariant *value, const char *type) {
        const struct contract_type *record = contract_named(type);
        const char *content_type = NULL;
        struct json_object *object = json_object_new_object();

        if (type && g_str_has_prefix(type, "a{"))
                content_type = type + 2 + contract_type_length(type + 2);
        for (gsize i = 0; i < g_variant_n_children(value); i++) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(value, i);
                g_autoptr(GVariant) key = g_variant_get_child_value(entry, 0), content = g_variant_get_child_value(entry, 1);
                g_autofree char *name = value_text(key, NULL, NULL);
                const struct contract_value *member = record ? contract_member(record->members, name) : NULL;

                json_object_object_add(object, name, value_json(content, member ? member->type : content_type));
        }
        return object;
}

static struct json_object *json_of_array(GVariant *value, const char *type) {
        const char *element = type && *type == 'a' ? type + 1 : NULL;
        struct json_object *array = json_object_new_array();

        for (gsize i = 0; i < g_variant_n_children(value); i++) {
                g_autoptr(GVariant) child = g_variant_get_child_value(value, i);

                json_object_array_add(array, value_json(child, element));
        }
        return array;
}

static struct json_object *json_of_tuple(GVariant *value, const char *type) {
        const struct contract_type *structure = contract_named(type);
        struct json_object *object = structure ? json_object_new_object() : json_object_new_array();

        for (gsize i = 0; i < g_variant_n_children(value); i++) {
                g_autoptr(GVariant) child = g_variant_get_child_value(value, i);

                if (structure)
                        json_object_object_add(object, structure->members[i].name, value_json(child, structure->members[i].type));
                else
                        json_object_array_add(object, value_json(child, NULL));
        }
        return object;
}

static struct json_object *json_of_container(GVariant *value, const char *type) {
        g_autoptr(GVariant) inner = NULL;

        if (g_variant_is_of_type(value, G_VARIANT_TYPE_VARIANT)) {
                inner = g_variant_get_variant(value);
                return value_json(inner, type);
        }
        if (g_variant_is_of_type(value, G_VARIANT_TYPE_DICTIONARY))
                return json_of_dictionary(value, type);
        if (g_variant_is_of_type(value, G_VARIANT_TYPE_ARRAY))
                return json_of_array(value, type);
        return json_of_tuple(value, type);
}

struct json_object *value_json(GVariant *value, const char *type) {
        switch (g_variant_classify(value)) {
        case G_VARIANT_CLASS_BOOLEAN:
                return json_object_new_boolean(g_variant_get_boolean(value));
        case G_VARIANT_CLASS_BYTE:
                return json_object_new_int(g_variant_get_byte(value));
        case G_VARIANT_CLASS_UINT16:
                return json_object_new_int(g_variant_get_uint16(value));
        case G_VARIANT_CLASS_UINT32:
                return json_object_new_int64(g_variant_get_uint32(value));
        case G_VARIANT_CLASS_UINT64:
                return json_object_new_uint64(g_variant_get_uint64(value));
        case G_VARIANT_CLASS_INT16:
                return json_object_new_int(g_variant_get_int16(value));
        case G_VARIANT_CLASS_INT32:
                return json_object_new_int(g_variant_get_int32(value));
        case G_VARIANT_CLASS_INT64:
                return json_object_new_int64(g_variant_get_int64(value));
        case G_VARIANT_CLASS_DOUBLE:
                return json_of_double(g_variant_get_double(value));
        case G_VARIANT_CLASS_HANDLE:
                return NULL;
        case G_VARIANT_CLASS_STRING:
        case G_VARIANT_CLASS_OBJECT_PATH:
        case G_VARIANT_CLASS_SIGNATURE:
                return json_object_new_string(g_variant_get_string(value, NULL));
        default:
                return json_of_container(value, type);
        }
}
