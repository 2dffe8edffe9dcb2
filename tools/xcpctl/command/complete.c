/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "complete.h"

#include <string.h>

#include "arguments.h"
#include "context.h"
#include "contract.h"
#include "objects.h"

/* What is known about a line. */
struct line {
        const char *const *words;
        unsigned n;                     /* words before the last */
        const char *last;
        GString *candidates;
        const struct command *command;  /* NULL: it is not complete */
        char *group;                    /* its words so far */
        struct parameters *parameters;
        const struct parameter *awaited;        /* the option whose value is the last word; NULL if it is something else */
        const char *vm;                 /* the VM that was named */
        const char *before;             /* the argument that was named last */
        unsigned n_positional;
};

static bool needs_quotes(const char *text) {
        for (; *text; text++)
                if (!g_ascii_isalnum(*text) && !strchr("._-/:@=+,", *text))
                        return true;
        return false;
}

/* Names that a shell would have to quote are left out: services choose them. */
static void offer(struct line *line, const char *word, const char *about) {
        if (!g_str_has_prefix(word, line->last) || *word == '\0' || needs_quotes(word))
                return;
        g_string_append(line->candidates, word);
        if (about && !strpbrk(about, "\t\n"))
                g_string_append_printf(line->candidates, "\t%s", about);
        g_string_append_c(line->candidates, '\n');
}

/* The next words of the commands that begin with those that are there. */
static void offer_commands(struct line *line) {
        size_t n = strlen(line->group);
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        for (const struct command_group *group = command_groups; group->title; group++)
                for (const struct command *command = group->commands; command->name; command++) {
                        const char *rest = command->name + n + (n > 0);
                        g_autofree char *word = NULL;

                        if (n > 0 && (strncmp(command->name, line->group, n) != 0 || command->name[n] != ' '))
                                continue;
                        word = g_strndup(rest, strcspn(rest, " "));
                        if (g_hash_table_add(seen, g_strdup(word)))
                                offer(line, word, rest[strlen(word)] == '\0' ? command->summary : group->title);
                }
}

static void offer_options(struct line *line) {
        const struct parameter *parameter;

        for (unsigned i = 0; (parameter = parameters_at(line->parameters, i)); i++)
                if (parameter_is_option(parameter))
                        offer(line, parameter->name, parameter->help);
}

/* Names, and UUIDs once one begins to be typed. */
static void offer_objects(struct line *line, struct context *context, const struct parameter *parameter) {
        g_autofree char *container = line->vm ? objects_find(context, PARAMETER_VM, NULL, line->vm, NULL) : NULL;
        g_autoptr(GPtrArray) objects = objects_list(context, parameter->kind, container, NULL);

        for (unsigned i = 0; objects && i < objects->len; i++) {
                const struct candidate *object = objects->pdata[i];

                offer(line, object->name, object->uuid);
                if (*line->last)
                        offer(line, object->uuid, object->name);
        }
}

/* What a property of the VM lists, by the names that come first. */
static void offer_listed(struct line *line, struct context *context, const char *property) {
        const char *interface = objects_interface(PARAMETER_VM);
        g_autofree char *vm = line->vm ? objects_find(context, PARAMETER_VM, NULL, line->vm, NULL) : NULL;
        g_autoptr(GVariant) list = vm ? client_property(context, CLIENT_XENOPSD, vm, interface, property, NULL) : NULL;

        for (gsize i = 0; list && g_str_has_prefix(g_variant_get_type_string(list), "a(s") && i < g_variant_n_children(list); i++) {
                g_autoptr(GVariant) row = g_variant_get_child_value(list, i);
                const char *name;

                g_variant_get_child(row, 0, "&s", &name);
                offer(line, name, NULL);
        }
}

static void offer_backends(struct line *line, struct context *context) {
        g_autofree char *root = client_root(CLIENT_XENOPSD);
        g_autoptr(GVariant) results = client_call(context, CLIENT_XENOPSD, root, "org.xen.xcp.xenopsd1.Manager", "ListBackends", NULL, NULL, NULL, NULL);
        g_autoptr(GVariant) list = results && g_variant_is_of_type(results, G_VARIANT_TYPE("(aa{sv})")) ? g_variant_get_child_value(results, 0) : NULL;

        for (gsize i = 0; list && i < g_variant_n_children(list); i++) {
                g_autoptr(GVariant) backend = g_variant_get_child_value(list, i);
                const char *name;

                if (g_variant_lookup(backend, "name", "&s", &name))
                        offer(line, name, NULL);
        }
}

static void offer_asked(struct line *line, struct context *context, const struct parameter *parameter) {
        if (parameter->kind == PARAMETER_CONSOLE)
                offer_listed(line, context, "Consoles");
        else if (parameter->kind == PARAMETER_SNAPSHOT)
                offer_listed(line, context, "Snapshots");
        else if (parameter->kind == PARAMETER_TEXT)
                offer_backends(line, context);
        else
                offer_objects(line, context, parameter);
}

static void ask(struct line *line, const struct parameter *parameter) {
        const char *none[] = { NULL };
        struct arguments *arguments = NULL;
        g_autoptr(GPtrArray) general = g_ptr_array_new();
        struct context context;

        for (unsigned i = 0; i + 1 < line->n; i++)
                if (strcmp(line->words[i], "--address") == 0 || strcmp(line->words[i], "--domain") == 0 ||
                    strcmp(line->words[i], "--manager") == 0) {
                        g_ptr_array_add(general, (void *) line->words[i]);
                        g_ptr_array_add(general, (void *) line->words[i + 1]);
                }
        g_ptr_array_add(general, NULL);
        arguments = arguments_new((const char *const *) general->pdata, NULL);
        if (!arguments)
                arguments = arguments_new(none, NULL);
        context_init(&context, arguments);
        context.brief = true;           /* somebody has pressed a key, and waits */
        offer_asked(line, &context, parameter);
        context_done(&context);
        arguments_free(arguments);
}

static void offer_words(struct line *line, const char *type) {
        const struct contract_type *named = contract_named(type);

        for (const struct contract_value *value = named ? named->members : contract_nothing; value->name; value++)
                offer(line, value->name, value->doc);
}

static void offer_properties(struct line *line, const char *interface) {
        for (const struct contract_value *property = contract_interface(interface)->properties; property->name; property++)
                if (property->flag)
                        offer(line, property->name, property->doc);
}

static void offer_property_values(struct line *line, const char *interface) {
        const struct contract_value *property = line->before ? contract_property(interface, line->before) : NULL;

        if (!property)
                return;
        offer_words(line, property->type);
        if (strcmp(property->type, "b") == 0) {
                offer(line, "true", NULL);
                offer(line, "false", NULL);
        }
}

/* A key of a record that is written as text, and is about something that there is a list of. */
static void offer_key(struct line *line, const struct parameter *parameter) {
        struct parameter vdi = { .name = "VDI", .kind = PARAMETER_VDI };

        if (g_strcmp0(parameter->key, "backend") == 0)
                ask(line, parameter);
        else if (g_strcmp0(parameter->key, "disks") == 0)
                ask(line, &vdi);
}

static void offer_values(struct line *line, const struct parameter *parameter) {
        struct parameter service = { .name = "SERVICE", .kind = PARAMETER_SERVICE };

        switch (parameter->kind) {
        case PARAMETER_WORD:
                offer_words(line, parameter->type);
                break;
        case PARAMETER_PROPERTY:
                offer_properties(line, parameter->type);
                break;
        case PARAMETER_VALUE:
                offer_property_values(line, parameter->type);
                break;
        case PARAMETER_TEXT:
                offer_key(line, parameter);
                break;
        case PARAMETER_FILE:
                g_string_append(line->candidates, ":files\n");
                break;
        case PARAMETER_OBJECT:
                ask(line, &service);
                break;
        case PARAMETER_SERVICE:
        case PARAMETER_VM:
        case PARAMETER_DISK:
        case PARAMETER_NIC:
        case PARAMETER_VDI:
        case PARAMETER_SR:
        case PARAMETER_IMAGE:
        case PARAMETER_TASK:
        case PARAMETER_LINK:
        case PARAMETER_ATTACHED:
        case PARAMETER_CONSOLE:
        case PARAMETER_SNAPSHOT:
                ask(line, parameter);
                break;
        default:
                break;
        }
}

/* Goes over a word that is complete. */
static void read_word(struct line *line, const char *word) {
        const struct parameter *option;
        g_autofree char *longer = NULL;

        if (line->awaited) {
                line->awaited = NULL;
                return;
        }
        if (*word == '-') {
                option = parameters_find(line->parameters, word);
                line->awaited = option && option->kind != PARAMETER_FLAG ? option : NULL;
                return;
        }
        if (line->command) {
                if (line->n_positional++ == 0 && line->command->parameters->kind == PARAMETER_VM)
                        line->vm = word;
                line->before = word;
                return;
        }
        longer = *line->group ? g_strconcat(line->group, " ", word, NULL) : g_strdup(word);
        line->command = command_find(longer);
        if (line->command) {
                parameters_free(line->parameters);
                line->parameters = parameters_new(line->command);
        }
        g_free(line->group);
        line->group = g_steal_pointer(&longer);
}

/* The argument that the last word is, by its place. */
static const struct parameter *positional(const struct line *line) {
        const struct parameter *parameter;
        unsigned i = 0;

        for (unsigned j = 0; (parameter = parameters_at(line->parameters, j)); j++)
                if (!parameter_is_option(parameter) && (i++ == line->n_positional || parameter->flags & PARAMETER_MANY))
                        return parameter;
        return NULL;
}

static void offer_all(struct line *line) {
        const struct parameter *parameter;

        if (line->awaited) {
                offer_values(line, line->awaited);
        } else if (*line->last == '-') {
                offer_options(line);
        } else if (!line->command) {
                offer_commands(line);
        } else {
                parameter = positional(line);
                if (parameter)
                        offer_values(line, parameter);
        }
}

char *complete(const char *const *words) {
        unsigned n = g_strv_length((char **) words);
        struct line line = {
                .words = words,
                .n = n - 1,
                .last = words[n - 1],
                .candidates = g_string_new(NULL),
                .group = g_strdup(""),
                .parameters = parameters_new(NULL),
        };

        for (unsigned i = 0; i < line.n; i++)
                read_word(&line, words[i]);
        offer_all(&line);
        g_free(line.group);
        parameters_free(line.parameters);
        return g_string_free(line.candidates, FALSE);
}
