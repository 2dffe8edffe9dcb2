/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Objects: what a client at the other end of a connection sees of them. */

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "objects.h"

#define ROOT "/org/xen/xcp/test"
#define PREFIX ROOT "/thing"
#define INTERFACE "org.xen.xcp.test1.Thing"
#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"

#define AUTO_MESSAGE __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message
#define AUTO_BUS_ERROR __attribute__((cleanup(sd_bus_error_free))) sd_bus_error

struct fixture {
        sd_bus *service, *client;
        struct objects *objects;
        GString *signals;               /* that the client saw: member and path */
};

static int get_size(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *m, void *object,
                    sd_bus_error *error) {
        return sd_bus_message_append(m, "u", GPOINTER_TO_UINT(object));
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Size", "u", get_size, 0, 0),
        SD_BUS_VTABLE_END,
};

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found, sd_bus_error *error) {
        return objects_find(path, userdata, ret_found);
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct fixture *f = userdata;
        const char *path;

        g_assert_cmpint(sd_bus_message_read(m, "o", &path), >=, 0);
        g_string_append_printf(f->signals, "%s %s\n", sd_bus_message_get_member(m), path);
        return 0;
}

static void set_up(struct fixture *f, gconstpointer data) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), ==, 0);
        sd_bus_new(&f->service);
        sd_bus_set_fd(f->service, fds[0], fds[0]);
        g_assert_cmpint(sd_bus_set_server(f->service, true, (sd_id128_t) {}), >=, 0);
        g_assert_cmpint(sd_bus_start(f->service), >=, 0);
        sd_bus_new(&f->client);
        sd_bus_set_fd(f->client, fds[1], fds[1]);
        g_assert_cmpint(sd_bus_start(f->client), >=, 0);

        g_assert_cmpint(sd_bus_add_object_manager(f->service, NULL, ROOT), >=, 0);
        g_assert_cmpint(objects_new(&f->objects, f->service, PREFIX), ==, 0);
        g_assert_cmpint(sd_bus_add_fallback_vtable(f->service, NULL, PREFIX, INTERFACE, vtable, find, f->objects), >=, 0);
        f->signals = g_string_new(NULL);
        g_assert_cmpint(sd_bus_add_match(f->client, NULL, "type='signal',interface='" OBJECT_MANAGER "'", on_signal, f), >=, 0);
        while (sd_bus_is_open(f->service) > 0 && sd_bus_is_ready(f->client) == 0) {
                sd_bus_process(f->service, NULL);
                sd_bus_process(f->client, NULL);
        }
}

static void tear_down(struct fixture *f, gconstpointer data) {
        objects_free(f->objects);
        g_string_free(f->signals, true);
        sd_bus_close_unref(f->client);
        sd_bus_close_unref(f->service);
}

/* Both sides, until neither has anything to do. */
static void settle(struct fixture *f) {
        for (int idle = 0; idle < 10;)
                idle = sd_bus_process(f->service, NULL) > 0 || sd_bus_process(f->client, NULL) > 0 ? 0 : idle + 1;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        *(sd_bus_message **) userdata = sd_bus_message_ref(m);
        return 0;
}

static sd_bus_message *call(struct fixture *f, const char *path, const char *interface, const char *member) {
        sd_bus_message *reply = NULL;

        g_assert_cmpint(sd_bus_call_method_async(f->client, NULL, NULL, path, interface, member, on_reply, &reply, NULL), >=, 0);
        settle(f);
        g_assert_nonnull(reply);
        return reply;
}

/* The paths in GetManagedObjects, each followed by a space. */
static char *managed(struct fixture *f) {
        AUTO_MESSAGE *reply = call(f, ROOT, OBJECT_MANAGER, "GetManagedObjects");
        GString *paths = g_string_new(NULL);
        const char *path;

        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}"), >, 0);
        while (sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}") > 0) {
                g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
                g_string_append_printf(paths, "%s ", path);
                g_assert_cmpint(sd_bus_message_skip(reply, "a{sa{sv}}"), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(reply), >=, 0);
        }
        return g_string_free(paths, false);
}

static void test_life(struct fixture *f, gconstpointer data) {
        g_autofree char *none = managed(f), *one = NULL, *after = NULL;
        const char *path;

        g_assert_cmpstr(none, ==, "");
        g_assert_cmpint(objects_add(f->objects, "a", GUINT_TO_POINTER(7), &path), ==, 0);
        g_assert_cmpstr(path, ==, PREFIX "/a");
        one = managed(f);
        g_assert_cmpstr(one, ==, PREFIX "/a ");
        g_assert_cmpint(objects_remove(f->objects, path), ==, 1);
        after = managed(f);
        g_assert_cmpstr(after, ==, "");
        g_assert_cmpstr(f->signals->str, ==, "InterfacesAdded " PREFIX "/a\nInterfacesRemoved " PREFIX "/a\n");
        g_assert_cmpint(objects_remove(f->objects, PREFIX "/a"), ==, 0);
}

static void test_names(struct fixture *f, gconstpointer data) {
        const char *path;

        g_assert_cmpint(objects_add(f->objects, "", NULL, &path), ==, 0);
        g_assert_cmpstr(path, ==, PREFIX "/_");
        g_assert_cmpint(objects_add(f->objects, "../b c", NULL, &path), ==, 0);
        g_assert_cmpstr(path, ==, PREFIX "/_2e_2e_2fb_20c");
        g_assert_cmpint(objects_add(f->objects, "1", NULL, &path), ==, 0);
        g_assert_cmpstr(path, ==, PREFIX "/_31");
        g_assert_cmpint(objects_add_number(f->objects, 1, NULL, &path), ==, 0);
        g_assert_cmpstr(path, ==, PREFIX "/1");
        g_assert_cmpint(objects_add_number(f->objects, 1, NULL, &path), ==, -EEXIST);
        g_assert_cmpuint(objects_count(f->objects), ==, 4);
}

static void test_paths(struct fixture *f, gconstpointer data) {
        g_autofree char *all = NULL;
        const char *path;
        void *object;

        g_assert_cmpint(objects_add_path(f->objects, PREFIX "/a/disk/b", GUINT_TO_POINTER(7), &path), ==, 0);
        g_assert_cmpstr(path, ==, PREFIX "/a/disk/b");
        g_assert_cmpint(objects_find(PREFIX "/a/disk/b", f->objects, &object), ==, 1);
        g_assert_cmpint(objects_find(PREFIX "/a/disk", f->objects, &object), ==, 0);
        g_assert_cmpint(objects_add_path(f->objects, PREFIX "/a/disk/b", NULL, &path), ==, -EEXIST);
        all = managed(f);
        g_assert_cmpstr(all, ==, PREFIX "/a/disk/b ");
        for (const char *const *p = (const char *const[]) { "/elsewhere/a", PREFIX, PREFIX "/", PREFIX "x/a", PREFIX "/a-b", NULL }; *p; p++)
                g_assert_cmpint(objects_add_path(f->objects, *p, NULL, &path), ==, -EINVAL);
}

static void test_prefixes_answer(struct fixture *f, gconstpointer data) {
        const char *path;

        g_assert_cmpint(objects_add(f->objects, "a", NULL, &path), ==, 0);
        for (const char *const *p = (const char *const[]) { "/", "/org", "/org/xen/xcp", ROOT, PREFIX, PREFIX "/a", NULL }; *p; p++) {
                AUTO_MESSAGE *reply = call(f, *p, "org.freedesktop.DBus.Introspectable", "Introspect");

                g_assert_false(sd_bus_message_is_method_error(reply, NULL));
        }
        {
                AUTO_MESSAGE *reply = call(f, PREFIX "/b", INTERFACE, "Nothing");

                g_assert_true(sd_bus_message_is_method_error(reply, "org.freedesktop.DBus.Error.UnknownObject"));
        }
}

static void test_many(struct fixture *f, gconstpointer data) {
        const unsigned n = 5000;
        const char *path;
        void *object;

        for (unsigned i = 0; i < n; i++)
                g_assert_cmpint(objects_add_number(f->objects, (i * 7919) % n, GUINT_TO_POINTER((i * 7919) % n), &path), ==, 0);
        for (unsigned i = 0; i < n; i++) {
                g_autofree char *expected = g_strdup_printf(PREFIX "/%u", i);

                g_assert_cmpint(objects_find(expected, f->objects, &object), ==, 1);
                g_assert_cmpuint(GPOINTER_TO_UINT(object), ==, i);
                if (i % 2)
                        g_assert_cmpint(objects_remove(f->objects, expected), ==, 1);
        }
        g_assert_cmpuint(objects_count(f->objects), ==, n / 2);
        g_assert_cmpint(objects_find(PREFIX "/1", f->objects, &object), ==, 0);
        g_assert_cmpint(objects_find(PREFIX, f->objects, &object), ==, 0);
}

/* Also such as differ only behind the 8 bytes that are in the key, and such as end there. */
static void test_common_beginnings(struct fixture *f, gconstpointer data) {
        const char *const ids[] = { "abcdefghb", "abcdefg", "abcdefgh", "abcdefgh1", "abcdefgha", "b", "abcdefghaa", "a" };
        const char *path;
        void *object;

        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
                g_assert_cmpint(objects_add(f->objects, ids[i], GUINT_TO_POINTER(i), &path), >=, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
                g_autofree char *encoded = NULL;

                g_assert_cmpint(sd_bus_path_encode(PREFIX, ids[i], &encoded), >=, 0);
                g_assert_cmpint(objects_find(encoded, f->objects, &object), ==, 1);
                g_assert_cmpuint(GPOINTER_TO_UINT(object), ==, i);
                g_assert_cmpint(objects_add(f->objects, ids[i], NULL, &path), ==, -EEXIST);
                g_assert_cmpint(objects_remove(f->objects, encoded), ==, 1);
                g_assert_cmpint(objects_find(encoded, f->objects, &object), ==, 0);
        }
        g_assert_cmpuint(objects_count(f->objects), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/objects/come-and-go-with-signals", struct fixture, NULL, set_up, test_life, tear_down);
        g_test_add("/objects/any-id-makes-a-path", struct fixture, NULL, set_up, test_names, tear_down);
        g_test_add("/objects/paths-of-any-depth", struct fixture, NULL, set_up, test_paths, tear_down);
        g_test_add("/objects/every-prefix-of-a-path-introspects", struct fixture, NULL, set_up, test_prefixes_answer, tear_down);
        g_test_add("/objects/thousands-are-found", struct fixture, NULL, set_up, test_many, tear_down);
        g_test_add("/objects/ids-with-common-beginnings", struct fixture, NULL, set_up, test_common_beginnings, tear_down);
        return g_test_run();
}
