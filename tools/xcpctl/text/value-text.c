/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "contract.h"
#include "quantity.h"
#include "value.h"

static void append(GString *to, GVariant *value, const char *type, const char *name);

static void append_number(GString *to, uint64_t number, const char *name) {
        g_autofree char *text = quantity_format(name ? quantity_unit_of(name) : QUANTITY_PLAIN, number);

        g_string_append(to, text);
}

/* Containers inside of others are set off. */
static void append_inner(GString *to, GVariant *value, const char *type, const char *name) {
        g_autoptr(GVariant) inner = g_variant_is_of_type(value, G_VARIANT_TYPE_VARIANT) ? g_variant_get_variant(value) : g_variant_ref(value);
        bool list = g_variant_is_of_type(inner, G_VARIANT_TYPE_ARRAY) || g_variant_is_of_type(inner, G_VARIANT_TYPE_TUPLE);

        if (list)
                g_string_append_c(to, '(');
        append(to, inner, type, name);
        if (list)
                g_string_append_c(to, ')');
}

/* NAME=VALUE, and blanks between them. */
static void append_dictionary(GString *to, GVariant *value, const char *type) {
        const struct contract_type *record = contract_named(type);

        for (gsize i = 0; i < g_variant_n_children(value); i++) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(value, i);
                g_autoptr(GVariant) key = g_variant_get_child_value(entry, 0), content = g_variant_get_child_value(entry, 1);
                g_autofree char *name = value_text(key, NULL, NULL);
                const struct contract_value *member = record ? contract_member(record->members, name) : NULL;

                if (i > 0)
                        g_string_append(to, ", ");
                g_string_append_printf(to, "%s=", name);
                append_inner(to, content, member ? member->type : NULL, name);
        }
}

static void append_array(GString *to, GVariant *value, const char *type) {
        const char *element = type && *type == 'a' ? type + 1 : NULL;

        for (gsize i = 0; i < g_variant_n_children(value); i++) {
                g_autoptr(GVariant) child = g_variant_get_child_value(value, i);

                if (i > 0)
                        g_string_append(to, ", ");
                append_inner(to, child, element, NULL);
        }
}

static void append_tuple(GString *to, GVariant *value, const char *type) {
        const struct contract_type *structure = contract_named(type);

        for (gsize i = 0; i < g_variant_n_children(value); i++) {
                g_autoptr(GVariant) child = g_variant_get_child_value(value, i);

                if (i > 0)
                        g_string_append_c(to, ' ');
                append_inner(to, child, structure ? structure->members[i].type : NULL, structure ? structure->members[i].name : NULL);
        }
}

static void append_double(GString *to, double number) {
        char text[G_ASCII_DTOSTR_BUF_SIZE];

        g_string_append(to, g_ascii_formatd(text, sizeof text, "%.6g", number));
}

static void append_container(GString *to, GVariant *value, const char *type, const char *name) {
        g_autoptr(GVariant) inner = NULL;

        if (g_variant_is_of_type(value, G_VARIANT_TYPE_VARIANT)) {
                inner = g_variant_get_variant(value);
                append(to, inner, type, name);
        } else if (g_variant_is_of_type(value, G_VARIANT_TYPE_DICTIONARY)) {
                append_dictionary(to, value, type);
        } else if (g_variant_is_of_type(value, G_VARIANT_TYPE_ARRAY)) {
                append_array(to, value, type);
        } else {
                append_tuple(to, value, type);
        }
}

static void append(GString *to, GVariant *value, const char *type, const char *name) {
        switch (g_variant_classify(value)) {
        case G_VARIANT_CLASS_BOOLEAN:
                g_string_append(to, g_variant_get_boolean(value) ? "yes" : "no");
                break;
        case G_VARIANT_CLASS_BYTE:
                append_number(to, g_variant_get_byte(value), name);
                break;
        case G_VARIANT_CLASS_UINT16:
                append_number(to, g_variant_get_uint16(value), name);
                break;
        case G_VARIANT_CLASS_UINT32:
                append_number(to, g_variant_get_uint32(value), name);
                break;
        case G_VARIANT_CLASS_UINT64:
                append_number(to, g_variant_get_uint64(value), name);
                break;
        case G_VARIANT_CLASS_INT16:
                g_string_append_printf(to, "%d", g_variant_get_int16(value));
                break;
        case G_VARIANT_CLASS_INT32:
                g_string_append_printf(to, "%d", g_variant_get_int32(value));
                break;
        case G_VARIANT_CLASS_INT64:
                g_string_append_printf(to, "%" G_GINT64_FORMAT, g_variant_get_int64(value));
                break;
        case G_VARIANT_CLASS_HANDLE:
                g_string_append_printf(to, "descriptor %d", g_variant_get_handle(value));
                break;
        case G_VARIANT_CLASS_DOUBLE:
                append_double(to, g_variant_get_double(value));
                break;
        case G_VARIANT_CLASS_STRING:
        case G_VARIANT_CLASS_OBJECT_PATH:
        case G_VARIANT_CLASS_SIGNATURE:
                g_string_append(to, g_variant_get_string(value, NULL));
                break;
        default:
                append_container(to, value, type, name);
        }
}

char *value_text(GVariant *value, const char *type, const char *name) {
        GString *to = g_string_new(NULL);

        append(to, value, type, name);
        return g_string_free(to, FALSE);
}
