/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node-value.h"

#include <string.h>

#include "quantity.h"

static GVariant *mismatch(const struct document_node *node, const char *name, const char *expected, struct problems *problems) {
        problems_add(problems, node->place, NULL, "%s has to be %s, and is %s", name, expected, document_kind_name(node));
        return NULL;
}

/* Text that there has to be: NULL with a problem. */
static const char *node_text(const struct document_node *node, const char *name, struct problems *problems) {
        if (node->kind == DOCUMENT_TEXT && !node->is_empty)
                return node->text;
        mismatch(node, name, "a single value", problems);
        return NULL;
}

const char **node_names(const struct contract_value *values, const struct contract_value *more) {
        GPtrArray *names = g_ptr_array_new();

        for (; values && values->name; values++)
                g_ptr_array_add(names, (char *) values->name);
        for (; more && more->name; more++)
                g_ptr_array_add(names, (char *) more->name);
        g_ptr_array_add(names, NULL);
        return (const char **) g_ptr_array_free(names, FALSE);
}

static GVariant *word_value(const struct document_node *node, const struct contract_type *type, const char *name, struct problems *problems) {
        const char *text = node_text(node, name, problems);
        g_autofree const char **names = NULL;

        if (!text)
                return NULL;
        if (contract_member(type->members, text))
                return g_variant_ref_sink(g_variant_new_string(text));
        names = node_names(type->members, NULL);
        problems_add(problems, node->place, problems_suggest(text, names), "%s: there is no '%.64s'", name, text);
        return NULL;
}

static GVariant *boolean_value(const struct document_node *node, const char *name, struct problems *problems) {
        const char *text = node_text(node, name, problems);

        if (!text)
                return NULL;
        if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
                return g_variant_ref_sink(g_variant_new_boolean(*text == 't'));
        problems_add(problems, node->place, NULL, "%s has to be true or false, and is '%.64s'", name, text);
        return NULL;
}

static GVariant *size_value(const struct document_node *node, const char *name, struct problems *problems) {
        const char *text = node_text(node, name, problems);
        uint64_t bytes;

        if (!text)
                return NULL;
        if (quantity_parse_size(text, &bytes, NULL))
                return g_variant_ref_sink(g_variant_new_uint64(bytes));
        problems_add(problems, node->place, g_strdup("as in 512MiB, 1.5GiB, or a number of bytes"), "%s: '%.64s' is no size", name, text);
        return NULL;
}

static GVariant *number_value(const struct document_node *node, char type, const char *name, struct problems *problems) {
        const char *text = node_text(node, name, problems);
        uint64_t max = type == 'q' ? UINT16_MAX : UINT32_MAX, number;

        if (!text)
                return NULL;
        if (quantity_parse_number(text, max, &number, NULL))
                return g_variant_ref_sink(type == 'q' ? g_variant_new_uint16((uint16_t) number) : g_variant_new_uint32((uint32_t) number));
        problems_add(problems, node->place, NULL, "%s has to be a number from 0 to %" G_GUINT64_FORMAT ", and is '%.64s'", name, (guint64) max,
                     text);
        return NULL;
}

static GVariant *string_value(const struct document_node *node, const char *name, struct problems *problems) {
        const char *text = node_text(node, name, problems);

        return text ? g_variant_ref_sink(g_variant_new_string(text)) : NULL;
}

/* a{ss} */
static GVariant *dictionary_value(const struct document_node *node, const char *name, struct problems *problems) {
        g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{ss}"));
        bool good = true;

        if (node->kind != DOCUMENT_MAPPING)
                return mismatch(node, name, "a mapping", problems);
        for (unsigned i = 0; i < node->items->len; i++) {
                const struct document_entry *entry = node->items->pdata[i];
                g_autofree char *full = g_strdup_printf("%s.%s", name, entry->key);
                const char *text = node_text(entry->value, full, problems);

                if (text)
                        g_variant_builder_add(&builder, "{ss}", entry->key, text);
                else
                        good = false;
        }
        return good ? g_variant_ref_sink(g_variant_builder_end(&builder)) : NULL;
}

static GVariant *record_value(const struct document_node *node, const struct contract_type *type, const char *name, struct problems *problems) {
        g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
        bool good = true;

        if (node->kind != DOCUMENT_MAPPING)
                return mismatch(node, name, "a mapping", problems);
        for (unsigned i = 0; i < node->items->len; i++) {
                const struct document_entry *entry = node->items->pdata[i];
                const struct contract_value *key = contract_member(type->members, entry->key);
                g_autofree char *full = g_strdup_printf("%s.%s", name, entry->key);
                g_autoptr(GVariant) value = NULL;

                if (!key) {
                        g_autofree const char **names = node_names(type->members, NULL);

                        problems_add(problems, entry->place, problems_suggest(entry->key, names), "%s has no key '%.64s'", name, entry->key);
                } else {
                        value = node_value(entry->value, key->type, full, problems);
                }
                if (value)
                        g_variant_builder_add(&builder, "{sv}", entry->key, value);
                else
                        good = false;
        }
        return good ? g_variant_ref_sink(g_variant_builder_end(&builder)) : NULL;
}

static GVariant *list_value(const struct document_node *node, const char *type, const char *name, struct problems *problems) {
        const struct contract_type *named = contract_named(type);
        const GVariantType *element = named ? named->kind == CONTRACT_RECORD ? G_VARIANT_TYPE_VARDICT : G_VARIANT_TYPE_STRING : G_VARIANT_TYPE(type);
        g_autoptr(GVariantType) whole = g_variant_type_new_array(element);
        g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(whole);
        bool good = true;

        if (node->kind != DOCUMENT_LIST)
                return mismatch(node, name, "a list", problems);
        for (unsigned i = 0; i < node->items->len; i++) {
                g_autofree char *full = g_strdup_printf("%s[%u]", name, i);
                g_autoptr(GVariant) value = node_value(node->items->pdata[i], type, full, problems);

                if (value)
                        g_variant_builder_add_value(&builder, value);
                else
                        good = false;
        }
        return good ? g_variant_ref_sink(g_variant_builder_end(&builder)) : NULL;
}

GVariant *node_value(const struct document_node *node, const char *type, const char *name, struct problems *problems) {
        const struct contract_type *named = contract_named(type);

        if (named)
                return named->kind == CONTRACT_ENUM ? word_value(node, named, name, problems) : record_value(node, named, name, problems);
        switch (*type) {
        case 'b':
                return boolean_value(node, name, problems);
        case 't':
                return size_value(node, name, problems);
        case 'q':
        case 'u':
                return number_value(node, *type, name, problems);
        case 'a':
                return type[1] == '{' ? dictionary_value(node, name, problems) : list_value(node, type + 1, name, problems);
        default:
                return string_value(node, name, problems);
        }
}
