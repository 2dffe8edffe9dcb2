/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Prints how many objects GetManagedObjects returns and how many bytes its answer has on the bus: reply-bytes ADDRESS NAME PATH. */

#include <gio/gio.h>
#include <stdio.h>

static GDBusMessage *ask(const char *address, const char *name, const char *path, GError **error) {
        g_autoptr(GDBusConnection) bus = NULL;
        g_autoptr(GDBusMessage) call = NULL, reply = NULL;

        bus = g_dbus_connection_new_for_address_sync(
                address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, error);
        if (!bus)
                return NULL;
        call = g_dbus_message_new_method_call(name, path, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
        reply = g_dbus_connection_send_message_with_reply_sync(bus, call, G_DBUS_SEND_MESSAGE_FLAGS_NONE, 60 * 1000, NULL, NULL, error);
        if (!reply || g_dbus_message_to_gerror(reply, error))
                return NULL;
        return g_steal_pointer(&reply);
}

int main(int argc, char **argv) {
        g_autoptr(GDBusMessage) reply = NULL;
        g_autoptr(GVariant) objects = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree void *blob = NULL;
        gsize size;

        if (argc != 4) {
                fputs("Usage: reply-bytes ADDRESS NAME PATH\n", stderr);
                return 2;
        }
        reply = ask(argv[1], argv[2], argv[3], &error);
        if (reply)
                blob = g_dbus_message_to_blob(reply, &size, G_DBUS_CAPABILITY_FLAGS_NONE, &error);
        if (!blob) {
                fprintf(stderr, "reply-bytes: %s\n", error->message);
                return 1;
        }
        objects = g_variant_get_child_value(g_dbus_message_get_body(reply), 0);
        printf("%" G_GSIZE_FORMAT " objects %" G_GSIZE_FORMAT " bytes\n", g_variant_n_children(objects), size);
        return 0;
}
