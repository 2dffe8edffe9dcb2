/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The memory a handle has given out: found by its exact bounds only, and anything in the way of new memory is found. */

#include <glib.h>
#include <stdlib.h>

#include "grant-regions.h"
#include "protocol.h"

static uintptr_t page_address(size_t page) {
        return (uintptr_t) 0x7f0000000000 + page * EMU_PAGE_SIZE;
}

static void add(struct regions *regions, size_t page, size_t n_pages) {
        struct region region = { .address = page_address(page), .n_pages = n_pages, .n_ids = 1, .ids = malloc(sizeof(uint32_t)) };

        region.ids[0] = page;
        g_assert_cmpint(regions_reserve(regions), ==, 0);
        regions_add(regions, &region);
}

static bool take(struct regions *regions, uintptr_t address, size_t n_pages) {
        struct region region;

        if (!regions_take(regions, address, n_pages, &region))
                return false;
        g_assert_cmpuint(region.address, ==, address);
        g_assert_cmpuint(page_address(region.ids[0]), ==, address);
        free(region.ids);
        return true;
}

static void test_exact(void) {
        struct regions regions = {};

        add(&regions, 10, 4);
        add(&regions, 14, 1);           /* right behind */
        add(&regions, 9, 1);            /* right in front */
        add(&regions, 100, 17);

        g_assert_false(take(&regions, page_address(10), 3));
        g_assert_false(take(&regions, page_address(10), 5));
        g_assert_false(take(&regions, page_address(10), 0));
        g_assert_false(take(&regions, page_address(11), 4));
        g_assert_false(take(&regions, page_address(10) + 1, 4));
        g_assert_false(take(&regions, page_address(8), 1));
        g_assert_false(take(&regions, page_address(200), 1));
        g_assert_false(take(&regions, 0, 1));

        g_assert_true(take(&regions, page_address(10), 4));
        g_assert_false(take(&regions, page_address(10), 4));
        g_assert_true(take(&regions, page_address(9), 1));
        g_assert_true(take(&regions, page_address(100), 17));
        g_assert_true(take(&regions, page_address(14), 1));
        g_assert_cmpuint(regions.n, ==, 0);
        regions_deinit(&regions);
}

static size_t count_overlaps(struct regions *regions, size_t page, size_t n_pages) {
        struct region region;
        size_t n = 0;

        while (regions_take_overlap(regions, page_address(page), n_pages, &region)) {
                free(region.ids);
                n++;
        }
        return n;
}

static void test_overlaps(void) {
        struct regions regions = {};

        add(&regions, 10, 4);
        add(&regions, 20, 4);
        add(&regions, 30, 4);

        g_assert_cmpuint(count_overlaps(&regions, 0, 10), ==, 0);
        g_assert_cmpuint(count_overlaps(&regions, 14, 6), ==, 0);
        g_assert_cmpuint(count_overlaps(&regions, 34, 1000), ==, 0);
        g_assert_cmpuint(count_overlaps(&regions, 13, 1), ==, 1);
        g_assert_cmpuint(count_overlaps(&regions, 19, 12), ==, 2);
        g_assert_cmpuint(regions.n, ==, 0);

        add(&regions, 10, 1);
        add(&regions, 5, 1);
        g_assert_cmpuint(count_overlaps(&regions, 0, 6), ==, 1);
        regions_deinit(&regions);
}

static void test_many(void) {
        const size_t n = 5000;
        struct regions regions = {};

        for (size_t i = 0; i < n; i++)
                add(&regions, 3 * (i * 7919 % n), 3); /* 7919 is prime to n: every place once, in no order */
        for (size_t i = 0; i < n; i++)
                g_assert_true(take(&regions, page_address(3 * (i * 4999 % n)), 3));
        g_assert_cmpuint(regions.n, ==, 0);
        regions_deinit(&regions);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/grant-regions/only-exact-bounds-are-found", test_exact);
        g_test_add_func("/grant-regions/whatever-is-in-the-way-is-found", test_overlaps);
        g_test_add_func("/grant-regions/many-in-any-order", test_many);
        return g_test_run();
}
