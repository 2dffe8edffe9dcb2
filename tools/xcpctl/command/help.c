/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "help.h"

#include <string.h>

#include "contract.h"
#include "help-format.h"

#define COLUMN 26u                      /* where the text beside a name begins */

static const char introduction[] =
        "Usage: xcpctl [OPTION...] COMMAND [ARGUMENT...]\n"
        "Manages the services of a virtualisation toolstack over D-Bus.\n";

static const char epilogue[] =
        "\n"
        "VMs, disks and storage repositories are meant by name, UUID, the beginning of a UUID, or object path. Sizes are in bytes, or\n"
        "with K, M, G, T, P, E (powers of 1024); durations in seconds, or with ms, s, m, h.\n"
        "\n"
        "The bus is that of domain 0, or of the only domain that has one, in $XCP_RUNDIR, in build/run when run from the tree, or in /run/xcpbus.\n"
        "\n"
        "Exit status: 0 done; 1 it failed: the error's name and a sentence are on standard error; 2 not asked for properly; 3 a task was\n"
        "left to itself, because --timeout had passed or ^C was pressed twice.\n";

static void append_usage(GString *text, const struct command *command) {
        g_string_append_printf(text, "Usage: xcpctl %s [OPTION...]", command->name);
        for (const struct parameter *parameter = command->parameters; parameter->name; parameter++)
                if (!parameter_is_option(parameter) && parameter->kind != PARAMETER_RECORD)
                        help_append_argument(text, parameter);
        g_string_append_c(text, '\n');
}

/* A parameter's name, what stands for its value, and what it is. */
static void append_parameter(GString *text, const struct parameter *parameter) {
        g_autoptr(GString) left = g_string_new(parameter->name);
        g_autofree char *right = help_text_of(parameter);

        if (parameter_is_option(parameter) && parameter->kind != PARAMETER_FLAG)
                g_string_append_printf(left, " %s", parameter_placeholder(parameter));
        help_append_columns(text, left->str, right, COLUMN);
}

static void append_parameters(GString *text, const struct command *command, bool options) {
        struct parameters *parameters = parameters_new(command);
        const struct parameter *parameter;
        bool first = true;

        for (unsigned i = 0; (parameter = parameters_at(parameters, i)); i++) {
                if (parameter_is_option(parameter) != options || help_is_general(parameter))
                        continue;
                if (first)
                        g_string_append_c(text, '\n');
                first = false;
                append_parameter(text, parameter);
        }
        parameters_free(parameters);
}

char *help_of_command(const struct command *command) {
        const struct contract_call *call = command->method ? contract_call(command->interface, command->method) : NULL;
        GString *text = g_string_new(NULL);

        append_usage(text, command);
        help_append_paragraph(text, command->summary);
        if (command->details) {
                g_string_append_c(text, '\n');
                help_append_paragraph(text, command->details);
        }
        if (call) {
                g_autofree char *method = g_strdup_printf("This is %s.%s: %s", command->interface, command->method, call->doc);

                g_string_append_c(text, '\n');
                help_append_paragraph(text, method);
        }
        append_parameters(text, command, false);
        append_parameters(text, command, true);
        g_string_append(text, "\nThe options of all commands are in xcpctl --help.\n");
        return g_string_free(text, FALSE);
}

static bool begins_with(const struct command *command, const char *words) {
        size_t n = strlen(words);

        return n == 0 || (strncmp(command->name, words, n) == 0 && command->name[n] == ' ');
}

static void append_commands(GString *text, const char *words) {
        for (const struct command_group *group = command_groups; group->title; group++) {
                bool first = true;

                for (const struct command *command = group->commands; command->name; command++) {
                        if (!begins_with(command, words))
                                continue;
                        if (first)
                                g_string_append_printf(text, "\n%s:\n", group->title);
                        first = false;
                        help_append_columns(text, command->name, command->summary, COLUMN);
                }
        }
}

char *help_of_group(const char *words) {
        GString *text = g_string_new(NULL);

        if (*words) {
                g_string_append_printf(text, "Usage: xcpctl %s COMMAND [ARGUMENT...]\n", words);
                append_commands(text, words);
                g_string_append_printf(text, "\nxcpctl %s COMMAND --help says more about each.\n", words);
                return g_string_free(text, FALSE);
        }
        g_string_append(text, introduction);
        append_commands(text, words);
        g_string_append(text, "\nOptions of all commands:\n");
        for (const struct parameter *parameter = command_options; parameter->name; parameter++)
                append_parameter(text, parameter);
        g_string_append(text, epilogue);
        return g_string_free(text, FALSE);
}

/* The command table, for programs. */
static struct json_object *json_of_commands(void) {
        struct json_object *list = json_object_new_array();

        for (const struct command_group *group = command_groups; group->title; group++)
                for (const struct command *command = group->commands; command->name; command++) {
                        struct json_object *object = json_object_new_object(), *names = json_object_new_array();
                        struct parameters *parameters = parameters_new(command);
                        const struct parameter *parameter;

                        for (unsigned i = 0; (parameter = parameters_at(parameters, i)); i++)
                                if (!help_is_general(parameter))
                                        json_object_array_add(names, json_object_new_string(parameter->name));
                        json_object_object_add(object, "command", json_object_new_string(command->name));
                        json_object_object_add(object, "summary", json_object_new_string(command->summary));
                        json_object_object_add(object, "parameters", names);
                        json_object_array_add(list, object);
                        parameters_free(parameters);
                }
        return list;
}

bool help_run(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *words = g_strjoinv(" ", (char **) arguments_all(arguments, "COMMAND")), *text = NULL;
        const struct command *command = command_find(words);

        if (context->json)
                return context_print_json(context, json_of_commands(), false, error);
        if (arguments_has(arguments, "--mdoc"))
                text = help_mdoc();
        else if (command)
                text = help_of_command(command);
        else if (!*words || command_is_group(words))
                text = help_of_group(words);
        else
                return context_fail(error, CONTEXT_ERROR_USAGE, "there is no command '%.64s'", words);
        return context_print(context, text, error);
}
