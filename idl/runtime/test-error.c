/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "error.h"
#include "idl-errors.h"
#include "utf8.h"

static void test_sentence(void) {
        struct idl_error error = IDL_ERROR_NULL;

        g_assert_cmpint(idl_error_set_not_enough_space(&error, UINT64_MAX, 12), ==, -ENOSPC);
        g_assert_cmpstr(error.name, ==, "org.xen.xcp.Error.NotEnoughSpace");
        g_assert_cmpstr(error.message, ==, "15.99 EiB of disk space are needed, and 12 bytes are free");
        g_assert_cmpuint(error.n_details, ==, 2);
        g_assert_cmpstr(error.details[1].name, ==, "free");
        g_assert_cmpint(idl_error_detail_variant(&error.details[1]).type, ==, 't');
        g_assert_cmpuint(idl_error_detail_variant(&error.details[1]).t, ==, 12);

        /* Another one takes its place. */
        g_assert_cmpint(idl_error_set_invalid_argument(&error, "{value}", "%s{name}", "must {not}"), ==, -EINVAL);
        g_assert_cmpstr(error.message, ==, "{value}: '%s{name}' must {not}");
        idl_error_done(&error);
        g_assert_null(error.name);
}

static void check_bytes(uint64_t value, uint64_t limit, const char *expected) {
        struct idl_error error = IDL_ERROR_NULL;

        g_assert_cmpint(idl_error_set_bytes_exceeded(&error, "memory", value, limit), ==, -E2BIG);
        g_assert_cmpstr(error.name, ==, IDL_ERROR_LIMIT_EXCEEDED);
        g_assert_cmpstr(error.message, ==, expected);
        g_assert_cmpuint(error.n_details, ==, 3);
        g_assert_cmpuint(idl_error_detail_variant(&error.details[1]).t, ==, value);
        idl_error_done(&error);
}

static void test_bytes(void) {
        check_bytes(UINT64_C(2) << 30, 512 << 20, "memory: 2 GiB is more than 512 MiB");
        check_bytes(1536 << 20, UINT64_C(1) << 30, "memory: 1.50 GiB is more than 1 GiB");
        check_bytes((1 << 20) + 1, 1 << 20, "memory: 1048577 bytes is more than 1 MiB");
        check_bytes(1, 0, "memory: 1 byte is more than 0 bytes");
        check_bytes(1024, 1023, "memory: 1 KiB is more than 1023 bytes");
        check_bytes(UINT64_C(1) << 63, UINT64_C(16) << 40, "memory: 8 EiB is more than 16 TiB");
}

static void test_hostile_strings(void) {
        g_autofree char *name = g_strnfill(10000, 'n');
        struct idl_error error = IDL_ERROR_NULL;

        idl_error_set_does_not_exist(&error, name, "\xff\xfe");
        g_assert_true(g_utf8_validate(error.message, -1, NULL));
        g_assert_cmpuint(strlen(error.message), <, 300);
        g_assert_nonnull(strstr(error.message, "nn... '\?\?'"));
        g_assert_cmpuint(strlen(error.details[0].s), ==, 1024);
        g_assert_cmpstr(error.details[1].s, ==, "\?\?");

        idl_error_set_does_not_exist(&error, NULL, NULL);
        g_assert_cmpstr(error.message, ==, "There is no  ''");
        idl_error_done(&error);
}

static void test_errno(void) {
        struct idl_error error = IDL_ERROR_NULL, moved;

        g_assert_cmpint(idl_error_set_errno(&error, -EXDEV, "moving"), ==, -EXDEV);
        g_assert_cmpstr(error.name, ==, IDL_ERROR_INTERNAL);
        g_assert_cmpstr(error.message, ==, "moving: Invalid cross-device link");

        /* An error that is set says more. */
        g_assert_cmpint(idl_error_set_errno(&error, -EIO, "more"), ==, -EIO);
        g_assert_cmpstr(error.message, ==, "moving: Invalid cross-device link");

        idl_error_move(&moved, &error);
        g_assert_null(error.name);
        g_assert_cmpstr(moved.name, ==, IDL_ERROR_INTERNAL);
        idl_error_done(&moved);

        g_assert_cmpint(idl_error_set_errno(&error, -4000, "nothing"), ==, -4000);
        g_assert_cmpstr(error.message, ==, "nothing: unknown error");
        idl_error_done(&error);
}

static void test_nowhere(void) {
        g_assert_cmpint(idl_error_set_cancelled(NULL, "x"), ==, -ECANCELED);
        g_assert_cmpint(idl_error_set_errno(NULL, -EIO, "x"), ==, -EIO);
}

static void check_utf8(const char *from, size_t n_max, const char *expected) {
        g_autofree char *copy = idl_utf8_copy(from, n_max);

        g_assert_cmpstr(copy, ==, expected);
        g_assert_true(g_utf8_validate(copy, -1, NULL));
}

static void test_utf8(void) {
        check_utf8(NULL, 10, "");
        check_utf8("abc", 3, "abc");
        check_utf8("abc", 2, "ab");
        check_utf8("aü€😀", 100, "aü€😀");
        check_utf8("aü", 2, "a");
        check_utf8("€", 2, "");
        check_utf8("😀", 3, "");
        check_utf8("\xc0\x80", 10, "\?\?");                       /* NUL, too long */
        check_utf8("\xe0\x80\x80", 10, "\?\?\?");
        check_utf8("\xed\xa0\x80", 10, "\?\?\?");                  /* a surrogate */
        check_utf8("\xf0\x80\x80\x80", 10, "\?\?\?\?");
        check_utf8("\xf4\x90\x80\x80", 10, "\?\?\?\?");             /* beyond Unicode */
        check_utf8("\xf5", 10, "\?");
        check_utf8("\xe2\x82", 10, "\?\?");                       /* cut by the end */
        check_utf8("\xf4\x8f\xbf\xbd", 10, "\xf4\x8f\xbf\xbd");
}

/* Whatever comes in, GLib agrees that what goes out is UTF-8. */
static void test_utf8_random(void) {
        for (int i = 0; i < 20000; i++) {
                char text[9];

                for (size_t j = 0; j < sizeof(text) - 1; j++)
                        text[j] = (char) g_test_rand_int_range(g_test_rand_bit() ? 0x80 : 1, 0x100);
                text[sizeof(text) - 1] = '\0';

                g_autofree char *copy = idl_utf8_copy(text, 8);
                g_assert_true(g_utf8_validate(copy, -1, NULL));
                if (g_utf8_validate(text, -1, NULL))
                        g_assert_cmpstr(copy, ==, text);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/idl/error/sentence", test_sentence);
        g_test_add_func("/idl/error/bytes-in-a-unit-for-people", test_bytes);
        g_test_add_func("/idl/error/hostile-strings", test_hostile_strings);
        g_test_add_func("/idl/error/errno", test_errno);
        g_test_add_func("/idl/error/nowhere-to-put-it", test_nowhere);
        g_test_add_func("/idl/utf8/copy", test_utf8);
        g_test_add_func("/idl/utf8/random", test_utf8_random);
        return g_test_run();
}
