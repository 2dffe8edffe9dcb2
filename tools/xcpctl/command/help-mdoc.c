/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Help as mdoc(7) has it, for the manual page. */

#include <string.h>

#include "help-format.h"
#include "help.h"

/* Text on lines of its own: what roff would take for a command or an escape sequence is kept from it. A new sentence is a new line. */
static void append_text(GString *page, const char *text) {
        if (*text == '.' || *text == '\'')
                g_string_append(page, "\\&");
        for (const char *p = text; *p; p++) {
                if (*p == '\\')
                        g_string_append(page, "\\e");
                else if (*p == '-')
                        g_string_append(page, "\\-");
                else if (*p == ' ' && p > text && (p[-1] == '.' || p[-1] == '?') && (p - text < 2 || p[-2] != '.'))
                        g_string_append_c(page, '\n');
                else
                        g_string_append_c(page, *p);
        }
        g_string_append_c(page, '\n');
}

/* --option as Fl Fl option, of which test-man and readers find it. */
static void append_flag(GString *page, const struct parameter *parameter) {
        g_string_append_printf(page, "Fl Fl %s", parameter->name + 2);
        if (parameter->kind != PARAMETER_FLAG) {
                g_autofree char *placeholder = g_ascii_strdown(parameter_placeholder(parameter), -1);

                g_string_append_printf(page, " Ar %s", placeholder);
        }
}

static void append_synopsis(GString *page, const struct command *command) {
        g_auto(GStrv) words = g_strsplit(command->name, " ", -1);

        g_string_append(page, ".Nm\n");
        for (char **word = words; *word; word++)
                g_string_append_printf(page, ".Cm %s\n", *word);
        for (const struct parameter *parameter = command->parameters; parameter->name; parameter++) {
                g_autofree char *name = g_ascii_strdown(parameter->name, -1);

                if (parameter_is_option(parameter) || parameter->kind == PARAMETER_RECORD)
                        continue;
                g_string_append_printf(page, ".%sAr %s%s\n", parameter->flags & PARAMETER_OPTIONAL ? "Op " : "", name,
                                       parameter->flags & PARAMETER_MANY ? " ..." : "");
        }
}

static void append_item(GString *page, const struct parameter *parameter) {
        g_autofree char *text = help_text_of(parameter);

        g_string_append(page, ".It ");
        if (parameter_is_option(parameter))
                append_flag(page, parameter);
        else
                g_string_append_printf(page, "Ar %s", parameter->name);
        g_string_append_c(page, '\n');
        append_text(page, text);
}

/* Arguments are in lower case, as in the synopsis. */
static void append_parameters(GString *page, const struct command *command) {
        struct parameters *parameters = parameters_new(command);
        const struct parameter *parameter;
        bool open = false;

        for (unsigned i = 0; (parameter = parameters_at(parameters, i)); i++) {
                g_autofree char *name = NULL;
                struct parameter shown = *parameter;

                if (help_is_general(parameter))
                        continue;
                if (!open)
                        g_string_append(page, ".Bl -tag -width Ds\n");
                open = true;
                if (!parameter_is_option(parameter))
                        shown.name = name = g_ascii_strdown(parameter->name, -1);
                append_item(page, &shown);
        }
        if (open)
                g_string_append(page, ".El\n");
        parameters_free(parameters);
}

char *help_mdoc(void) {
        GString *page = g_string_new(NULL);

        for (const struct command_group *group = command_groups; group->title; group++)
                for (const struct command *command = group->commands; command->name; command++) {
                        g_string_append_printf(page, ".Ss %s\n", command->name);
                        append_synopsis(page, command);
                        g_string_append(page, ".Pp\n");
                        append_text(page, command->summary);
                        if (command->details)
                                append_text(page, command->details);
                        append_parameters(page, command);
                }
        return g_string_free(page, FALSE);
}
