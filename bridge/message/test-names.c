/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names, paths, UTF-8 and signatures: ours against GLib's and libdbus's opinion, and the limits. */

#include <dbus/dbus.h>
#include <gio/gio.h>
#include <string.h>

#include "message.h"
#include "names.h"

/* Texts of few letters, those that rules are about: all of up to five. */
static void for_all_texts(void (*check)(const char *text, size_t n)) {
        static const char letters[] = "aZ_09.:-/ ";
        char text[6];

        for (unsigned n = 0; n <= 5; n++) {
                unsigned count = 1;

                for (unsigned i = 0; i < n; i++)
                        count *= sizeof letters - 1;
                for (unsigned number = 0; number < count; number++) {
                        unsigned rest = number;

                        for (unsigned i = 0; i < n; i++, rest /= sizeof letters - 1)
                                text[i] = letters[rest % (sizeof letters - 1)];
                        text[n] = '\0';
                        check(text, n);
                }
        }
}

static void check_names(const char *text, size_t n) {
        g_assert_true(name_is_path(text, n) == g_variant_is_object_path(text));
        g_assert_true(name_is_interface(text, n) == !!dbus_validate_interface(text, NULL));
        g_assert_true(name_is_interface(text, n) == !!dbus_validate_error_name(text, NULL));
        g_assert_true(name_is_member(text, n) == !!dbus_validate_member(text, NULL));
        if (text[0] != ':')
                g_assert_true(name_is_bus_name(text, n) == !!dbus_validate_bus_name(text, NULL));
        else            /* libdbus takes any order of what may be in a unique name */
                g_assert_true(!name_is_bus_name(text, n) || dbus_validate_bus_name(text, NULL));
        g_assert_true(name_is_bus_name(text, n) == (name_is_unique(text, n) || name_is_well_known(text, n)));
        g_assert_false(name_is_unique(text, n) && name_is_well_known(text, n));
        g_assert_true(!name_is_well_known(text, n) || name_is_namespace(text, n));
}

static void test_as_others_see_it(void) {
        for_all_texts(check_names);
}

static void test_namespaces(void) {
        g_assert_true(name_is_namespace("org", 3));
        g_assert_true(name_is_namespace("org.a-b", 7));
        g_assert_false(name_is_namespace("org.", 4));
        g_assert_false(name_is_namespace(":1", 2));
        g_assert_true(name_is_in_namespace("org.a", "org.a"));
        g_assert_true(name_is_in_namespace("org.a.b", "org.a"));
        g_assert_false(name_is_in_namespace("org.ab", "org.a"));
        g_assert_false(name_is_in_namespace("org", "org.a"));
        g_assert_true(name_path_is_below("/a", "/a"));
        g_assert_true(name_path_is_below("/a/b", "/a"));
        g_assert_false(name_path_is_below("/ab", "/a"));
        g_assert_false(name_path_is_below("/", "/a"));
        g_assert_true(name_path_is_below("/", "/"));
        g_assert_true(name_path_is_below("/a", "/"));
}

/* Bytes that rules for UTF-8 are about, at every distance from the beginning and the end of a word of 8. */
static void test_utf8(void) {
        static const uint8_t bytes[] = { 'a', 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef,
                                         0xf0, 0xf4, 0xf5, 0xff };
        const size_t n_bytes = sizeof bytes;

        for (unsigned number = 0; number < n_bytes * n_bytes * n_bytes * n_bytes; number++) {
                unsigned rest = number;
                size_t n = 4 + number % 11;
                char text[16];

                memset(text, 'x', sizeof text);
                for (unsigned i = 0; i < 4; i++, rest /= n_bytes)
                        text[number % 7 + i < n ? number % 7 + i : i] = (char) bytes[rest % n_bytes];
                g_assert_true(name_is_utf8(text, n) == (memchr(text, 0, n) == NULL && g_utf8_validate(text, n, NULL)));
        }
        g_assert_true(name_is_utf8("", 0));
}

static int read_signature(const char *text) {
        struct signature signature;

        return signature_read(text, strlen(text), &signature);
}

/* All of up to six letters. */
static void test_signatures_as_libdbus_sees_them(void) {
        static const char letters[] = "a(){}sv!";

        for (unsigned number = 0; number < 1u << 18; number++) {
                char text[7];

                for (unsigned i = 0; i < 6; i++)
                        text[i] = letters[number >> (3 * i) & 7];
                text[6] = '\0';
                for (char *start = text + number % 6; *start; start = "")
                        g_assert_true((read_signature(start) == 0) == !!dbus_signature_validate(start, NULL));
                g_assert_true((read_signature(text) == 0) == !!dbus_signature_validate(text, NULL));
        }
}

static void test_signature_limits(void) {
        g_autofree char *arrays = g_strnfill(33, 'a'), *opens = g_strnfill(33, '('), *closes = g_strnfill(33, ')');
        g_autofree char *both = NULL, *deep = NULL, *long_one = g_strnfill(256, 'y');
        char entries[200] = "";

        arrays[32] = opens[32] = closes[32] = '\0';
        both = g_strconcat(arrays, opens, "y", closes, NULL);
        g_assert_cmpint(read_signature(both), ==, 0);
        deep = g_strconcat("a", both, NULL);
        g_assert_cmpint(read_signature(deep), ==, MESSAGE_TOO_DEEP);
        g_free(deep);
        deep = g_strconcat("(", both, ")", NULL);
        g_assert_cmpint(read_signature(deep), ==, MESSAGE_TOO_DEEP);
        g_free(deep);
        deep = g_strconcat(both, both, NULL);           /* beside each other is not within each other */
        g_assert_cmpint(read_signature(deep), ==, 0);

        for (unsigned i = 0; i < 33; i++)
                strcat(entries, "a{s");
        strcat(entries, "y");
        for (unsigned i = 0; i < 33; i++)
                strcat(entries, "}");
        g_assert_cmpint(read_signature(entries), ==, MESSAGE_TOO_DEEP);

        g_assert_cmpint(read_signature(long_one), ==, MESSAGE_BAD_SIGNATURE);
        long_one[255] = '\0';
        g_assert_cmpint(read_signature(long_one), ==, 0);
        g_assert_cmpint(read_signature("s\xff"), ==, MESSAGE_BAD_SIGNATURE);
        g_assert_cmpint(signature_read("s\0s", 3, &(struct signature) {}), ==, MESSAGE_BAD_SIGNATURE);
}

static void test_signature_ends(void) {
        struct signature signature;
        static const char text[] = "a{sa(yv)}uas";

        g_assert_cmpint(signature_read(text, strlen(text), &signature), ==, 0);
        g_assert_cmpuint(signature.end[0], ==, 9);
        g_assert_cmpuint(signature.end[1], ==, 9);
        g_assert_cmpuint(signature.end[2], ==, 3);
        g_assert_cmpuint(signature.end[3], ==, 8);
        g_assert_cmpuint(signature.end[4], ==, 8);
        g_assert_cmpuint(signature.end[9], ==, 10);
        g_assert_cmpuint(signature.end[10], ==, 12);
        g_assert_false(signature_is_single(&signature));
        g_assert_cmpint(signature_read(text, 9, &signature), ==, 0);
        g_assert_true(signature_is_single(&signature));
        g_assert_cmpint(signature_read("", 0, &signature), ==, 0);
        g_assert_false(signature_is_single(&signature));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/names/as-glib-and-libdbus-see-them", test_as_others_see_it);
        g_test_add_func("/names/namespaces", test_namespaces);
        g_test_add_func("/names/utf8-as-glib-sees-it", test_utf8);
        g_test_add_func("/names/signatures-as-libdbus-sees-them", test_signatures_as_libdbus_sees_them);
        g_test_add_func("/names/signatures-at-their-limits", test_signature_limits);
        g_test_add_func("/names/where-types-end", test_signature_ends);
        return g_test_run();
}
