/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Table: rows of text in columns, as people read them.
 *
 * Columns are as wide as they have to be. If a width is given that all together exceed, the widest give way, and what does not fit ends
 * in an ellipsis. Cells are made harmless (screen-text.h) here: callers give them as they are.
 */

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

struct table;

/* titles: ends with NULL. */
struct table *table_new(const char *const *titles);
void table_free(struct table *table);

/* Has the cells of a column end at the same place, as numbers do. */
void table_align_right(struct table *table, size_t column);

/* Adds a row: a cell for each column, which are copied. */
void table_add(struct table *table, const char *const *cells);

size_t table_rows(const struct table *table);

struct table_style {
        bool header;                    /* the titles come first */
        bool bold;                      /* in bold */
        unsigned width;                 /* columns that the screen has; 0: any number */
};

/* All lines, to be freed. */
char *table_text(const struct table *table, const struct table_style *style);
