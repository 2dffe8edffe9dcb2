/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bodies: checked, read and made. */

#include <errno.h>
#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "body.h"
#include "names.h"
#include "test-vectors.h"

static int check(const char *signature, const void *body, size_t n, uint32_t n_fds) {
        g_autofree guint8 *copy = g_memdup2(body, n);   /* so that ASan sees who reads beyond */
        struct message message = { .signature = signature, .body = copy, .n_body = n, .n_fds = n_fds };

        return message_check_body(&message);
}

static void test_mistakes(void) {
        static const struct {
                const char *signature, *body;
                size_t n;
                int fault;
        } mistakes[] = {
                { "u", "\1\0\0\0", 4, 0 },
                { "u", "\1\0\0", 3, MESSAGE_TRUNCATED },
                { "u", "\1\0\0\0\0", 5, MESSAGE_BODY_MISMATCH },
                { "yu", "\1\0\0\0\1\0\0\0", 8, 0 },
                { "yu", "\1\0\1\0\1\0\0\0", 8, MESSAGE_BAD_PADDING },
                { "b", "\1\0\0\0", 4, 0 },
                { "b", "\2\0\0\0", 4, MESSAGE_BAD_BOOLEAN },
                { "b", "\1\0\0\1", 4, MESSAGE_BAD_BOOLEAN },
                { "ab", "\10\0\0\0\1\0\0\0\2\0\0\0", 12, MESSAGE_BAD_BOOLEAN },
                { "h", "\2\0\0\0", 4, 0 },
                { "h", "\3\0\0\0", 4, MESSAGE_BAD_HANDLE },
                { "ah", "\4\0\0\0\3\0\0\0", 8, MESSAGE_BAD_HANDLE },
                { "v", "\1h\0\0\3\0\0\0", 8, MESSAGE_BAD_HANDLE },
                { "s", "\1\0\0\0a\0", 6, 0 },
                { "s", "\1\0\0\0a", 5, MESSAGE_TRUNCATED },
                { "s", "\1\0\0\0ab", 6, MESSAGE_BAD_STRING },
                { "s", "\2\0\0\0a\0\0", 7, MESSAGE_BAD_STRING },
                { "s", "\2\0\0\0\300\200\0", 7, MESSAGE_BAD_STRING },
                { "s", "\377\377\377\377a\0", 6, MESSAGE_TRUNCATED },
                { "o", "\2\0\0\0/a\0", 7, 0 },
                { "o", "\2\0\0\0a/\0", 7, MESSAGE_BAD_VALUE_PATH },
                { "o", "\0\0\0\0\0", 5, MESSAGE_BAD_VALUE_PATH },
                { "g", "\2as\0", 4, 0 },
                { "g", "\0\0", 2, 0 },
                { "g", "\1a\0", 3, MESSAGE_BAD_SIGNATURE },
                { "g", "\2as\1", 4, MESSAGE_BAD_STRING },
                { "g", "\7as", 3, MESSAGE_TRUNCATED },
                { "v", "\1y\0\5", 4, 0 },
                { "v", "\2yy\0\5\5", 6, MESSAGE_BAD_SIGNATURE },
                { "v", "\0\0", 2, MESSAGE_BAD_SIGNATURE },
                { "v", "\1(\0", 3, MESSAGE_BAD_SIGNATURE },
                { "ay", "\3\0\0\0abc", 7, 0 },
                { "ay", "\3\0\0\0abcd", 8, MESSAGE_BODY_MISMATCH },
                { "ay", "\4\0\0\0abc", 7, MESSAGE_TRUNCATED },
                { "ay", "\1\0\0\4abc", 7, MESSAGE_BAD_ARRAY },          /* 2^26 + 1 */
                { "aq", "\3\0\0\0abc", 7, MESSAGE_BAD_ARRAY },          /* CVE-2022-42011 */
                { "at", "\0\0\0\0\0\0\0\0", 8, 0 },
                { "at", "\0\0\0\0", 4, MESSAGE_TRUNCATED },             /* the padding is there even without elements */
                { "at", "\0\0\0\0\0\0\0\1", 8, MESSAGE_BAD_PADDING },
                { "as", "\7\0\0\0\1\0\0\0a\0\0", 11, MESSAGE_TRUNCATED },       /* the array ends within an element's padding */
                { "asu", "\5\0\0\0\1\0\0\0a\0\0\0\0\0\0\0", 16, MESSAGE_BAD_ARRAY },    /* and within an element */
                { "a(y)", "\1\0\0\0\0\0\0\0x", 9, 0 },
                { "a(y)", "\2\0\0\0\0\0\0\0xx", 10, MESSAGE_TRUNCATED },
                { "a{sv}", "\0\0\0\0\0\0\0\0", 8, 0 },
                { "aay", "\10\0\0\0\0\0\0\0\0\0\0\0", 12, 0 },
                { "a{sv", "", 0, MESSAGE_BAD_SIGNATURE },               /* CVE-2022-42010 */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(mistakes); i++) {
                g_test_message("%zu: %s", i, mistakes[i].signature);
                g_assert_cmpstr(message_fault_name(check(mistakes[i].signature, mistakes[i].body, mistakes[i].n, 3)), ==,
                                message_fault_name(mistakes[i].fault));
        }
}

static void test_prefixes(void) {
        for (unsigned i = 0; i < 2 * TEST_VECTORS; i++) {
                gsize n;
                g_autofree guint8 *blob = test_vector_blob(i / 2, i % 2, &n);
                struct message message;

                g_assert_cmpint(message_parse(blob, n, &message), ==, 0);
                for (size_t cut = 0; cut < message.n_body; cut++) {
                        g_autofree guint8 *copy = g_memdup2(message.body, cut);
                        struct message shorter = message;

                        shorter.body = copy;
                        shorter.n_body = cut;
                        g_assert_cmpint(message_check_body(&shorter), >, 0);
                        message_args(&shorter, (struct message_arg [MESSAGE_ARGS_MAX]) {}, MESSAGE_ARGS_MAX);
                }
        }
}

/* Variants in variants, the deepest with a byte; or, to be one deeper still, with an array that has an element. */
static int check_nested_variants(unsigned n, bool with_array) {
        g_autoptr(GByteArray) body = g_byte_array_new();

        for (unsigned i = 1; i < n; i++)
                g_byte_array_append(body, (const guint8 *) "\1v", 3);
        if (with_array) {
                g_byte_array_append(body, (const guint8 *) "\2as", 4);
                while (body->len % 4 != 0)
                        g_byte_array_append(body, (const guint8 *) "", 1);
                g_byte_array_append(body, (const guint8 *) "\5\0\0\0\0\0\0\0", 9);
        } else {
                g_byte_array_append(body, (const guint8 *) "\1y\0x", 4);
        }
        return check("v", body->data, body->len, 0);
}

static void test_depth(void) {
        g_assert_cmpint(check_nested_variants(64, false), ==, 0);
        g_assert_cmpint(check_nested_variants(65, false), ==, MESSAGE_TOO_DEEP);
        g_assert_cmpint(check_nested_variants(63, true), ==, 0);
        g_assert_cmpint(check_nested_variants(64, true), ==, MESSAGE_TOO_DEEP);
        g_assert_cmpint(check_nested_variants(100000, false), ==, MESSAGE_TOO_DEEP);
}

/* Variants beside each other and within structs and arrays: the walk must forget each one's signature, and only that. */
static void test_variants_beside_each_other(void) {
        static const char *const texts[] = {
                "[<1>, <'a'>, <[<true>, <(<byte 1>, 'b', <2>)>]>, <@av []>, <'c'>]",
                "(<(1, (2, <3>), <'x'>)>, 'after', <<<<'deep'>>>>, {'k': <1>, 'l': <('m', <2.5>)>})",
                "<([(<1>, <2>)], [{'a': <[{'b': <'c'>}]>}])>",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autoptr(GDBusMessage) glib = g_dbus_message_new_method_call("a.b", "/a", "a.b", "C");
                g_autofree guint8 *blob = NULL;
                GVariant *value = g_variant_new_parsed(texts[i]);
                struct message message;
                gsize n;

                g_dbus_message_set_body(glib, g_variant_new_tuple(&value, 1));
                g_dbus_message_set_serial(glib, 1);
                blob = g_dbus_message_to_blob(glib, &n, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
                g_assert_cmpint(message_parse(blob, n, &message), ==, 0);
                g_assert_cmpint(message_check_body(&message), ==, 0);
        }
}

/* Of this thread's own time: the machine may do a lot else meanwhile. */
static double seconds_used(void) {
        struct timespec used;

        g_assert_cmpint(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used), ==, 0);
        return (double) used.tv_sec + (double) used.tv_nsec / 1e9;
}

static double seconds_to_check(const char *signature, const guint8 *body, size_t n) {
        struct message message = { .signature = signature, .body = body, .n_body = n };
        double start = seconds_used();

        message_check_body(&message);
        return seconds_used() - start;
}

/*
 * Bodies made to be slow to check: empty arrays of long types, many small variants, structs in structs. Eight times the bytes must not take
 * a lot more than eight times as long: 40 leaves room for caches that others use meanwhile.
 */
static void test_time_is_linear(void) {
        g_autofree char *structs = g_strnfill(32, '('), *ends = g_strnfill(32, ')');
        g_autofree char *signature_structs = g_strconcat("a", structs, "y", ends, NULL);
        const char *signatures[] = { "aa(yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy)", signature_structs,
                                    "aaaaaaay", "a(b)" };
        const size_t n = 1 << 20;
        g_autofree guint8 *body = g_malloc0(n);

        for (size_t i = 0; i < G_N_ELEMENTS(signatures); i++) {
                double small = 0, large = 0;

                for (unsigned attempt = 0; attempt < 3; attempt++) {
                        double seconds;

                        body[0] = 0, body[1] = 0, body[2] = 0x01, body[3] = 0;
                        seconds = seconds_to_check(signatures[i], body, (n >> 3) + 8);
                        small = attempt == 0 || seconds < small ? seconds : small;
                        body[2] = 0x0f;
                        seconds = seconds_to_check(signatures[i], body, n);
                        large = attempt == 0 || seconds < large ? seconds : large;
                }
                g_test_message("%s: 128 KiB %.4f s, 1 MiB %.4f s", signatures[i], small, large);
                g_assert_cmpfloat(large, <, 40 * small + 0.05);
        }
}

static void test_args(void) {
        for (unsigned big_endian = 0; big_endian < 2; big_endian++) {
                gsize n;
                g_autofree guint8 *blob = test_vector_blob(1, big_endian, &n);
                struct message_arg args[MESSAGE_ARGS_MAX] = {};
                struct message message;

                g_assert_cmpint(message_parse(blob, n, &message), ==, 0);
                g_assert_cmpuint(message_args(&message, args, MESSAGE_ARGS_MAX), ==, 22);
                for (unsigned i = 0; i < 22; i++)
                        g_assert_cmpint(args[i].type, ==, i == 9 ? 's' : i == 10 ? 'o' : i == 11 ? 'g' : 0);
                g_assert_cmpstr(args[9].string, ==, "Zürich €\U0001f600");
                g_assert_cmpstr(args[10].string, ==, "/a/b_1");
                g_assert_cmpstr(args[11].string, ==, "a{sv}");
                g_assert_cmpuint(message_args(&message, args, 10), ==, 10);
        }
}

/* Strings behind structs in variants are still found; those behind very many are not, and nobody waits for them. */
static void test_args_effort(void) {
        for (unsigned n_variants = 4000; n_variants <= 5000; n_variants += 1000) {
                g_autoptr(GByteArray) body = g_byte_array_new();
                struct message_arg args[3];
                struct message message = { .signature = "vs" };
                const guint8 string[] = { 1, 0, 0, 0, 'x', 0 };
                g_autofree char *types = g_strnfill(249, 'y');

                /* a variant with a struct of 250 types is 257 bytes, and 251 values; 16 levels of them, or 20 */
                for (unsigned i = 0; i < n_variants / 250; i++) {
                        g_byte_array_append(body, (const guint8 *) "\375(", 2);         /* 253 */
                        g_byte_array_append(body, (const guint8 *) types, 249);
                        g_byte_array_append(body, (const guint8 *) (i + 1 < n_variants / 250 ? "yv)" : "yy)"), 4);
                        while (body->len % 8 != 0)
                                g_byte_array_append(body, (const guint8 *) "", 1);
                        g_byte_array_append(body, (const guint8 *) types, 249);
                        g_byte_array_append(body, (const guint8 *) types, i + 1 < n_variants / 250 ? 1 : 2);
                }
                while (body->len % 4 != 0)
                        g_byte_array_append(body, (const guint8 *) "", 1);
                g_byte_array_append(body, string, sizeof string);
                message.body = body->data;
                message.n_body = body->len;
                g_assert_cmpint(message_check_body(&message), ==, 0);
                g_assert_cmpuint(message_args(&message, args, 3), ==, n_variants == 4000 ? 2 : 0);
        }
}

static void test_made_and_read(void) {
        static const char *const names[] = { "org.a", "", "a longer one", NULL }, *const none[] = { NULL };
        struct message message = { .type = MESSAGE_METHOD_CALL, .serial = 1, .path = "/a", .member = "M" }, read;
        g_autofree guint8 *data = NULL;
        g_autoptr(GDBusMessage) glib = NULL;
        g_autofree char *printed = NULL;
        struct message_strings strings, empty;
        const char *name, *path, *types;
        uint8_t *body;
        uint32_t number;
        uint64_t large;
        size_t n;
        bool yes, no;

        g_assert_cmpint(message_make_body(&message, &body, "subgbastoas", "text", 7, 1, "a{sv}", 0, names, UINT64_MAX, "/p", none), ==, 0);
        g_assert_cmpint(message_check_body(&message), ==, 0);
        g_assert_cmpint(message_write(&message, &data, &n), ==, 0);
        free(body);
        glib = g_dbus_message_new_from_blob(data, n, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
        g_assert_nonnull(glib);
        printed = g_variant_print(g_dbus_message_get_body(glib), FALSE);
        g_assert_cmpstr(printed, ==, "('text', 7, true, 'a{sv}', false, ['org.a', '', 'a longer one'], 18446744073709551615, '/p', [])");

        g_assert_cmpint(message_parse(data, n, &read), ==, 0);
        g_assert_cmpint(message_read(&read, "subgbastoas", &name, &number, &yes, &types, &no, &strings, &large, &path, &empty), ==, 0);
        g_assert_cmpstr(name, ==, "text");
        g_assert_cmpuint(number, ==, 7);
        g_assert_true(yes && !no && large == UINT64_MAX);
        g_assert_cmpstr(types, ==, "a{sv}");
        g_assert_cmpstr(path, ==, "/p");
        for (unsigned i = 0; i < 3; i++)
                g_assert_cmpstr(message_strings_next(&strings), ==, names[i]);
        g_assert_null(message_strings_next(&strings));
        g_assert_null(message_strings_next(&empty));
        g_assert_cmpint(message_read(&read, "u", &number), ==, -EBADMSG);
        read.n_body--;
        g_assert_cmpint(message_read(&read, "s", &name), ==, 0);
}

static void test_reading_what_is_not_there(void) {
        struct message message = { .type = MESSAGE_METHOD_RETURN, .serial = 1, .reply_serial = 1 };
        const char *text;

        g_assert_cmpint(message_read(&message, ""), ==, 0);
        g_assert_cmpint(message_read(&message, "s", &text), ==, -EBADMSG);
        g_assert_cmpuint(message_args(&message, NULL, 0), ==, 0);
        message.signature = "as";
        message.body = (const uint8_t *) "\10\0\0\0\377\0\0\0";
        message.n_body = 8;
        g_assert_cmpint(message_read(&message, "as", &(struct message_strings) {}), ==, -EBADMSG);
        message.body = (const uint8_t *) "\4\0\0\0\377\0\0\0";
        struct message_strings strings;
        g_assert_cmpint(message_read(&message, "as", &strings), ==, 0);
        g_assert_null(message_strings_next(&strings));
}

static void test_errors(void) {
        struct message call = { .type = MESSAGE_METHOD_CALL, .serial = 0x1234 }, error;
        g_autofree guint8 *data = NULL;
        g_autoptr(GDBusMessage) glib = NULL;
        g_autoptr(GError) gerror = NULL;
        uint8_t *body;
        size_t n;

        g_assert_cmpint(message_make_error(&call, "org.freedesktop.DBus.Error.AccessDenied", "no", &error, &body), ==, 0);
        error.serial = 9;
        error.destination = ":1.5";
        g_assert_cmpint(message_write(&error, &data, &n), ==, 0);
        free(body);
        glib = g_dbus_message_new_from_blob(data, n, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
        g_assert_nonnull(glib);
        g_assert_cmpuint(g_dbus_message_get_reply_serial(glib), ==, 0x1234);
        g_assert_true(g_dbus_message_to_gerror(glib, &gerror));
        g_assert_error(gerror, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/body/mistakes-are-refused-by-name", test_mistakes);
        g_test_add_func("/body/every-prefix-is-refused", test_prefixes);
        g_test_add_func("/body/64-containers-and-one-more", test_depth);
        g_test_add_func("/body/variants-beside-each-other", test_variants_beside_each_other);
        g_test_add_func("/body/time-is-linear", test_time_is_linear);
        g_test_add_func("/body/arguments-for-match-rules", test_args);
        g_test_add_func("/body/arguments-with-bounded-effort", test_args_effort);
        g_test_add_func("/body/made-and-read", test_made_and_read);
        g_test_add_func("/body/reading-what-is-not-there", test_reading_what_is_not_there);
        g_test_add_func("/body/errors", test_errors);
        return g_test_run();
}
