/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tables: things by a number or by a string.
 *
 * Keys may be another domain's choice. They are hashed with a secret of each table, so that nobody can choose many that meet in one place.
 */

#include <stddef.h>
#include <stdint.h>

struct table;

int table_new(struct table **ret_table);
struct table *table_free(struct table *table);          /* not the values */

/* -EEXIST: there is a value; -ENOMEM. The key is copied. value is not NULL. */
int table_add(struct table *table, const void *key, size_t n_key, void *value);

/* The value, or NULL. */
void *table_get(const struct table *table, const void *key, size_t n_key);
void *table_remove(struct table *table, const void *key, size_t n_key);

size_t table_count(const struct table *table);

/*
 * All values, in no order: *iterator is 0 at first. NULL at the end. Meanwhile nothing may be added; what was returned last may be
 * removed.
 */
void *table_next(const struct table *table, size_t *iterator);

static inline int table_add_number(struct table *table, uint64_t key, void *value) {
        return table_add(table, &key, sizeof key, value);
}

static inline void *table_get_number(const struct table *table, uint64_t key) {
        return table_get(table, &key, sizeof key);
}

static inline void *table_remove_number(struct table *table, uint64_t key) {
        return table_remove(table, &key, sizeof key);
}

int table_add_string(struct table *table, const char *key, void *value);
void *table_get_string(const struct table *table, const char *key);
void *table_remove_string(struct table *table, const char *key);

static inline void table_freep(struct table **table) {
        table_free(*table);
}
