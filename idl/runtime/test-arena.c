/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "copy.h"

static void test_alloc(void) {
        struct idl_arena arena = IDL_ARENA_NULL;
        uint64_t *numbers[1000];

        for (uint64_t i = 0; i < 1000; i++) {
                numbers[i] = idl_arena_alloc(&arena, i + 1, sizeof(uint64_t));
                g_assert_nonnull(numbers[i]);
                for (uint64_t j = 0; j <= i; j++) {
                        g_assert_cmpuint(numbers[i][j], ==, 0);
                        numbers[i][j] = i;
                }
        }
        for (uint64_t i = 0; i < 1000; i++)
                for (uint64_t j = 0; j <= i; j++)
                        g_assert_cmpuint(numbers[i][j], ==, i);
        idl_arena_done(&arena);
        g_assert_cmpuint(arena.n_bytes, ==, 0);
}

static void test_limit(void) {
        struct idl_arena arena = IDL_ARENA_NULL;

        g_assert_nonnull(idl_arena_alloc(&arena, IDL_ARENA_MAX / 2, 1));
        errno = 0;
        g_assert_null(idl_arena_alloc(&arena, IDL_ARENA_MAX / 2 + 1, 1));
        g_assert_cmpint(errno, ==, E2BIG);
        g_assert_cmpuint(arena.n_wanted, >, IDL_ARENA_MAX);
        g_assert_nonnull(idl_arena_alloc(&arena, IDL_ARENA_MAX / 2, 1));
        g_assert_null(idl_arena_alloc(&arena, 1, 1));
        g_assert_null(idl_arena_alloc(&arena, SIZE_MAX, 2));
        g_assert_null(idl_arena_alloc(&arena, SIZE_MAX, 1));
        g_assert_null(idl_arena_alloc(&arena, SIZE_MAX / 2 + 1, 2));
        g_assert_cmpint(errno, ==, E2BIG);
        idl_arena_done(&arena);
}

static void test_grow(void) {
        struct idl_arena arena = IDL_ARENA_NULL;
        size_t n_allocated = 0;
        int *items = NULL;

        for (int i = 0; i < 10000; i++) {
                g_assert_cmpint(idl_arena_grow(&arena, (void **) &items, &n_allocated, (size_t) i + 1, sizeof(*items)), ==, 0);
                items[i] = i;
        }
        for (int i = 0; i < 10000; i++)
                g_assert_cmpint(items[i], ==, i);
        g_assert_cmpint(idl_arena_grow(&arena, (void **) &items, &n_allocated, IDL_ARENA_MAX, sizeof(*items)), ==, -E2BIG);
        idl_arena_done(&arena);
}

static void test_strings(void) {
        struct idl_arena arena = IDL_ARENA_NULL;
        const char *const some[] = { "a", NULL, "c" }, *const *copies;
        const char *copy = "x";
        size_t n;

        g_assert_cmpstr(idl_arena_printf(&arena, "%s-%d", "vm", 7), ==, "vm-7");
        g_assert_null(idl_arena_strdup(&arena, NULL));
        g_assert_cmpint(idl_copy_string(&arena, &copy, NULL), ==, 0);
        g_assert_null(copy);
        g_assert_cmpint(idl_copy_string_array(&arena, &copies, &n, some, 3), ==, 0);
        g_assert_cmpuint(n, ==, 3);
        g_assert_cmpstr(copies[0], ==, "a");
        g_assert_true(copies[0] != some[0]);
        g_assert_null(copies[1]);
        g_assert_null(copies[3]);
        idl_arena_done(&arena);
}

static void test_descriptors(void) {
        struct idl_arena arena = IDL_ARENA_NULL;
        int fd;

        fd = idl_arena_keep_fd(&arena, 0);
        g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
        g_assert_cmpint(idl_arena_keep_fd(&arena, -1), ==, -EBADF);
        idl_arena_done(&arena);
        g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/idl/arena/zeroed-and-apart", test_alloc);
        g_test_add_func("/idl/arena/limit", test_limit);
        g_test_add_func("/idl/arena/grow", test_grow);
        g_test_add_func("/idl/arena/strings", test_strings);
        g_test_add_func("/idl/arena/descriptors", test_descriptors);
        return g_test_run();
}
