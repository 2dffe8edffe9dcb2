/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "table.h"

#include <errno.h>
#include <glib.h>

static void test_strings(void) {
        struct table *table = NULL;
        int a, b;

        g_assert_cmpint(table_new(&table), ==, 0);
        g_assert_null(table_get_string(table, "a"));
        g_assert_cmpint(table_add_string(table, "a", &a), ==, 0);
        g_assert_cmpint(table_add_string(table, "a", &b), ==, -EEXIST);
        g_assert_cmpint(table_add_string(table, "", &b), ==, 0);
        g_assert_true(table_get_string(table, "a") == &a && table_get_string(table, "") == &b);
        g_assert_true(table_remove_string(table, "a") == &a);
        g_assert_null(table_remove_string(table, "a"));
        g_assert_cmpuint(table_count(table), ==, 1);
        table_free(table);
}

/* Keys of any length, each the beginning of the next: those that lie in the table itself, and those that do not. */
static void test_lengths(void) {
        static const uint8_t key[40];
        struct table *table = NULL;
        int values[sizeof key];

        g_assert_cmpint(table_new(&table), ==, 0);
        for (size_t n = 0; n < sizeof key; n++)
                g_assert_cmpint(table_add(table, key, n, &values[n]), ==, 0);
        for (size_t n = 0; n < sizeof key; n++)
                g_assert_true(table_get(table, key, n) == &values[n]);
        for (size_t n = 0; n < sizeof key; n += 2)
                g_assert_true(table_remove(table, key, n) == &values[n]);
        for (size_t n = 0; n < sizeof key; n++)
                g_assert_true(table_get(table, key, n) == (n % 2 ? &values[n] : NULL));
        table_free(table);
}

/* Against a simple model: 100,000 steps with keys that come and go. */
static void test_model(void) {
        struct table *table = NULL;
        static void *model[512];
        size_t n = 0;

        g_assert_cmpint(table_new(&table), ==, 0);
        for (unsigned i = 0; i < 100000; i++) {
                uint64_t key = (uint64_t) g_test_rand_int_range(0, 512);

                if (g_test_rand_bit()) {
                        g_assert_cmpint(table_add_number(table, key, &model[key]), ==, model[key] ? -EEXIST : 0);
                        n += !model[key];
                        model[key] = &model[key];
                } else {
                        g_assert_true(table_remove_number(table, key) == model[key]);
                        n -= !!model[key];
                        model[key] = NULL;
                }
                g_assert_cmpuint(table_count(table), ==, n);
        }
        for (uint64_t key = 0; key < 512; key++)
                g_assert_true(table_get_number(table, key) == model[key]);
        table_free(table);
}

static void test_removing_while_iterating(void) {
        struct table *table = NULL;
        uint64_t numbers[1000], *number;
        size_t iterator = 0, n = 0;

        g_assert_cmpint(table_new(&table), ==, 0);
        for (uint64_t i = 0; i < 1000; i++) {
                numbers[i] = i;
                g_assert_cmpint(table_add_number(table, i, &numbers[i]), ==, 0);
        }
        while ((number = table_next(table, &iterator))) {
                g_assert_true(table_remove_number(table, *number) == number);
                n++;
        }
        g_assert_cmpuint(n, ==, 1000);
        g_assert_cmpuint(table_count(table), ==, 0);
        table_free(table);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/table/strings", test_strings);
        g_test_add_func("/table/lengths", test_lengths);
        g_test_add_func("/table/model", test_model);
        g_test_add_func("/table/removing-while-iterating", test_removing_while_iterating);
        return g_test_run();
}
