/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What callers may ask for, on both sides of every bound. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "spec.h"
#include "storage.h"

static struct idl_error error;

static int checked(int r) {
        g_assert_true((r < 0) == (error.name != NULL));
        idl_error_done(&error);
        return r;
}

static const char *repeat(char c, size_t n) {
        static char text[12000];

        memset(text, c, n);
        text[n] = '\0';
        return text;
}

static void test_names(void) {
        g_assert_cmpint(checked(spec_check_sr_name("n", "a.b-c_1", &error)), ==, 0);
        g_assert_cmpint(checked(spec_check_sr_name("n", repeat('a', 64), &error)), ==, 0);
        g_assert_cmpint(checked(spec_check_sr_name("n", repeat('a', 65), &error)), ==, -EINVAL);
        g_assert_cmpint(checked(spec_check_sr_name("n", "", &error)), ==, -EINVAL);
        g_assert_cmpint(checked(spec_check_sr_name("n", "a/b", &error)), ==, -EINVAL);
        g_assert_cmpint(checked(spec_check_vdi_name("n", "any thing / ..", &error)), ==, 0);
        g_assert_cmpint(checked(spec_check_vdi_name("n", repeat('a', 255), &error)), ==, 0);
        g_assert_cmpint(checked(spec_check_vdi_name("n", repeat('a', 256), &error)), ==, -EINVAL);
        g_assert_cmpint(checked(spec_check_vdi_name("n", "a\n", &error)), ==, -EINVAL);
        g_assert_cmpint(checked(spec_check_reader(repeat('a', 128), &error)), ==, 0);
        g_assert_cmpint(checked(spec_check_reader(repeat('a', 129), &error)), ==, -EINVAL);
        g_assert_cmpint(checked(spec_check_description("d", repeat('a', 4096), &error)), ==, 0);
        g_assert_cmpint(checked(spec_check_description("d", repeat('a', 4097), &error)), ==, -EINVAL);
}

static void test_a_long_value_is_not_repeated(void) {
        g_assert_cmpint(spec_check_vdi_name("n", repeat('a', 10000), &error), ==, -EINVAL);
        g_assert_cmpuint(strlen(error.message), <, 200);
        idl_error_done(&error);
}

static void test_labels(void) {
        struct xcp_dict_s_s_entry labels[66];

        for (unsigned i = 0; i < 66; i++)
                labels[i] = (struct xcp_dict_s_s_entry) { g_strdup_printf("k%u", i), "v" };
        g_assert_cmpint(checked(spec_check_labels("l", labels, 64, &error)), ==, 0);
        g_assert_cmpint(checked(spec_check_labels("l", labels, 65, &error)), ==, -E2BIG);
        g_assert_cmpint(checked(spec_check_labels("l", (struct xcp_dict_s_s_entry[]) { labels[0], labels[0] }, 2, &error)), ==, -EINVAL);
        g_assert_cmpint(checked(spec_check_labels("l", &(struct xcp_dict_s_s_entry) { "k", repeat('v', 4097) }, 1, &error)), ==, -EINVAL);
        g_assert_cmpint(checked(spec_check_labels("l", &(struct xcp_dict_s_s_entry) { "", "v" }, 1, &error)), ==, -EINVAL);
        for (unsigned i = 0; i < 66; i++)
                g_free((char *) labels[i].key);
}

static void test_paths(void) {
        static const char *const good[] = { "/a", "/a/b.c", "/a/..b", "/...", "/a,b c" };
        static const char *const bad[] = { "", "/", "a", "a/b", "/a/", "/a//b", "/a/.", "/./a", "/..", "/a/../b", "/a/..", "/a\nb" };

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
                g_assert_cmpint(checked(spec_check_path(good[i], &error)), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_cmpint(checked(spec_check_path(bad[i], &error)), ==, -EINVAL);
        g_assert_cmpint(checked(spec_check_path(NULL, &error)), ==, -EINVAL);
}

static void test_sizes(void) {
        static const char *const bad[] = { "", "0", "-1", "G", "1GB", "1 G", "99999999999T", "99999999999999999999999" };
        uint64_t size;

        g_assert_cmpint(checked(spec_round_size("s", 0, VDI_SIZE_MAX, &size, &error)), ==, -EINVAL);
        g_assert_cmpint(checked(spec_round_size("s", 1, VDI_SIZE_MAX, &size, &error)), ==, 0);
        g_assert_cmpuint(size, ==, 512);
        g_assert_cmpint(checked(spec_round_size("s", VDI_SIZE_MAX, VDI_SIZE_MAX, &size, &error)), ==, 0);
        g_assert_cmpuint(size, ==, VDI_SIZE_MAX);
        g_assert_cmpint(checked(spec_round_size("s", VDI_SIZE_MAX + 1, VDI_SIZE_MAX, &size, &error)), ==, -E2BIG);
        g_assert_cmpint(checked(spec_round_size("s", UINT64_MAX, VDI_SIZE_MAX, &size, &error)), ==, -E2BIG);

        g_assert_cmpint(checked(spec_parse_size("s", "10G", &size, &error)), ==, 0);
        g_assert_cmpuint(size, ==, UINT64_C(10) << 30);
        g_assert_cmpint(checked(spec_parse_size("s", "512", &size, &error)), ==, 0);
        g_assert_cmpuint(size, ==, 512);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_cmpint(checked(spec_parse_size("s", bad[i], &size, &error)), ==, -EINVAL);
}

static void test_sizes_of_images(void) {
        uint64_t size = 0;

        g_assert_cmpint(checked(spec_take_image_size(&size, 1000, &error)), ==, 0);
        g_assert_cmpuint(size, ==, 1024);
        size = 4096;
        g_assert_cmpint(checked(spec_take_image_size(&size, 1000, &error)), ==, 0);
        g_assert_cmpuint(size, ==, 4096);
        g_assert_cmpint(checked(spec_take_image_size(&size, 4097, &error)), ==, -EINVAL);
        g_assert_cmpint(checked(spec_take_image_size(&size, UINT64_MAX, &error)), ==, -E2BIG);
}

static void test_limits(void) {
        g_assert_cmpint(checked(spec_check_limit("l", 0, SPEC_IOPS_LIMIT_MAX, &error)), ==, 0);
        g_assert_cmpint(checked(spec_check_limit("l", SPEC_IOPS_LIMIT_MAX, SPEC_IOPS_LIMIT_MAX, &error)), ==, 0);
        g_assert_cmpint(checked(spec_check_limit("l", SPEC_IOPS_LIMIT_MAX + 1, SPEC_IOPS_LIMIT_MAX, &error)), ==, -EINVAL);
        g_assert_cmpint(checked(spec_check_limit("l", UINT64_MAX, SPEC_RATE_LIMIT_MAX, &error)), ==, -EINVAL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/spec/names", test_names);
        g_test_add_func("/spec/a-long-value-is-not-repeated", test_a_long_value_is_not_repeated);
        g_test_add_func("/spec/labels", test_labels);
        g_test_add_func("/spec/paths", test_paths);
        g_test_add_func("/spec/sizes", test_sizes);
        g_test_add_func("/spec/sizes-of-images", test_sizes_of_images);
        g_test_add_func("/spec/limits", test_limits);
        return g_test_run();
}
