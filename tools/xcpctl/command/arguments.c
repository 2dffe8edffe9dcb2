/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "arguments.h"

#include <stdint.h>
#include <string.h>

#include "command-suggest.h"
#include "contract.h"
#include "quantity.h"
#include "suggest.h"

#define COMMAND_WORDS_MAX 3u            /* vm disk add */

struct arguments {
        const struct command *command;
        struct parameters *parameters;
        char *words;
        GHashTable *values;             /* name of a parameter → GPtrArray of values, with NULL at its end */
};

/* Where the parser is. */
struct parser {
        struct arguments *arguments;
        const char *const *argv;
        bool no_options;                /* after -- */
        GPtrArray *positional;          /* what is no option; borrowed */
};

__attribute__((format(printf, 2, 3))) static bool refuse(GError **error, const char *format, ...) {
        va_list args;

        va_start(args, format);
        g_clear_error(error);
        if (error)
                *error = g_error_new_valist(ARGUMENTS_ERROR, ARGUMENTS_ERROR_USAGE, format, args);
        va_end(args);
        return false;
}

void arguments_free(struct arguments *arguments) {
        if (!arguments)
                return;
        parameters_free(arguments->parameters);
        g_free(arguments->words);
        g_hash_table_unref(arguments->values);
        g_free(arguments);
}

static void add(struct arguments *arguments, const char *name, const char *value) {
        GPtrArray *values = g_hash_table_lookup(arguments->values, name);

        if (!values) {
                values = g_ptr_array_new_null_terminated(1, g_free, TRUE);
                g_hash_table_insert(arguments->values, g_strdup(name), values);
        }
        g_ptr_array_add(values, g_strdup(value));
}

/* As the enum has it; NULL if it is none. People write words as they are written elsewhere, such as in a policy: in. */
static const char *word_of(const char *type, const char *text) {
        const struct contract_type *named = contract_named(type);

        for (const struct contract_value *value = named ? named->members : NULL; value && value->name; value++)
                if (g_ascii_strcasecmp(value->name, text) == 0)
                        return value->name;
        return NULL;
}

static char *words_of(const char *type) {
        const struct contract_type *named = contract_named(type);
        GString *words = g_string_new(NULL);

        for (const struct contract_value *value = named->members; value->name; value++)
                g_string_append_printf(words, "%s%s", words->len ? ", " : "", value->name);
        return g_string_free(words, FALSE);
}

static bool check(const struct parameter *parameter, const char *text, GError **error) {
        g_autoptr(GError) problem = NULL;
        bool good = true;
        uint64_t number;

        switch (parameter->kind) {
        case PARAMETER_NUMBER:
                good = quantity_parse_number(text, UINT32_MAX, &number, &problem);
                break;
        case PARAMETER_SIZE:
                good = quantity_parse_size(text, &number, &problem);
                break;
        case PARAMETER_DURATION:
                good = quantity_parse_duration(text, &number, &problem);
                if (good && number > UINT32_MAX)
                        return refuse(error, "%s: '%s' is more than %u s", parameter->name, text, UINT32_MAX / 1000);
                break;
        case PARAMETER_WORD:
                if (!word_of(parameter->type, text)) {
                        g_autofree char *words = words_of(parameter->type);

                        return refuse(error, "%s: '%.64s' is none of %s", parameter->name, text, words);
                }
                break;
        default:
                if (!g_utf8_validate(text, -1, NULL))
                        return refuse(error, "%s: the value is not UTF-8", parameter->name);
        }
        return good || refuse(error, "%s: %s", parameter->name, problem->message);
}

static bool take_value(struct parser *parser, const struct parameter *parameter, const char *value, GError **error) {
        struct arguments *arguments = parser->arguments;

        if (!(parameter->flags & PARAMETER_MANY) && arguments_has(arguments, parameter->name))
                return refuse(error, "%s is given twice", parameter->name);
        if (!check(parameter, value, error))
                return false;
        add(arguments, parameter->name, parameter->kind == PARAMETER_WORD ? word_of(parameter->type, value) : value);
        return true;
}

/* One that there is not: perhaps it is an argument's name, or a part of another's, or nearly another. */
static bool refuse_option(const struct parameters *parameters, const char *name, GError **error) {
        const char *word = name + strspn(name, "-"), *near = NULL;
        g_autoptr(GPtrArray) options = g_ptr_array_new();
        const struct parameter *parameter;

        for (unsigned i = 0; *word && (parameter = parameters_at(parameters, i)); i++) {
                if (!parameter_is_option(parameter)) {
                        if (g_ascii_strcasecmp(parameter->name, word) == 0)
                                return refuse(error, "there is no option %s here: %s is written alone", name, parameter->name);
                        continue;
                }
                near = near || strlen(word) < 3 || !strstr(parameter->name, word) ? near : parameter->name;
                g_ptr_array_add(options, (char *) parameter->name);
        }
        g_ptr_array_add(options, NULL);
        if (!near)
                near = suggest_near(name, (const char *const *) options->pdata);
        return near ? refuse(error, "there is no option %s here; did you mean %s?", name, near) : refuse(error, "there is no option %s here", name);
}

/* Takes the option that argv is at, with its value. */
static bool take_option(struct parser *parser, GError **error) {
        const char *text = *parser->argv++, *equals = strchr(text, '=');
        g_autofree char *name = equals ? g_strndup(text, (gsize) (equals - text)) : g_strdup(text);
        const struct parameter *parameter;

        if (strcmp(name, "-h") == 0) {
                g_free(name);
                name = g_strdup("--help");
        }
        parameter = parameters_find(parser->arguments->parameters, name);
        if (!parameter)
                return refuse_option(parser->arguments->parameters, name, error);
        if (parameter->kind == PARAMETER_FLAG) {
                if (equals)
                        return refuse(error, "%s takes no value", name);
                return take_value(parser, parameter, "true", error);
        }
        if (equals)
                return take_value(parser, parameter, equals + 1, error);
        if (!*parser->argv)
                return refuse(error, "%s needs a value", name);
        return take_value(parser, parameter, *parser->argv++, error);
}

static bool looks_like_option(const struct parser *parser) {
        const char *text = *parser->argv;

        return !parser->no_options && text[0] == '-' && text[1] != '\0' && !g_ascii_isdigit(text[1]);
}

/* Takes options, and collects all else, up to limit of them. */
static bool take(struct parser *parser, unsigned limit, GError **error) {
        while (*parser->argv && parser->positional->len < limit) {
                if (!parser->no_options && strcmp(*parser->argv, "--") == 0) {
                        parser->no_options = true;
                        parser->argv++;
                } else if (looks_like_option(parser)) {
                        if (!take_option(parser, error))
                                return false;
                } else {
                        g_ptr_array_add(parser->positional, (char *) *parser->argv++);
                }
        }
        return true;
}

/* words: those before, which are a group's. */
static bool refuse_command(const char *longer, const char *words, GError **error) {
        g_autofree char *near = command_suggest(longer);

        if (near)
                return refuse(error, "there is no command '%.64s'; did you mean %s?", longer, near);
        return *words ? refuse(error, "there is no command '%.64s'; xcpctl %s --help lists those there are", longer, words)
                      : refuse(error, "there is no command '%.64s'", longer);
}

/* Finds the command that the next words are. Options of all commands may stand between them. */
static bool take_command(struct parser *parser, GError **error) {
        struct arguments *arguments = parser->arguments;
        g_autofree char *words = g_strdup("");

        for (unsigned i = 0; i < COMMAND_WORDS_MAX; i++) {
                g_autofree char *longer = NULL;

                if (!take(parser, i + 1, error))
                        return false;
                if (parser->positional->len <= i)
                        break;
                longer = i == 0 ? g_strdup(parser->positional->pdata[i]) : g_strconcat(words, " ", (char *) parser->positional->pdata[i], NULL);
                arguments->command = command_find(longer);
                if (!arguments->command && !command_is_group(longer))
                        return refuse_command(longer, words, error);
                g_free(words);
                words = g_steal_pointer(&longer);
                if (arguments->command)
                        break;
        }
        arguments->words = g_steal_pointer(&words);
        g_ptr_array_set_size(parser->positional, 0);
        return true;
}

/* Gives what is no option to the command's arguments, in their order. */
static bool assign(struct parser *parser, GError **error) {
        const struct parameters *parameters = parser->arguments->parameters;
        const struct parameter *parameter;
        unsigned next = 0;

        for (unsigned i = 0; (parameter = parameters_at(parameters, i)); i++) {
                if (parameter_is_option(parameter))
                        continue;
                if (next == parser->positional->len) {
                        if (!(parameter->flags & PARAMETER_OPTIONAL))
                                return refuse(error, "%s is missing", parameter->name);
                        continue;
                }
                do {
                        if (!take_value(parser, parameter, parser->positional->pdata[next++], error))
                                return false;
                } while ((parameter->flags & PARAMETER_MANY) && next < parser->positional->len);
        }
        if (next < parser->positional->len)
                return refuse(error, "'%.64s' is one argument too many", (char *) parser->positional->pdata[next]);
        return true;
}

static bool parse(struct parser *parser, GError **error) {
        struct arguments *arguments = parser->arguments;

        if (!take_command(parser, error))
                return false;
        if (!arguments->command)
                return true;
        parameters_free(arguments->parameters);
        arguments->parameters = parameters_new(arguments->command);
        if (!take(parser, UINT_MAX, error))
                return false;
        return arguments_has(arguments, "--help") || assign(parser, error);
}

struct arguments *arguments_new(const char *const *argv, GError **error) {
        g_autoptr(GPtrArray) positional = g_ptr_array_new();
        g_autoptr(GError) problem = NULL;
        struct arguments *arguments = g_new0(struct arguments, 1);
        struct parser parser = { .arguments = arguments, .argv = argv, .positional = positional };

        arguments->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
        arguments->parameters = parameters_new(NULL);
        if (parse(&parser, &problem))
                return arguments;
        refuse(error, "%s\nSee xcpctl %s%s--help.", problem->message, arguments->command ? arguments->command->name : "",
               arguments->command ? " " : "");
        arguments_free(arguments);
        return NULL;
}

const struct command *arguments_command(const struct arguments *arguments) {
        return arguments->command;
}

const char *arguments_words(const struct arguments *arguments) {
        return arguments->words;
}

const struct parameters *arguments_parameters(const struct arguments *arguments) {
        return arguments->parameters;
}

const char *arguments_get(const struct arguments *arguments, const char *name) {
        const GPtrArray *values = g_hash_table_lookup(arguments->values, name);
        const struct parameter *parameter;

        if (values)
                return values->pdata[0];
        parameter = parameters_find(arguments->parameters, name);
        return parameter ? parameter->fallback : NULL;
}

const char *const *arguments_all(const struct arguments *arguments, const char *name) {
        static const char *const none[] = { NULL };
        const GPtrArray *values = g_hash_table_lookup(arguments->values, name);

        return values ? (const char *const *) values->pdata : none;
}

bool arguments_has(const struct arguments *arguments, const char *name) {
        return g_hash_table_contains(arguments->values, name);
}
