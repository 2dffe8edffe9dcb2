/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A service that says what a script tells it to: for tests of what xcpctl does with answers that real services seldom give.
 *
 *         xcpctl-mock ADDRESS NAME SCRIPT XML...
 *
 * Each line of the script is, separated by tabs:
 *
 *         property PATH INTERFACE NAME VALUE
 *         reply PATH INTERFACE METHOD TUPLE
 *         error PATH INTERFACE METHOD NAME MESSAGE
 *
 * with values in GVariant's text format. The objects are the paths of the properties and replies; the root has an ObjectManager. Each call
 * is printed as a line, PATH INTERFACE METHOD ARGUMENTS. A reply (handle 0,) is a console: a socket that says login: and gives back what it
 * gets, up to a line bye. A descriptor that a method gets is read to its end, if it can be, and else disk is written to it.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>

#define CONSOLE_GREETING "login: "

struct mock {
        GPtrArray *lines;               /* of char **: the fields of a line */
        GPtrArray *nodes;               /* of GDBusNodeInfo */
        GDBusConnection *bus;
        GMainLoop *loop;
        const char *name;
};

static char **find_line(const struct mock *mock, const char *kind, const char *path, const char *interface, const char *name) {
        for (unsigned i = 0; i < mock->lines->len; i++) {
                char **line = mock->lines->pdata[i];

                if (strcmp(line[0], kind) == 0 && strcmp(line[1], path) == 0 && strcmp(line[2], interface) == 0 && strcmp(line[3], name) == 0)
                        return line;
        }
        return NULL;
}

static GVariant *value_of(const char *text, const char *type) {
        g_autoptr(GError) error = NULL;
        GVariant *value = g_variant_parse(type ? G_VARIANT_TYPE(type) : NULL, text, NULL, NULL, &error);

        if (!value)
                g_error("%s: %s", text, error->message);
        return value;
}

static gboolean on_console(int fd, GIOCondition condition, void *userdata) {
        char data[4096];
        ssize_t n = read(fd, data, sizeof data);

        if (n > 0 && write(fd, data, (size_t) n) == n && !memmem(data, (size_t) n, "bye", 3))
                return G_SOURCE_CONTINUE;
        close(fd);
        return G_SOURCE_REMOVE;
}

static GUnixFDList *new_console(void) {
        GUnixFDList *fds = g_unix_fd_list_new();
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || g_unix_fd_list_append(fds, pair[0], NULL) < 0)
                g_error("socketpair: %s", g_strerror(errno));
        close(pair[0]);
        if (write(pair[1], CONSOLE_GREETING, strlen(CONSOLE_GREETING)) < 0)
                g_error("write: %s", g_strerror(errno));
        g_unix_fd_add(pair[1], G_IO_IN | G_IO_HUP, on_console, NULL);
        return fds;
}

/* Uses a descriptor that came with a call. */
static void use_descriptor(GUnixFDList *fds) {
        int fd = g_unix_fd_list_get(fds, 0, NULL);
        char data[4096];
        size_t total = 0;
        ssize_t n;

        if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
                while ((n = read(fd, data, sizeof data)) > 0)
                        total += (size_t) n;
                printf("descriptor: read %zu bytes\n", total);
        } else if (write(fd, "disk", 4) == 4) {
                printf("descriptor: written\n");
        }
        close(fd);
}

/* Past GDBus's check that it is what the XML says: lies are what this is for. */
static void answer(GDBusConnection *bus, GDBusMethodInvocation *invocation, const char *text) {
        g_autoptr(GDBusMessage) reply = g_dbus_message_new_method_reply(g_dbus_method_invocation_get_message(invocation));
        g_autoptr(GVariant) value = value_of(text, NULL);

        g_dbus_message_set_body(reply, value);
        g_dbus_connection_send_message(bus, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
        g_object_unref(invocation);
}

static void on_call(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *method, GVariant *arguments,
                    GDBusMethodInvocation *invocation, void *userdata) {
        struct mock *mock = userdata;
        char **reply = find_line(mock, "reply", path, interface, method), **error = find_line(mock, "error", path, interface, method);
        GUnixFDList *fds = g_dbus_message_get_unix_fd_list(g_dbus_method_invocation_get_message(invocation));
        g_autofree char *text = g_variant_print(arguments, TRUE);

        printf("%s %s %s %s\n", path, interface, method, text);
        if (fds && g_unix_fd_list_get_length(fds) > 0)
                use_descriptor(fds);
        fflush(stdout);
        if (error) {
                g_dbus_method_invocation_return_dbus_error(invocation, error[4], error[5]);
        } else if (reply && strcmp(reply[4], "(handle 0,)") == 0) {
                g_autoptr(GUnixFDList) console = new_console();

                g_dbus_method_invocation_return_value_with_unix_fd_list(invocation, g_variant_new("(h)", 0), console);
        } else {
                answer(bus, invocation, reply ? reply[4] : "()");
        }
}

static GVariant *on_get(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *name, GError **error,
                        void *userdata) {
        char **line = find_line(userdata, "property", path, interface, name);

        if (line)
                return value_of(line[4], NULL);
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_PROPERTY, "no %s in the script", name);
        return NULL;
}

static gboolean on_set(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *name, GVariant *value,
                       GError **error, void *userdata) {
        g_autofree char *text = g_variant_print(value, TRUE);

        printf("%s %s %s = %s\n", path, interface, name, text);
        fflush(stdout);
        return TRUE;
}

static const GDBusInterfaceVTable vtable = { .method_call = on_call, .get_property = on_get, .set_property = on_set };

static GDBusInterfaceInfo *find_interface(const struct mock *mock, const char *name) {
        for (unsigned i = 0; i < mock->nodes->len; i++) {
                GDBusInterfaceInfo *info = g_dbus_node_info_lookup_interface(mock->nodes->pdata[i], name);

                if (info)
                        return info;
        }
        g_error("no XML has %s", name);
}

/* {interface: {property: value}} of an object. */
static GVariant *properties_of(const struct mock *mock, const char *path) {
        g_autoptr(GHashTable) dicts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_variant_dict_unref);
        GVariantBuilder builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{sa{sv}}"));
        GHashTableIter iter;
        void *interface, *dict;

        for (unsigned i = 0; i < mock->lines->len; i++) {
                char **line = mock->lines->pdata[i];

                if (strcmp(line[1], path) != 0 || strcmp(line[0], "property") != 0)
                        continue;
                dict = g_hash_table_lookup(dicts, line[2]);
                if (!dict) {
                        dict = g_variant_dict_new(NULL);
                        g_hash_table_insert(dicts, line[2], dict);
                }
                g_variant_dict_insert_value(dict, line[3], value_of(line[4], NULL));
        }
        g_hash_table_iter_init(&iter, dicts);
        while (g_hash_table_iter_next(&iter, &interface, &dict))
                g_variant_builder_add(&builder, "{s@a{sv}}", interface, g_variant_dict_end(dict));
        return g_variant_builder_end(&builder);
}

static GPtrArray *paths_of(const struct mock *mock) {
        GPtrArray *paths = g_ptr_array_new();

        for (unsigned i = 0; i < mock->lines->len; i++) {
                char **line = mock->lines->pdata[i];

                if (!g_ptr_array_find_with_equal_func(paths, line[1], g_str_equal, NULL))
                        g_ptr_array_add(paths, line[1]);
        }
        return paths;
}

static void on_managed(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *method,
                       GVariant *arguments, GDBusMethodInvocation *invocation, void *userdata) {
        struct mock *mock = userdata;
        g_autoptr(GPtrArray) paths = paths_of(mock);
        GVariantBuilder builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{oa{sa{sv}}}"));

        for (unsigned i = 0; i < paths->len; i++)
                g_variant_builder_add(&builder, "{o@a{sa{sv}}}", paths->pdata[i], properties_of(mock, paths->pdata[i]));
        g_dbus_method_invocation_return_value(invocation, g_variant_new("(@a{oa{sa{sv}}})", g_variant_builder_end(&builder)));
}

static const GDBusInterfaceVTable managed_vtable = { .method_call = on_managed };

static void export_all(struct mock *mock) {
        g_autoptr(GHashTable) exported = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GDBusNodeInfo) manager = g_dbus_node_info_new_for_xml(
                "<node><interface name='org.freedesktop.DBus.ObjectManager'><method name='GetManagedObjects'>"
                "<arg type='a{oa{sa{sv}}}' direction='out'/></method></interface></node>", NULL);
        g_autofree char *root = g_strdelimit(g_strconcat("/", mock->name, NULL), ".", '/');
        g_autoptr(GError) error = NULL;

        g_dbus_connection_register_object(mock->bus, root, manager->interfaces[0], &managed_vtable, mock, NULL, &error);
        for (unsigned i = 0; i < mock->lines->len && !error; i++) {
                char **line = mock->lines->pdata[i];
                g_autofree char *key = g_strconcat(line[1], " ", line[2], NULL);

                if (g_hash_table_add(exported, g_steal_pointer(&key)))
                        g_dbus_connection_register_object(mock->bus, line[1], find_interface(mock, line[2]), &vtable, mock, NULL, &error);
        }
        if (error)
                g_error("%s", error->message);
}

static void read_script(struct mock *mock, const char *path) {
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;
        g_autoptr(GError) error = NULL;

        if (!g_file_get_contents(path, &text, NULL, &error))
                g_error("%s", error->message);
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
                char **fields = g_strsplit(*line, "\t", 6);

                if (g_strv_length(fields) >= 5)
                        g_ptr_array_add(mock->lines, fields);
                else
                        g_strfreev(fields);
        }
}

static void on_name(GDBusConnection *bus, const char *name, void *userdata) {
        printf("ready\n");
        fflush(stdout);
}

static void on_closed(GDBusConnection *bus, gboolean by_peer, GError *error, void *userdata) {
        g_main_loop_quit(userdata);
}

static gboolean on_end(void *userdata) {
        g_main_loop_quit(userdata);
        return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv) {
        struct mock mock = {
                .lines = g_ptr_array_new_with_free_func((GDestroyNotify) g_strfreev),
                .nodes = g_ptr_array_new_with_free_func((GDestroyNotify) g_dbus_node_info_unref),
                .loop = g_main_loop_new(NULL, FALSE),
        };
        g_autoptr(GError) error = NULL;

        if (argc < 5) {
                fprintf(stderr, "Usage: xcpctl-mock ADDRESS NAME SCRIPT XML...\n");
                return 2;
        }
        mock.name = argv[2];
        read_script(&mock, argv[3]);
        for (int i = 4; i < argc; i++) {
                g_autofree char *xml = NULL;

                if (!g_file_get_contents(argv[i], &xml, NULL, &error))
                        g_error("%s", error->message);
                g_ptr_array_add(mock.nodes, g_dbus_node_info_new_for_xml(xml, &error));
                if (error)
                        g_error("%s: %s", argv[i], error->message);
        }
        mock.bus = g_dbus_connection_new_for_address_sync(
                argv[1], G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, &error);
        if (!mock.bus)
                g_error("%s", error->message);
        export_all(&mock);
        g_signal_connect(mock.bus, "closed", G_CALLBACK(on_closed), mock.loop);
        g_unix_signal_add(SIGTERM, on_end, mock.loop);
        g_bus_own_name_on_connection(mock.bus, mock.name, G_BUS_NAME_OWNER_FLAGS_NONE, on_name, NULL, NULL, NULL);
        g_main_loop_run(mock.loop);
        return 0;
}
