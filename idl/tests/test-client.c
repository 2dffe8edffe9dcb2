/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A service made from generated code, called by GLib: by proxies that gdbus-codegen makes from the same XML, and in both byte orders. */

#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <sys/stat.h>
#include <unistd.h>

#include "peer.h"
#include "service.h"
#include "test-interfaces.h"
#include "xcp-errors.h"

#define INTERFACE "org.xen.xcp.test1.Everything"
#define CALL G_DBUS_CALL_FLAGS_NONE, 10000        /* flags, timeout in ms */

struct fixture {
        struct peer peer;
        GDBusConnection *connection;
        TestTest1Everything *proxy;
};

static void set_up(struct fixture *f, gconstpointer data) {
        g_autoptr(GSocketConnection) stream = NULL;
        g_autoptr(GSocket) socket = NULL;
        g_autoptr(GError) error = NULL;
        int fd;

        g_assert_cmpuint(XCP_ERROR, !=, 0);
        peer_start(&f->peer, &fd);
        socket = g_socket_new_from_fd(fd, &error);
        g_assert_no_error(error);
        stream = g_socket_connection_factory_create_connection(socket);
        f->connection = g_dbus_connection_new_sync(G_IO_STREAM(stream), NULL, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL,
                                                   &error);
        g_assert_no_error(error);
        f->proxy = test_test1_everything_proxy_new_sync(f->connection, G_DBUS_PROXY_FLAGS_NONE, NULL, TEST_PATH, NULL, &error);
        g_assert_no_error(error);
}

static void tear_down(struct fixture *f, gconstpointer data) {
        g_clear_object(&f->proxy);
        g_assert_true(g_dbus_connection_close_sync(f->connection, NULL, NULL));
        g_clear_object(&f->connection);
        peer_join(&f->peer);
}

/* Calls with these arguments, in this byte order. */
static GVariant *call(struct fixture *f, GDBusMessageByteOrder order, const char *member, GVariant *arguments, GError **error) {
        g_autoptr(GDBusMessage) message = NULL, reply = NULL;
        GVariant *body;

        message = g_dbus_message_new_method_call(NULL, TEST_PATH, INTERFACE, member);
        g_dbus_message_set_byte_order(message, order);
        g_dbus_message_set_body(message, arguments);
        reply = g_dbus_connection_send_message_with_reply_sync(f->connection, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, 10000, NULL, NULL,
                                                               error);
        if (!reply || g_dbus_message_to_gerror(reply, error))
                return NULL;
        body = g_dbus_message_get_body(reply);
        return body ? g_variant_ref(body) : g_variant_ref_sink(g_variant_new("()"));
}

static void check_echo(struct fixture *f, const char *member, const char *text) {
        const GDBusMessageByteOrder orders[] = { G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN, G_DBUS_MESSAGE_BYTE_ORDER_BIG_ENDIAN };
        g_autoptr(GVariant) sent = NULL;
        g_autoptr(GError) error = NULL;

        sent = g_variant_parse(NULL, text, NULL, NULL, &error);
        g_assert_no_error(error);
        for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
                g_autoptr(GVariant) received = NULL;

                received = call(f, orders[i], member, sent, &error);
                g_assert_no_error(error);
                g_assert_cmpvariant(received, sent);
        }
}

static void test_both_byte_orders(struct fixture *f, gconstpointer data) {
        check_echo(f, "EchoBasic",
                   "(byte 0xff, true, int16 -2, uint16 0x1234, int32 -3, uint32 0x12345678, int64 -4, uint64 0x123456789abcdef0, "
                   "0.1, 'ü', objectpath '/a', signature 'a{sv}')");
        check_echo(f, "EchoArrays",
                   "([byte 1, 2], [true, false], [int16 -2], [uint16 0x1234, 5], [int32 -3, 3], [uint32 0x12345678], [int64 -4, 4, 5], "
                   "[uint64 0x123456789abcdef0], [0.1, -1e9], ['a', ''], [objectpath '/a', '/b'], [signature 'as'])");
        check_echo(f, "EchoNested",
                   "([['a', 'b'], []], [[uint32 1, 2], [3]], {'k': 'v'}, {'g': ['x', 'y']}, "
                   "{objectpath '/o': {'i.f': {'P': <uint32 7>, 'Q': <[uint16 1, 2]>}}}, [('i', {'k': <(1, 2)>, 'v': <<'x'>>})], "
                   "{'n': (-5, [<true>, <byte 3>, <@ai []>])}, {'Red': uint32 1}, ('l', (-1, uint32 2), ['t'], <@a{sv} {'d': <1.5>}>))");
        check_echo(f, "EchoColors", "('Blue', ['Red', 'DarkGreen'])");
        check_echo(f, "EchoVariant", "(<{'k': [(1, <uint64 2>)]}>,)");
        check_echo(f, "EchoVariant", "(<int16 -300>,)");
}

static void test_basic(struct fixture *f, gconstpointer data) {
        g_autofree char *string = NULL, *path = NULL, *signature = NULL;
        g_autoptr(GError) error = NULL;
        gboolean boolean;
        guint16 uint16;
        guint32 uint32;
        guint64 uint64;
        gint16 int16;
        gint32 int32;
        gint64 int64;
        guchar byte;
        double real;

        test_test1_everything_call_echo_basic_sync(f->proxy, 1, TRUE, -2, 3, -4, 5, -6, 7, 8.5, "s", "/o", "g", CALL, &byte, &boolean,
                                                   &int16, &uint16, &int32, &uint32, &int64, &uint64, &real, &string, &path,
                                                   &signature, NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(byte, ==, 1);
        g_assert_true(boolean);
        g_assert_cmpint(int16, ==, -2);
        g_assert_cmpuint(uint16, ==, 3);
        g_assert_cmpint(int32, ==, -4);
        g_assert_cmpuint(uint32, ==, 5);
        g_assert_cmpint(int64, ==, -6);
        g_assert_cmpuint(uint64, ==, 7);
        g_assert_cmpfloat(real, ==, 8.5);
        g_assert_cmpstr(string, ==, "s");
        g_assert_cmpstr(path, ==, "/o");
        g_assert_cmpstr(signature, ==, "g");
}

static void test_containers(struct fixture *f, gconstpointer data) {
        g_auto(GStrv) colors = NULL;
        g_autofree char *color = NULL;
        g_autoptr(GVariant) value = NULL, options = NULL;
        g_autoptr(GError) error = NULL;
        const char *const some[] = { "Red", "Blue", NULL };

        test_test1_everything_call_echo_colors_sync(f->proxy, "DarkGreen", some, CALL, &color, &colors, NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(color, ==, "DarkGreen");
        g_assert_cmpstrv(colors, some);

        test_test1_everything_call_echo_variant_sync(f->proxy, g_variant_new_variant(g_variant_new("(si)", "x", 1)), CALL, &value, NULL,
                                                     &error);
        g_assert_no_error(error);
        g_assert_cmpstr(g_variant_get_type_string(g_variant_get_variant(value)), ==, "(si)");

        test_test1_everything_call_echo_options_sync(f->proxy, g_variant_new_parsed("{'name': <'n'>, 'smalls': <[@a{sv} {}]>}"), CALL,
                                                     &options, NULL, &error);
        g_assert_no_error(error);
        g_autoptr(GVariant) smalls = g_variant_lookup_value(options, "smalls", G_VARIANT_TYPE("aa{sv}"));
        g_autoptr(GVariant) expected = g_variant_ref_sink(g_variant_new_parsed("[{'count': <uint32 7>}]"));
        g_assert_cmpvariant(smalls, expected);
}

static void test_files(struct fixture *f, gconstpointer data) {
        g_autoptr(GUnixFDList) sent = g_unix_fd_list_new(), received = NULL;
        g_autoptr(GVariant) file = NULL, files = NULL;
        g_autoptr(GError) error = NULL;
        struct stat before, after;
        int fd;

        g_assert_cmpint(g_unix_fd_list_append(sent, 0, NULL), ==, 0);
        test_test1_everything_call_echo_files_sync(f->proxy, g_variant_new_handle(0), g_variant_new_parsed("[handle 0]"), CALL, sent, &file,
                                                   &files, &received, NULL, &error);
        g_assert_no_error(error);
        fd = g_unix_fd_list_get(received, g_variant_get_handle(file), NULL);
        g_assert_cmpint(fstat(0, &before), ==, 0);
        g_assert_cmpint(fstat(fd, &after), ==, 0);
        g_assert_cmpuint(before.st_ino, ==, after.st_ino);
        close(fd);
}

static void test_errors(struct fixture *f, gconstpointer data) {
        g_autoptr(GError) error = NULL;

        g_assert_false(test_test1_everything_call_fail_sync(f->proxy, "error", CALL, NULL, &error));
        g_assert_error(error, XCP_ERROR, XCP_ERROR_BAD_POWER_STATE);
        g_dbus_error_strip_remote_error(error);
        g_assert_cmpstr(error->message, ==, "The VM is Running, and has to be Halted for this");
        g_clear_error(&error);

        g_assert_false(test_test1_everything_call_missing_sync(f->proxy, CALL, NULL, &error));
        g_assert_error(error, XCP_ERROR, XCP_ERROR_NOT_SUPPORTED);
}

static void test_no_reply(struct fixture *f, gconstpointer data) {
        g_autoptr(GError) error = NULL;

        test_test1_everything_call_poke_sync(f->proxy, 1, CALL, NULL, &error);        /* waits for a reply all the same */
        g_assert_no_error(error);
}

struct heard {
        unsigned n_happened, n_nothing, n_changed;
};

static void on_happened(TestTest1Everything *proxy, const char *color, GVariant *items, GVariant *value, struct heard *heard) {
        g_autoptr(GVariant) expected = g_variant_ref_sink(g_variant_new_parsed("[('i', {'k': <1>})]"));

        g_assert_cmpstr(color, ==, "Red");
        g_assert_cmpvariant(items, expected);
        g_assert_cmpstr(g_variant_get_string(g_variant_get_variant(value), NULL), ==, "v");
        heard->n_happened++;
}

static void on_nothing(TestTest1Everything *proxy, struct heard *heard) {
        heard->n_nothing++;
}

static void on_changed(GObject *proxy, GParamSpec *which, struct heard *heard) {
        heard->n_changed++;
}

static void test_signals(struct fixture *f, gconstpointer data) {
        g_autoptr(GError) error = NULL;
        struct heard heard = {};

        g_signal_connect(f->proxy, "happened", G_CALLBACK(on_happened), &heard);
        g_signal_connect(f->proxy, "nothing", G_CALLBACK(on_nothing), &heard);
        test_test1_everything_call_emit_everything_sync(f->proxy, "Red", g_variant_new_parsed("[('i', {'k': <1>})]"),
                                                        g_variant_new_variant(g_variant_new_string("v")), CALL, NULL, &error);
        g_assert_no_error(error);
        while (heard.n_nothing == 0)
                g_main_context_iteration(NULL, TRUE);
        g_assert_cmpuint(heard.n_happened, ==, 1);
        g_assert_cmpuint(heard.n_nothing, ==, 1);
}

static void test_properties(struct fixture *f, gconstpointer data) {
        struct heard heard = {};

        g_assert_cmpstr(test_test1_everything_get_loud(f->proxy), ==, "hello");
        g_assert_cmpuint(test_test1_everything_get_fixed(f->proxy), ==, G_MAXUINT64);
        g_assert_cmpstr(test_test1_everything_get_silent(f->proxy), ==, "Red");
        g_assert_cmpuint(g_strv_length((char **) test_test1_everything_get_quiet(f->proxy)), ==, 2);

        g_signal_connect(f->proxy, "notify::loud", G_CALLBACK(on_changed), &heard);
        test_test1_everything_set_loud(f->proxy, "louder");
        while (g_strcmp0(test_test1_everything_get_loud(f->proxy), "louder") != 0)
                g_main_context_iteration(NULL, TRUE);
        g_assert_cmpuint(heard.n_changed, >=, 1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(name, function) g_test_add("/idl/client/" name, struct fixture, NULL, set_up, function, tear_down)
        add("both-byte-orders", test_both_byte_orders);
        add("basic-types", test_basic);
        add("containers", test_containers);
        add("descriptors", test_files);
        add("errors", test_errors);
        add("no-reply", test_no_reply);
        add("signals", test_signals);
        add("properties", test_properties);
        return g_test_run();
}
