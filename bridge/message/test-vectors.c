/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-vectors.h"

static GVariant *everything(void) {
        return g_variant_new_parsed(
                "(byte 1, true, int16 -2, uint16 3, int32 -4, uint32 5, int64 -6, uint64 7, 8.5, 'Zürich €\U0001f600', "
                "objectpath '/a/b_1', signature 'a{sv}', [byte 1, 2, 3], @ai [], @a(st) [], [('a', uint64 1), ('', 2)], "
                "{'x': <int32 1>, 'y': <[<'deep'>, <(true, byte 9)>]>}, @aas [[], ['a'], ['b', 'cc']], "
                "[true, false], [1.5, 2.5], @ao [], <@a{sv} {}>)");
}

static void dress(GDBusMessage *message, unsigned i) {
        switch (i) {
        case 1:
                g_dbus_message_set_sender(message, ":1.42");
                g_dbus_message_set_body(message, everything());
                break;
        case 2:
                g_dbus_message_set_flags(message, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
                g_dbus_message_set_destination(message, ":1.7");
                break;
        case 3:
                g_dbus_message_set_destination(message, "org.example.Somebody");
                g_dbus_message_set_body(message, g_variant_new("(s)", "what went wrong"));
                break;
        case 4:
                g_dbus_message_set_body(message, g_variant_new("(sss)", "org.xen.xcp.storage", "", ":1.5"));
                break;
        case 5:         /* a field that nobody knows, between those that are known */
                g_dbus_message_set_header(message, 200, g_variant_new_parsed("[{'k': <uint64 1>}]"));
                g_dbus_message_set_body(message, g_variant_new_parsed("('last',)"));
                break;
        }
}

GDBusMessage *test_vector(unsigned i, gboolean big_endian) {
        GDBusMessage *message;

        switch (i) {
        case 2:
                message = g_dbus_message_new();
                g_dbus_message_set_message_type(message, G_DBUS_MESSAGE_TYPE_METHOD_RETURN);
                g_dbus_message_set_reply_serial(message, 0x01020304);
                break;
        case 3:
                message = g_dbus_message_new();
                g_dbus_message_set_message_type(message, G_DBUS_MESSAGE_TYPE_ERROR);
                g_dbus_message_set_reply_serial(message, 99);
                g_dbus_message_set_error_name(message, "org.example.Error.Broken");
                break;
        case 4:
                message = g_dbus_message_new_signal("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged");
                break;
        default:
                message = g_dbus_message_new_method_call("org.xen.xcp.storage", "/org/xen/xcp/storage", "org.xen.xcp.storage1.Manager",
                                                         "Attach");
                break;
        }
        dress(message, i);
        g_dbus_message_set_serial(message, 7);
        g_dbus_message_set_byte_order(message, big_endian ? G_DBUS_MESSAGE_BYTE_ORDER_BIG_ENDIAN : G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN);
        return message;
}

guint8 *test_vector_blob(unsigned i, gboolean big_endian, gsize *ret_n) {
        g_autoptr(GDBusMessage) message = test_vector(i, big_endian);
        g_autoptr(GError) error = NULL;
        guint8 *blob;

        blob = g_dbus_message_to_blob(message, ret_n, G_DBUS_CAPABILITY_FLAGS_NONE, &error);
        g_assert_no_error(error);
        return blob;
}
