/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The limits of a pull: how they are written, and what is over them. */

#include <errno.h>
#include <unistd.h>

#include <glib.h>

#include "fetch.h"
#include "pull-limits.h"

static struct {
        unsigned n;
        enum failure failure;
        uint64_t needed, limit;
} said;

int fail_errno(const char *what) {
        g_error("%s: %s", what, g_strerror(errno));
}

int fail_numbers(enum failure failure, uint64_t needed, uint64_t limit) {
        said.n++;
        said.failure = failure;
        said.needed = needed;
        said.limit = limit;
        return -1;
}

static void test_texts(void) {
        const char *const bad[] = { "speed", "speed=", "speed=0", "speed=-1", "speed= 1", "speed=1x", "speed=2147483648", "seconds=86401", "size=9223372036854775808",
                                    "size=99999999999999999999", "other=1", "speed=5,size=x" };

        g_assert_cmpint(limits_parse("speed=5,size=9223372036854775807"), ==, 0);
        g_assert_cmpuint(limits.speed, ==, 5);
        g_assert_cmpuint(limits.seconds, ==, 60);
        g_assert_cmpuint(limits.size_max, ==, INT64_MAX);
        g_assert_cmpint(limits_parse("seconds=2"), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_cmpint(limits_parse(bad[i]), ==, -EINVAL);
        g_assert_cmpuint(limits.speed, ==, 5);
        g_assert_cmpuint(limits.seconds, ==, 2);
}

static void test_the_size(void) {
        limits.size_max = 100;
        g_assert_cmpint(limits_check_size(100), ==, 0);
        g_assert_cmpint(limits_check_size(101), ==, -1);
        g_assert_cmpuint(said.n, ==, 1);
        g_assert_cmpint(said.failure, ==, FAILURE_LIMIT);
        g_assert_cmpuint(said.needed, ==, 101);
        g_assert_cmpuint(said.limit, ==, 100);
}

static void test_the_room(void) {
        g_autofree char *path = NULL;
        int fd = g_file_open_tmp(NULL, &path, NULL);

        g_assert_cmpint(fd, >=, 0);
        said.n = 0;
        g_assert_cmpint(limits_check_room(fd, INT64_MAX), ==, -1);
        g_assert_cmpint(limits_take_room(fd, INT64_MAX), ==, -1);
        g_assert_cmpuint(said.n, ==, 2);
        g_assert_cmpint(said.failure, ==, FAILURE_SPACE);
        g_assert_cmpuint(said.needed, ==, INT64_MAX);
        g_assert_cmpuint(said.limit, <, INT64_MAX);
        close(fd);
        unlink(path);
}

/* What came in less than a second has to be what a second brings. */
static void test_the_speed(void) {
        limits.speed = 100;
        g_assert_true(limits_is_fast(100, 0));
        g_assert_true(limits_is_fast(100, 1000));
        g_assert_false(limits_is_fast(99, 1));
        g_assert_false(limits_is_fast(100, 1001));
        g_assert_true(limits_is_fast(6000, 60000));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/limits/texts", test_texts);
        g_test_add_func("/limits/the-size", test_the_size);
        g_test_add_func("/limits/the-room", test_the_room);
        g_test_add_func("/limits/the-speed", test_the_speed);
        return g_test_run();
}
