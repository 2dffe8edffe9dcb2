/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "table.h"

#include <string.h>

#include "screen-text.h"

#define GAP 2u                          /* columns of the screen between two of the table */
#define WIDTH_MIN 8u                    /* what no column of a table falls below to make room */

struct table {
        size_t n_columns;
        char **titles;
        bool *right;
        GPtrArray *rows;                /* of char **, each with n_columns cells */
};

struct table *table_new(const char *const *titles) {
        struct table *table = g_new0(struct table, 1);

        table->n_columns = g_strv_length((char **) titles);
        table->titles = g_strdupv((char **) titles);
        table->right = g_new0(bool, table->n_columns);
        table->rows = g_ptr_array_new_with_free_func((GDestroyNotify) g_strfreev);
        return table;
}

void table_free(struct table *table) {
        if (!table)
                return;
        g_strfreev(table->titles);
        g_free(table->right);
        g_ptr_array_unref(table->rows);
        g_free(table);
}

void table_align_right(struct table *table, size_t column) {
        table->right[column] = true;
}

void table_add(struct table *table, const char *const *cells) {
        char **row = g_new0(char *, table->n_columns + 1);

        for (size_t i = 0; i < table->n_columns; i++)
                row[i] = screen_text(cells[i]);
        g_ptr_array_add(table->rows, row);
}

size_t table_rows(const struct table *table) {
        return table->rows->len;
}

static void measure(const struct table *table, bool header, unsigned *widths) {
        for (size_t i = 0; i < table->n_columns; i++) {
                widths[i] = header ? screen_width(table->titles[i]) : 0;
                for (unsigned j = 0; j < table->rows->len; j++) {
                        char **row = table->rows->pdata[j];

                        widths[i] = MAX(widths[i], screen_width(row[i]));
                }
        }
}

/* Takes columns of the screen from the widest columns of the table until it fits, or until none is wider than WIDTH_MIN. */
static void squeeze(unsigned *widths, size_t n, unsigned width) {
        for (;;) {
                unsigned total = GAP * (unsigned) (n - 1);
                size_t widest = 0;

                for (size_t i = 0; i < n; i++) {
                        total += widths[i];
                        if (widths[i] > widths[widest])
                                widest = i;
                }
                if (total <= width || widths[widest] <= WIDTH_MIN)
                        return;
                widths[widest]--;
        }
}

static void append_blanks(GString *line, unsigned n) {
        g_string_append_printf(line, "%*s", (int) n, "");
}

static void append_row(const struct table *table, char **cells, const unsigned *widths, GString *line) {
        for (size_t i = 0; i < table->n_columns; i++) {
                g_autofree char *cell = screen_cut(cells[i], widths[i]);
                unsigned blanks = widths[i] - screen_width(cell);

                if (table->right[i])
                        append_blanks(line, blanks);
                g_string_append(line, cell);
                if (i + 1 < table->n_columns)
                        append_blanks(line, GAP + (table->right[i] ? 0 : blanks));
        }
        while (line->len > 0 && line->str[line->len - 1] == ' ')
                g_string_truncate(line, line->len - 1);
}

char *table_text(const struct table *table, const struct table_style *style) {
        g_autofree unsigned *widths = g_new0(unsigned, table->n_columns + 1);
        g_autoptr(GString) line = g_string_new(NULL);
        GString *text = g_string_new(NULL);

        measure(table, style->header, widths);
        if (style->width > 0)
                squeeze(widths, table->n_columns, style->width);
        if (style->header) {
                append_row(table, table->titles, widths, line);
                g_string_append_printf(text, style->bold ? "\033[1m%s\033[0m\n" : "%s\n", line->str);
        }
        for (unsigned i = 0; i < table->rows->len; i++) {
                g_string_truncate(line, 0);
                append_row(table, table->rows->pdata[i], widths, line);
                g_string_append_printf(text, "%s\n", line->str);
        }
        return g_string_free(text, FALSE);
}
