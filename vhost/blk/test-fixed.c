/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fixed buffers: regions are cut, whatever their order, and a piece is found only in a buffer that has all of it. */

#include <errno.h>
#include <glib.h>

#include "fixed.h"

#define GIB ((uint64_t) 1 << 30)

/* Nothing is mapped: addresses are all that is looked at. */
static void add(struct vhost_memory *memory, uint64_t at, uint64_t size) {
        memory->regions[memory->n++] = (struct vhost_memory_region) { .at.size = size, .mapping.start = GSIZE_TO_POINTER(at) };
}

static int find(const struct fixed *fixed, uint64_t at, uint64_t size) {
        const struct iovec piece = { GSIZE_TO_POINTER(at), size };

        return fixed_find(fixed, &piece);
}

static void test_nothing(void) {
        struct vhost_memory memory = {};
        struct fixed fixed;

        g_assert_cmpint(fixed_init(&fixed, &memory), ==, 0);
        g_assert_cmpuint(fixed.n, ==, 0);
        g_assert_cmpint(find(&fixed, 4096, 1), ==, -ENOENT);
        fixed_done(&fixed);
}

static void test_cut(void) {
        struct vhost_memory memory = {};
        struct fixed fixed;

        add(&memory, 16 * GIB, 2 * GIB + 4096);
        add(&memory, GIB, 4096);
        add(&memory, 8 * GIB, GIB);
        g_assert_cmpint(fixed_init(&fixed, &memory), ==, 0);
        g_assert_cmpuint(fixed.n, ==, 5);
        g_assert_cmpuint(fixed_bytes(&fixed), ==, 3 * GIB + 8192);
        for (unsigned i = 0; i < fixed.n; i++) {
                uint64_t at = (uint64_t) GPOINTER_TO_SIZE(fixed.buffers[i].iov_base), size = fixed.buffers[i].iov_len;

                g_assert_cmpuint(size, <=, FIXED_BUFFER_MAX);
                g_assert_cmpint(find(&fixed, at, 512), ==, (int) i);
                g_assert_cmpint(find(&fixed, at, size), ==, (int) i);
                g_assert_cmpint(find(&fixed, at + size - 1, 1), ==, (int) i);
                g_assert_cmpint(find(&fixed, at, size + 1), ==, -ENOENT);
                g_assert_cmpint(find(&fixed, at + size - 1, 2), ==, -ENOENT);
        }
        g_assert_cmpint(find(&fixed, GIB - 1, 1), ==, -ENOENT);
        g_assert_cmpint(find(&fixed, GIB + 4096, 1), ==, -ENOENT);
        g_assert_cmpint(find(&fixed, 18 * GIB + 4096, 1), ==, -ENOENT);
        g_assert_cmpint(find(&fixed, GIB, SIZE_MAX), ==, -ENOENT);
        fixed_done(&fixed);
}

static void test_too_much(void) {
        struct vhost_memory memory = {};
        struct fixed fixed;

        add(&memory, GIB, FIXED_BUFFERS_MAX * GIB);
        g_assert_cmpint(fixed_init(&fixed, &memory), ==, 0);
        g_assert_cmpuint(fixed.n, ==, FIXED_BUFFERS_MAX);
        fixed_done(&fixed);
        add(&memory, 2 * FIXED_BUFFERS_MAX * GIB, 1);
        g_assert_cmpint(fixed_init(&fixed, &memory), ==, -E2BIG);
        g_assert_cmpuint(fixed_bytes(&fixed), ==, 0);
        fixed_done(&fixed);
        memory.n = 0;
        add(&memory, 4096, UINT64_MAX);
        g_assert_cmpint(fixed_init(&fixed, &memory), ==, -E2BIG);
        fixed_done(&fixed);
}

static void test_mapped_on_use(void) {
        struct vhost_memory memory = {};
        struct fixed fixed;

        add(&memory, 0, UINT64_MAX);            /* nowhere */
        g_assert_cmpint(fixed_init(&fixed, &memory), ==, 0);
        g_assert_cmpuint(fixed.n, ==, 0);
        fixed_done(&fixed);
        add(&memory, GIB, 4096);
        g_assert_cmpint(fixed_init(&fixed, &memory), ==, 0);
        g_assert_cmpuint(fixed.n, ==, 1);
        g_assert_cmpint(find(&fixed, GIB, 4096), ==, 0);
        fixed_done(&fixed);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/fixed/no-memory-no-buffers", test_nothing);
        g_test_add_func("/fixed/regions-are-cut-and-found", test_cut);
        g_test_add_func("/fixed/too-much-is-refused", test_too_much);
        g_test_add_func("/fixed/what-is-mapped-on-use-only-is-no-buffer", test_mapped_on_use);
        return g_test_run();
}
