/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "record.h"

#include <string.h>

#include "contract.h"
#include "node-value.h"
#include "objects.h"
#include "problems.h"
#include "quantity.h"
#include "value.h"

/* What may be written first without its key. */
static const char *first_key(const char *record) {
        if (strcmp(record, "DiskSpec") == 0)
                return "vdi";
        return strcmp(record, "NetworkInterfaceSpec") == 0 ? "network" : NULL;
}

static const GVariantType *type_of(const struct contract_value *key) {
        const struct contract_type *named = contract_named(key->type);

        return named && named->kind == CONTRACT_ENUM ? G_VARIANT_TYPE_STRING : G_VARIANT_TYPE(key->type);
}

static bool is_enum_without(const struct contract_value *key, const char *text) {
        const struct contract_type *named = contract_named(key->type);

        return named && named->kind == CONTRACT_ENUM && !contract_member(named->members, text);
}

/* What was meant perhaps, of the words or keys of a type, or what there is. To be freed. */
static char *hint_of(const struct contract_type *type, const char *text) {
        g_autofree const char **names = node_names(type->members, NULL);

        return problems_suggest(text, names);
}

/* One value that is no list. */
static GVariant *parse_single(struct context *context, const struct contract_value *key, const char *text, GError **error) {
        g_autoptr(GError) problem = NULL;
        GVariant *value;

        if (strcmp(key->type, "o") == 0) {
                g_autofree char *path = objects_find(context, parameter_kind_of_object(key->name), NULL, text, error);

                return path ? g_variant_ref_sink(g_variant_new_object_path(path)) : NULL;
        }
        if (is_enum_without(key, text)) {
                g_autofree char *hint = hint_of(contract_named(key->type), text);

                context_fail(error, CONTEXT_ERROR_USAGE, "%s: there is no '%.64s'; %s", key->name, text, hint);
                return NULL;
        }
        value = value_parse(text, type_of(key), NULL, &problem);
        if (!value)
                context_fail(error, CONTEXT_ERROR_USAGE, "%s: %s", key->name, problem->message);
        return value;
}

/* KEY=VALUE pairs, a{ss}. option: for messages. */
static GVariant *record_dictionary(const char *option, const char *const *pairs, GError **error) {
        g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{ss}"));

        for (; *pairs; pairs++) {
                const char *equals = strchr(*pairs, '=');
                g_autofree char *key = equals ? g_strndup(*pairs, (gsize) (equals - *pairs)) : NULL;

                if (!equals) {
                        context_fail(error, CONTEXT_ERROR_USAGE, "%s: '%.64s' is not KEY=VALUE", option, *pairs);
                        return NULL;
                }
                g_variant_builder_add(&builder, "{ss}", key, equals + 1);
        }
        return g_variant_ref_sink(g_variant_builder_end(&builder));
}

/* Cuts text at commas that no backslash precedes. */
static char **split(const char *text) {
        g_autoptr(GPtrArray) parts = g_ptr_array_new();
        GString *part = g_string_new(NULL);

        for (; *text; text++) {
                if (*text == ',') {
                        g_ptr_array_add(parts, g_string_free(part, FALSE));
                        part = g_string_new(NULL);
                        continue;
                }
                if (text[0] == '\\' && text[1] == ',')
                        text++;
                g_string_append_c(part, *text);
        }
        g_ptr_array_add(parts, g_string_free(part, FALSE));
        g_ptr_array_add(parts, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&parts), FALSE);
}

/* The key that a part is about, and its value. */
static const struct contract_value *key_of_part(const struct contract_type *type, const char *part, bool first, const char **ret_value,
                                                GError **error) {
        const char *equals = strchr(part, '='), *alone = first_key(type->name);
        g_autofree char *name = equals ? g_strndup(part, (gsize) (equals - part)) : g_strdup(alone);
        const struct contract_value *key = name ? contract_member(type->members, g_strdelimit(name, "-", '_')) : NULL;

        if (!equals && !(first && alone))
                context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is not KEY=VALUE", part);
        else if (!key) {
                g_autofree char *hint = hint_of(type, name);

                context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is no key of %s; %s", name, type->name, hint);
        } else
                *ret_value = equals ? equals + 1 : part;
        return equals || (first && alone) ? key : NULL;
}

GVariant *record_of_text(struct context *context, const char *record, const char *text, GError **error) {
        g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
        const struct contract_type *type = contract_type(record);
        g_auto(GStrv) parts = split(text);

        for (unsigned i = 0; parts[i]; i++) {
                const struct contract_value *key;
                g_autoptr(GVariant) value = NULL;
                const char *content = NULL;

                if (i == 0 && *parts[i] == '\0')
                        continue;               /* nothing at all, as in an empty drive */
                key = key_of_part(type, parts[i], i == 0, &content, error);
                value = key ? parse_single(context, key, content, error) : NULL;
                if (!value)
                        return NULL;
                g_variant_builder_add(&builder, "{sv}", key->name, value);
        }
        return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static GVariant *parse_list(struct context *context, const struct contract_value *key, const struct parameter *parameter,
                            const char *const *texts, GError **error) {
        const struct contract_type *element = contract_named(key->type + 1);
        g_auto(GVariantBuilder) builder = {};

        if (g_str_has_prefix(key->type, "a{"))
                return record_dictionary(parameter->name, texts, error);
        if (!element)
                return g_variant_ref_sink(g_variant_new_strv(texts, -1));
        g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
        for (; *texts; texts++) {
                g_autoptr(GVariant) value = record_of_text(context, element->name, *texts, error);

                if (!value)
                        return NULL;
                g_variant_builder_add_value(&builder, value);
        }
        return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static GVariant *parse_key(struct context *context, const struct contract_value *key, const struct parameter *parameter, GError **error) {
        if (parameter->kind == PARAMETER_FLAG)
                return g_variant_ref_sink(g_variant_new_boolean(!(parameter->flags & PARAMETER_NEGATED)));
        if (*key->type == 'a')
                return parse_list(context, key, parameter, arguments_all(context->arguments, parameter->name), error);
        return parse_single(context, key, arguments_get(context->arguments, parameter->name), error);
}

GVariant *record_of_arguments(struct context *context, const char *record, GError **error) {
        g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
        const struct contract_type *type = contract_type(record);
        const struct parameter *parameter;

        for (unsigned i = 0; (parameter = parameters_at(arguments_parameters(context->arguments), i)); i++) {
                g_autoptr(GVariant) value = NULL;

                if (!parameter->key || !arguments_has(context->arguments, parameter->name))
                        continue;
                value = parse_key(context, contract_member(type->members, parameter->key), parameter, error);
                if (!value)
                        return NULL;
                g_variant_builder_add(&builder, "{sv}", parameter->key, value);
        }
        return g_variant_ref_sink(g_variant_builder_end(&builder));
}
