/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "help-format.h"

#include <string.h>

#include "contract.h"
#include "quantity.h"

/* Fills lines with words; the first begins at column at, the others at column indent. */
static void fill(GString *to, const char *text, unsigned at, unsigned indent) {
        g_auto(GStrv) words = g_strsplit(text, " ", -1);
        bool first = true;

        for (char **word = words; *word; word++) {
                unsigned n = (unsigned) strlen(*word);

                if (!first && at + 1 + n > HELP_WIDTH) {
                        g_string_append_printf(to, "\n%*s", (int) indent, "");
                        at = indent;
                } else if (!first) {
                        g_string_append_c(to, ' ');
                        at++;
                }
                g_string_append(to, *word);
                at += n;
                first = false;
        }
        g_string_append_c(to, '\n');
}

void help_append_paragraph(GString *to, const char *text) {
        fill(to, text, 0, 0);
}

void help_append_columns(GString *to, const char *left, const char *right, unsigned column) {
        unsigned n = 2 + (unsigned) strlen(left);

        if (n + 2 > column)
                g_string_append_printf(to, "  %s\n%*s", left, (int) column, "");
        else
                g_string_append_printf(to, "  %s%*s", left, (int) (column - n), "");
        fill(to, right, column, column);
}

void help_append_argument(GString *to, const struct parameter *parameter) {
        bool optional = parameter->flags & PARAMETER_OPTIONAL;

        g_string_append_printf(to, " %s%s%s%s", optional ? "[" : "", parameter->name, parameter->flags & PARAMETER_MANY ? "..." : "",
                               optional ? "]" : "");
}

static char *words_of(const struct parameter *parameter) {
        const struct contract_type *named = parameter->kind == PARAMETER_WORD ? contract_named(parameter->type) : NULL;
        GString *words;

        if (!named)
                return NULL;
        words = g_string_new(NULL);
        for (const struct contract_value *value = named->members; value->name; value++)
                g_string_append_printf(words, "%s%s", words->len ? ", " : "", value->name);
        return g_string_free(words, FALSE);
}

bool help_is_general(const struct parameter *parameter) {
        for (const struct parameter *general = command_options; general->name; general++)
                if (strcmp(general->name, parameter->name) == 0)
                        return true;
        return false;
}

char *help_text_of(const struct parameter *parameter) {
        g_autofree char *words = words_of(parameter);
        GString *text = g_string_new(parameter->flags & PARAMETER_NEGATED ? "Turns this off: " : "");
        uint64_t bytes;

        g_string_append(text, parameter->help);
        if (words)
                g_string_append_printf(text, " One of %s.", words);
        if (parameter->fallback && parameter->kind == PARAMETER_SIZE && quantity_parse_size(parameter->fallback, &bytes, NULL)) {
                g_autofree char *size = quantity_format_size(bytes);

                g_string_append_printf(text, " Default: %s.", size);
        } else if (parameter->fallback) {
                g_string_append_printf(text, " Default: %s.", parameter->fallback);
        }
        if (parameter_is_option(parameter) && parameter->flags & PARAMETER_MANY)
                g_string_append(text, " May be given several times.");
        return g_string_free(text, FALSE);
}
