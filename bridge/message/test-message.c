/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Headers: read as GLib writes them, written as GLib reads them, and what is refused. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "body.h"
#include "message.h"
#include "test-vectors.h"
#include "value.h"

/* Calls a test for all messages in both byte orders. */
static void for_each_vector(void (*check)(unsigned i, const guint8 *blob, gsize n, const struct message *message)) {
        for (unsigned i = 0; i < 2 * TEST_VECTORS; i++) {
                gsize n;
                g_autofree guint8 *blob = test_vector_blob(i / 2, i % 2, &n);
                struct message message;

                g_assert_cmpint(message_parse(blob, n, &message), ==, 0);
                g_assert_true(message.big_endian == i % 2);
                check(i / 2, blob, n, &message);
        }
}

static void check_against_glib(unsigned i, const guint8 *blob, gsize n, const struct message *message) {
        g_autoptr(GDBusMessage) glib = g_dbus_message_new_from_blob((guchar *) blob, n, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
        size_t length;

        g_assert_nonnull(glib);
        g_assert_cmpint(message_length(blob, MESSAGE_FIXED_SIZE, &length), ==, 0);
        g_assert_cmpuint(length, ==, n);
        g_assert_cmpint(message->type, ==, g_dbus_message_get_message_type(glib));
        g_assert_cmpint(message->flags, ==, g_dbus_message_get_flags(glib));
        g_assert_cmpuint(message->serial, ==, g_dbus_message_get_serial(glib));
        g_assert_cmpuint(message->reply_serial, ==, g_dbus_message_get_reply_serial(glib));
        g_assert_cmpstr(message->path, ==, g_dbus_message_get_path(glib));
        g_assert_cmpstr(message->interface, ==, g_dbus_message_get_interface(glib));
        g_assert_cmpstr(message->member, ==, g_dbus_message_get_member(glib));
        g_assert_cmpstr(message->error_name, ==, g_dbus_message_get_error_name(glib));
        g_assert_cmpstr(message->destination, ==, g_dbus_message_get_destination(glib));
        g_assert_cmpstr(message->sender, ==, g_dbus_message_get_sender(glib));
        g_assert_cmpstr(message->signature ?: "", ==, g_dbus_message_get_signature(glib));
        g_assert_cmpuint(message->n_fds, ==, 0);
        g_assert_true((message->unknown != NULL) == (i == 5));
        if (message->body)
                g_assert_true(message->body + message->n_body == blob + n && (message->body - blob) % 8 == 0);
        g_assert_cmpint(message_check_body(message), ==, 0);
}

static void test_glib(void) {
        for_each_vector(check_against_glib);
}

static void check_prefixes(unsigned i, const guint8 *blob, gsize n, const struct message *message) {
        for (gsize cut = 0; cut < n; cut++) {
                g_autofree guint8 *copy = g_memdup2(blob, cut);         /* so that ASan sees who reads beyond */
                struct message untouched = { .serial = 12345 };

                g_assert_cmpint(message_parse(copy, cut, &untouched), ==, MESSAGE_TRUNCATED);
                g_assert_cmpuint(untouched.serial, ==, 12345);
        }
}

static void test_prefixes(void) {
        for_each_vector(check_prefixes);
}

static void store_u32(guint8 *p, bool big_endian, guint32 value) {
        guint32 wire = load_u32(&value, big_endian);

        memcpy(p, &wire, sizeof wire);
}

/* The header ends sooner than its fields, and its length says so. */
static void check_cut_fields(unsigned i, const guint8 *blob, gsize n, const struct message *message) {
        guint32 n_fields = load_u32(blob + 12, message->big_endian);

        for (guint32 cut = 0; cut < n_fields; cut++) {
                gsize n_copy = (16 + cut + 7) & ~7u;
                g_autofree guint8 *copy = g_memdup2(blob, n_copy);
                struct message other;
                int r;

                memset(copy + 16 + cut, 0, n_copy - 16 - cut);
                store_u32(copy + 4, message->big_endian, 0);
                store_u32(copy + 12, message->big_endian, cut);
                r = message_parse(copy, n_copy, &other);
                g_assert_true(r > 0 || other.n_body == 0);
                if (r == 0)     /* the cut was between fields, and those that must be there come first */
                        g_assert_true(!other.signature && other.type == message->type);
        }
}

static void test_cut_fields(void) {
        for_each_vector(check_cut_fields);
}

/* A call, small enough to say where each byte is; and one mistake. */
static const guint8 model[] = {
        'l', 1, 0, 1, 8, 0, 0, 0, 7, 0, 0, 0, 0x37, 0, 0, 0,            /* 0 */
        1, 1, 'o', 0, 4, 0, 0, 0, '/', 'a', '/', 'b', 0, 0, 0, 0,       /* 16 */
        3, 1, 's', 0, 4, 0, 0, 0, 'P', 'i', 'n', 'g', 0, 0, 0, 0,       /* 32 */
        6, 1, 's', 0, 3, 0, 0, 0, 'a', '.', 'b', 0, 0, 0, 0, 0,         /* 48 */
        8, 1, 'g', 0, 1, 't', 0, 0,                                     /* 64 */
        0, 0, 0, 0, 0, 0, 0, 0,                                         /* 72: the body */
};

static const struct {
        const char *what;
        unsigned at;
        const char *bytes;
        unsigned n;
        int fault;
} mistakes[] = {
        { "endian", 0, "L", 1, MESSAGE_BAD_ENDIAN },
        { "version 0", 3, "\0", 1, MESSAGE_BAD_VERSION },
        { "version 2", 3, "\2", 1, MESSAGE_BAD_VERSION },
        { "type 0", 1, "\0", 1, MESSAGE_BAD_TYPE },
        { "serial 0", 8, "\0", 1, MESSAGE_BAD_SERIAL },
        { "body one shorter", 4, "\7", 1, MESSAGE_TRAILING },
        { "body one longer", 4, "\11", 1, MESSAGE_TRUNCATED },
        { "body of 2^27 bytes", 4, "\0\0\0\10", 4, MESSAGE_TOO_LARGE },
        { "body of 2^32-1 bytes", 4, "\377\377\377\377", 4, MESSAGE_TOO_LARGE },
        { "fields of 2^17+1 bytes", 12, "\1\0\2\0", 4, MESSAGE_FIELDS_TOO_LARGE },
        { "fields of 2^32-1 bytes", 12, "\377\377\377\377", 4, MESSAGE_FIELDS_TOO_LARGE },
        { "field 0", 16, "\0", 1, MESSAGE_BAD_FIELD },
        { "path twice", 48, "\1\1o\0\2\0\0\0/a\0\0", 12, MESSAGE_DUPLICATE_FIELD },
        { "path of type s", 18, "s", 1, MESSAGE_BAD_FIELD_TYPE },
        { "path of type ay", 16, "\1\2ay\0\0\0\0\3\0\0\0abc", 16, MESSAGE_BAD_FIELD_TYPE },
        { "field of two types", 16, "\310\2uu\0\0\0\0\3\0\0\0\3\0\0", 16, MESSAGE_BAD_SIGNATURE },
        { "field without a type", 16, "\310\0\0", 3, MESSAGE_BAD_SIGNATURE },
        { "field of no type", 18, "z", 1, MESSAGE_BAD_SIGNATURE },
        { "field's type without NUL", 19, "\1", 1, MESSAGE_BAD_STRING },
        { "member of type o", 34, "o", 1, MESSAGE_BAD_FIELD_TYPE },
        { "no path", 16, "\310\1o", 3, MESSAGE_MISSING_FIELD },
        { "no member", 32, "\310", 1, MESSAGE_MISSING_FIELD },
        { "path a", 24, "a", 1, MESSAGE_BAD_PATH },
        { "path with //", 25, "/", 1, MESSAGE_BAD_PATH },
        { "path with / at its end", 27, "/", 1, MESSAGE_BAD_PATH },
        { "path with -", 27, "-", 1, MESSAGE_BAD_PATH },
        { "path with NUL", 27, "\0", 1, MESSAGE_BAD_PATH },
        { "path without NUL", 28, "c", 1, MESSAGE_BAD_STRING },
        { "path longer than the fields", 20, "\377", 1, MESSAGE_TRUNCATED },
        { "path of 2^32-1 bytes", 20, "\377\377\377\377", 4, MESSAGE_TRUNCATED },
        { "padding between fields", 29, "\1", 1, MESSAGE_BAD_PADDING },
        { "padding after the fields", 71, "\1", 1, MESSAGE_BAD_PADDING },
        { "member with a digit first", 40, "1", 1, MESSAGE_BAD_MEMBER },
        { "member with a dot", 41, ".", 1, MESSAGE_BAD_MEMBER },
        { "empty member", 36, "\0\0\0\0\0\0\0\0\0\0\0\0", 12, MESSAGE_BAD_MEMBER },
        { "destination without a dot", 57, "_", 1, MESSAGE_BAD_DESTINATION },
        { "destination with a dot at its end", 57, "b.", 2, MESSAGE_BAD_DESTINATION },
        { "unique destination without a dot", 56, ":12", 3, MESSAGE_BAD_DESTINATION },
        { "sender", 48, "\7\1s\0\3\0\0\0a-b", 11, MESSAGE_BAD_SENDER },
        { "interface with -", 48, "\2\1s\0\3\0\0\0-.b", 11, MESSAGE_BAD_INTERFACE },
        { "interface of one element", 48, "\2\1s\0\3\0\0\0abc", 11, MESSAGE_BAD_INTERFACE },
        { "container of type s", 48, "\12\1s\0\3\0\0\0a.b", 11, MESSAGE_BAD_FIELD_TYPE },
        { "container", 48, "\12\1o\0\3\0\0\0a.b", 11, MESSAGE_BAD_CONTAINER },
        { "error's name", 48, "\4\1s\0\3\0\0\0..b", 11, MESSAGE_BAD_ERROR_NAME },
        { "reply to 0", 48, "\5\1u\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, MESSAGE_BAD_REPLY_SERIAL },
        { "signature: no types", 69, "!", 1, MESSAGE_BAD_SIGNATURE },
        { "signature without NUL", 70, "x", 1, MESSAGE_BAD_STRING },
        { "no signature", 64, "\310", 1, MESSAGE_BODY_MISMATCH },
};

static void test_mistakes(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(mistakes); i++) {
                guint8 copy[sizeof model];
                struct message message;

                memcpy(copy, model, sizeof model);
                g_assert_cmpint(message_parse(copy, sizeof copy, &message), ==, 0);
                memcpy(copy + mistakes[i].at, mistakes[i].bytes, mistakes[i].n);
                g_test_message("%s", mistakes[i].what);
                g_assert_cmpstr(message_fault_name(message_parse(copy, sizeof copy, &message)), ==, message_fault_name(mistakes[i].fault));
        }
}

static struct message plain_call(void) {
        return (struct message) { .type = MESSAGE_METHOD_CALL, .serial = 1, .path = "/a", .interface = "a.b", .member = "C" };
}

/* Writes a view; what it says is not checked, so mistakes can be made with it. */
static int parse_written(const struct message *message) {
        g_autofree guint8 *data = NULL;
        struct message read;
        size_t n;

        g_assert_cmpint(message_write(message, &data, &n), ==, 0);
        return message_parse(data, n, &read);
}

static void test_required_fields(void) {
        struct message message = plain_call();

        message.interface = NULL;
        g_assert_cmpint(parse_written(&message), ==, 0);
        message.type = MESSAGE_SIGNAL;
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_MISSING_FIELD);
        message.interface = "a.b";
        g_assert_cmpint(parse_written(&message), ==, 0);
        message.type = MESSAGE_METHOD_RETURN;
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_MISSING_FIELD);
        message.reply_serial = 5;
        g_assert_cmpint(parse_written(&message), ==, 0);
        message.type = MESSAGE_ERROR;
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_MISSING_FIELD);
        message.error_name = "a.b";
        g_assert_cmpint(parse_written(&message), ==, 0);
        message.reply_serial = 0;
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_MISSING_FIELD);
        message = (struct message) { .type = 77, .flags = 0xf8, .serial = 1 };          /* what the future brings needs nothing */
        g_assert_cmpint(parse_written(&message), ==, 0);
}

/* As systemd's stdio-bridge once forwarded it. */
static void test_local_only(void) {
        struct message message = plain_call();

        message.type = MESSAGE_SIGNAL;
        message.interface = "org.freedesktop.DBus.Local";
        message.member = "Disconnected";
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_LOCAL);
        message.interface = "a.b";
        message.path = "/org/freedesktop/DBus/Local";
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_LOCAL);
        message.path = "/org/freedesktop/DBus/Locality";        /* libdbus refuses it, too */
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_LOCAL);
        message.path = "/org/freedesktop/DBus/Loca";
        g_assert_cmpint(parse_written(&message), ==, 0);
}

static void test_bodies_and_signatures_go_together(void) {
        struct message message = plain_call();

        message.body = (const uint8_t *) "12345678";
        message.n_body = 8;
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_BODY_MISMATCH);
        message.signature = "t";
        g_assert_cmpint(parse_written(&message), ==, 0);
        message.n_body = 0;
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_BODY_MISMATCH);
}

static void test_name_lengths(void) {
        g_autofree char *long_name = g_strdup_printf("a.%0253d", 0), *longer_name = g_strdup_printf("a.%0254d", 0);
        g_autofree char *member = g_strnfill(255, 'm'), *longer_member = g_strnfill(256, 'm');
        g_autofree char *path = g_strnfill(65536, 'p');
        struct message message = plain_call();

        long_name[2] = longer_name[2] = '_';
        path[0] = '/';
        message.path = path;
        message.member = member;
        message.interface = message.destination = message.sender = message.error_name = long_name;
        g_assert_cmpint(parse_written(&message), ==, 0);
        message.member = longer_member;
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_BAD_MEMBER);
        message.member = member;
        message.interface = longer_name;
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_BAD_INTERFACE);
        message.interface = long_name;
        message.destination = longer_name;
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_BAD_DESTINATION);
        message.destination = long_name;
        message.sender = longer_name;
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_BAD_SENDER);
        message.sender = long_name;
        message.error_name = longer_name;
        g_assert_cmpint(parse_written(&message), ==, MESSAGE_BAD_ERROR_NAME);
}

/* At both sides of each limit. */
static void test_sizes(void) {
        struct message message = plain_call();
        g_autofree guint8 *header = g_malloc(MESSAGE_HEADER_MAX + 8);
        g_autofree char *path = NULL;
        size_t n, length, n_header;

        message.signature = "ay";
        n_header = message_header_size(&message);
        message.n_body = MESSAGE_SIZE_MAX - n_header;
        g_assert_cmpint(message_write_header(&message, header, MESSAGE_HEADER_MAX, &n), ==, 0);
        g_assert_cmpuint(n, ==, n_header);
        g_assert_cmpint(message_length(header, n, &length), ==, 0);
        g_assert_cmpuint(length, ==, MESSAGE_SIZE_MAX);
        message.n_body++;
        g_assert_cmpint(message_write_header(&message, header, MESSAGE_HEADER_MAX, &n), ==, -EMSGSIZE);
        message.n_body = 0;
        g_assert_cmpint(message_write_header(&message, header, n_header - 1, &n), ==, -EMSGSIZE);

        message = (struct message) { .type = MESSAGE_METHOD_CALL, .serial = 1, .member = "C" };
        path = g_strnfill(MESSAGE_FIELDS_MAX - 8 - 1 - 16, 'p');        /* its field's beginning, its NUL, the member; no padding */
        path[0] = '/';
        message.path = path;
        g_assert_cmpuint(message_header_size(&message), ==, MESSAGE_HEADER_MAX);
        g_assert_cmpint(message_write_header(&message, header, MESSAGE_HEADER_MAX, &n), ==, 0);
        g_assert_cmpint(message_parse(header, n, &(struct message) {}), ==, 0);
        message.path = g_strconcat(path, "p", NULL);
        g_assert_cmpint(message_write_header(&message, header, MESSAGE_HEADER_MAX + 8, &n), ==, -EMSGSIZE);
        g_free((char *) message.path);
}

static void assert_same_header(const struct message *a, const struct message *b) {
        g_assert_true(a->big_endian == b->big_endian && a->type == b->type && a->flags == b->flags);
        g_assert_cmpuint(a->serial, ==, b->serial);
        g_assert_cmpuint(a->reply_serial, ==, b->reply_serial);
        g_assert_cmpstr(a->path, ==, b->path);
        g_assert_cmpstr(a->interface, ==, b->interface);
        g_assert_cmpstr(a->member, ==, b->member);
        g_assert_cmpstr(a->error_name, ==, b->error_name);
        g_assert_cmpstr(a->destination, ==, b->destination);
        g_assert_cmpstr(a->sender, ==, b->sender);
        g_assert_cmpstr(a->signature, ==, b->signature);
        g_assert_cmpuint(a->n_fds, ==, b->n_fds);
        g_assert_cmpmem(a->body, a->n_body, b->body, b->n_body);
}

/* What the bridge does with every message, and what GLib makes of it. */
static void check_rewriting(unsigned i, const guint8 *blob, gsize n, const struct message *message) {
        g_autoptr(GDBusMessage) before = g_dbus_message_new_from_blob((guchar *) blob, n, G_DBUS_CAPABILITY_FLAGS_NONE, NULL), after = NULL;
        g_autofree guint8 *data = NULL;
        struct message edited = *message, read;
        size_t n_data;

        edited.serial = 0x11223344;
        edited.reply_serial = message->reply_serial ? 0x55667788 : 0;
        edited.destination = ":1.1234567";
        edited.sender = NULL;
        g_assert_cmpint(message_write(&edited, &data, &n_data), ==, 0);
        g_assert_cmpint(message_parse(data, n_data, &read), ==, 0);
        assert_same_header(&edited, &read);
        g_assert_cmpint(message_check_body(&read), ==, 0);

        after = g_dbus_message_new_from_blob(data, n_data, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
        g_assert_nonnull(after);
        g_assert_cmpuint(g_dbus_message_get_serial(after), ==, 0x11223344);
        g_assert_cmpstr(g_dbus_message_get_destination(after), ==, ":1.1234567");
        g_assert_null(g_dbus_message_get_sender(after));
        if (g_dbus_message_get_body(before))
                g_assert_true(g_variant_equal(g_dbus_message_get_body(before), g_dbus_message_get_body(after)));
        if (i == 5)
                g_assert_true(g_variant_equal(g_dbus_message_get_header(before, 200), g_dbus_message_get_header(after, 200)));
        else
                g_assert_null(read.unknown);
}

static void test_rewriting(void) {
        for_each_vector(check_rewriting);
}

/* Fields of any length and alignment before the unknown one. */
static void test_unknown_fields_move(void) {
        gsize n;
        g_autofree guint8 *blob = test_vector_blob(5, FALSE, &n);
        struct message message;

        g_assert_cmpint(message_parse(blob, n, &message), ==, 0);
        for (unsigned i = 1; i < 40; i++) {
                g_autofree char *member = g_strnfill(i, 'm');
                g_autofree guint8 *data = NULL;
                g_autoptr(GDBusMessage) glib = NULL;
                g_autofree char *printed = NULL;
                struct message edited = message, read;
                size_t n_data;

                edited.member = member;
                edited.n_fds = i % 3;
                g_assert_cmpint(message_write(&edited, &data, &n_data), ==, 0);
                g_assert_cmpint(message_parse(data, n_data, &read), ==, 0);
                assert_same_header(&edited, &read);
                glib = g_dbus_message_new_from_blob(data, n_data, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
                g_assert_nonnull(glib);
                printed = g_variant_print(g_dbus_message_get_header(glib, 200), TRUE);
                g_assert_cmpstr(printed, ==, "[{'k': <uint64 1>}]");
        }
}

static void test_expecting_replies(void) {
        struct message message = plain_call();

        g_assert_true(message_expects_reply(&message));
        message.flags = MESSAGE_NO_REPLY_EXPECTED;
        g_assert_false(message_expects_reply(&message));
        message = (struct message) { .type = MESSAGE_SIGNAL };
        g_assert_false(message_expects_reply(&message));
}

static void test_names_of_things(void) {
        for (int fault = 1; fault < _MESSAGE_FAULT_MAX; fault++)
                for (int other = 1; other < fault; other++)
                        g_assert_cmpstr(message_fault_name(fault), !=, message_fault_name(other));
        g_assert_cmpstr(message_fault_name(0), ==, "no-fault");
        g_assert_cmpstr(message_type_name(MESSAGE_SIGNAL), ==, "signal");
        g_assert_cmpstr(message_type_name(0), ==, "unknown");
        g_assert_cmpstr(message_type_name(5), ==, "unknown");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/message/read-as-glib-writes-in-both-byte-orders", test_glib);
        g_test_add_func("/message/every-prefix-is-truncated", test_prefixes);
        g_test_add_func("/message/fields-cut-anywhere", test_cut_fields);
        g_test_add_func("/message/mistakes-are-refused-by-name", test_mistakes);
        g_test_add_func("/message/required-fields-by-type", test_required_fields);
        g_test_add_func("/message/local-only-is-refused", test_local_only);
        g_test_add_func("/message/no-body-without-signature", test_bodies_and_signatures_go_together);
        g_test_add_func("/message/names-of-255-bytes-and-one-more", test_name_lengths);
        g_test_add_func("/message/sizes-at-the-limit-and-one-more", test_sizes);
        g_test_add_func("/message/rewritten-header-same-body", test_rewriting);
        g_test_add_func("/message/unknown-fields-stay-when-others-grow", test_unknown_fields_move);
        g_test_add_func("/message/who-expects-a-reply", test_expecting_replies);
        g_test_add_func("/message/faults-have-names", test_names_of_things);
        return g_test_run();
}
