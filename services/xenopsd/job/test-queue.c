/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>

#include <glib.h>

#include "queue.h"

static void test_order(void) {
        struct queue queue = { .n = 0 };
        struct queue_entry one, two, kill_one, kill_two, own;

        g_assert_null(queue_next(&queue));
        g_assert_cmpint(queue_add(&queue, &one, QUEUE_NORMAL), ==, 0);
        g_assert_cmpint(queue_add(&queue, &two, QUEUE_NORMAL), ==, 0);
        g_assert_true(queue_next(&queue) == &one);
        g_assert_null(queue_next(&queue));      /* one at a time */
        g_assert_cmpint(queue_add(&queue, &kill_one, QUEUE_URGENT), ==, 0);
        g_assert_cmpint(queue_add(&queue, &own, QUEUE_OWN), ==, 0);
        g_assert_cmpint(queue_add(&queue, &kill_two, QUEUE_URGENT), ==, 0);

        struct queue_entry *const order[] = { &kill_one, &own, &kill_two, &two };
        for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
                queue_done(&queue);
                g_assert_true(queue_next(&queue) == order[i]);
        }
        queue_done(&queue);
        g_assert_null(queue_next(&queue));
        g_assert_cmpuint(queue.n, ==, 0);
}

static void test_bounds(void) {
        static struct queue_entry entries[QUEUE_URGENT_MAX + 3];
        struct queue queue = { .n = 0 };
        size_t n = 0;

        for (; n < QUEUE_MAX; n++)
                g_assert_cmpint(queue_add(&queue, entries + n, QUEUE_NORMAL), ==, 0);
        g_assert_cmpint(queue_add(&queue, entries + n, QUEUE_NORMAL), ==, -E2BIG);
        for (; n < QUEUE_URGENT_MAX; n++)
                g_assert_cmpint(queue_add(&queue, entries + n, QUEUE_URGENT), ==, 0);
        g_assert_cmpint(queue_add(&queue, entries + n, QUEUE_URGENT), ==, -E2BIG);
        g_assert_cmpint(queue_add(&queue, entries + n, QUEUE_OWN), ==, 0);
        g_assert_cmpuint(queue.n, ==, n + 1);
        g_assert_true(queue_next(&queue) == entries + QUEUE_MAX);
}

static void test_remove(void) {
        struct queue queue = { .n = 0 };
        struct queue_entry one, two, three;

        queue_add(&queue, &one, QUEUE_NORMAL);
        queue_add(&queue, &two, QUEUE_NORMAL);
        queue_add(&queue, &three, QUEUE_NORMAL);
        g_assert_cmpint(queue_remove(&queue, &two), ==, 0);
        g_assert_cmpint(queue_remove(&queue, &two), ==, -ENOENT);
        g_assert_true(queue_next(&queue) == &one);
        g_assert_cmpint(queue_remove(&queue, &one), ==, -ENOENT);       /* it does not wait any more */
        queue_done(&queue);
        g_assert_true(queue_next(&queue) == &three);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/queue/urgent-ones-come-first-in-their-order", test_order);
        g_test_add_func("/queue/full-it-still-takes-a-kill", test_bounds);
        g_test_add_func("/queue/remove", test_remove);
        return g_test_run();
}
