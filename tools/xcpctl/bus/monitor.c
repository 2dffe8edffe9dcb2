/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "monitor.h"

#include <signal.h>
#include <string.h>

#include <glib-unix.h>

#include "objects.h"
#include "signal-text.h"

#define BUS "org.freedesktop.DBus"

struct monitor {
        struct context *context;
        char *path;                     /* only of this object and those below; NULL for all */
        GHashTable *names;              /* unique name → the service that it owns */
        GMainLoop *loop;
        GError *error;
};

static bool is_below(const char *path, const char *root) {
        size_t n = strlen(root);

        return strncmp(path, root, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* What a signal is about: with those of an ObjectManager, not the object that sends it. */
static const char *subject_of(const struct signal_event *event) {
        const char *path = event->path;

        if (g_str_has_prefix(event->name, "Interfaces") && g_str_has_prefix(g_variant_get_type_string(event->arguments), "(o"))
                g_variant_get_child(event->arguments, 0, "&o", &path);
        return path;
}

static bool print_event(struct monitor *monitor, const struct signal_event *event) {
        g_autoptr(GDateTime) now = g_date_time_new_now_local();
        g_autofree char *time = NULL, *text = NULL, *line = NULL;

        if (monitor->context->json) {
                struct json_object *json = signal_json(event);

                json_object_object_add(json, "time_us", json_object_new_int64(g_get_real_time()));
                return context_print_json(monitor->context, json, true, &monitor->error);
        }
        time = g_date_time_format(now, "%H:%M:%S");
        text = signal_text(event);
        line = g_strdup_printf("%s.%03d  %s  %s  %s", time, g_date_time_get_microsecond(now) / 1000, client_short_name(event->service),
                               client_short_path(event->path), text);
        return context_print_line(monitor->context, line, &monitor->error);
}

static void take(struct monitor *monitor, const struct signal_event *event) {
        if (monitor->path && !is_below(subject_of(event), monitor->path))
                return;
        if (!print_event(monitor, event))
                g_main_loop_quit(monitor->loop);
}

static void on_signal(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *name, GVariant *arguments,
                      void *userdata) {
        struct monitor *monitor = userdata;
        const char *service = sender ? g_hash_table_lookup(monitor->names, sender) : NULL;

        if (service)
                take(monitor, &(struct signal_event) { service, path, interface, name, arguments });
}

/* A service comes or goes: that is an event too. */
static void on_owner(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *name, GVariant *arguments,
                     void *userdata) {
        struct monitor *monitor = userdata;
        const char *service, *old, *new;
        g_autofree char *root = NULL;

        if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(sss)")))
                return;
        g_variant_get(arguments, "(&s&s&s)", &service, &old, &new);
        if (!g_str_has_prefix(service, CLIENT_PREFIX))
                return;
        if (*old)
                g_hash_table_remove(monitor->names, old);
        if (*new)
                g_hash_table_insert(monitor->names, g_strdup(new), g_strdup(service));
        root = client_root(service);
        take(monitor, &(struct signal_event) { service, root, interface, name, arguments });
}

static void on_closed(GDBusConnection *bus, gboolean by_peer, GError *error, void *userdata) {
        struct monitor *monitor = userdata;

        context_fail(&monitor->error, CONTEXT_ERROR_FAILED, "the bus has gone");
        g_main_loop_quit(monitor->loop);
}

static gboolean on_end(void *userdata) {
        g_main_loop_quit(userdata);
        return G_SOURCE_CONTINUE;
}

/* Learns which services there are. After the subscription, so that none is missed. */
static bool learn_names(struct monitor *monitor, GError **error) {
        g_auto(GStrv) services = client_services(monitor->context, false, error);

        for (char **service = services; service && *service; service++) {
                g_autoptr(GVariant) owner = client_call_briefly(monitor->context, BUS, "/org/freedesktop/DBus", BUS, "GetNameOwner",
                                                                g_variant_new("(s)", *service));
                char *name;

                if (!owner)
                        continue;
                g_variant_get(owner, "(s)", &name);
                g_hash_table_insert(monitor->names, name, g_strdup(*service));
        }
        return services != NULL;
}

static bool run(struct monitor *monitor, GError **error) {
        GDBusConnection *bus = context_bus(monitor->context, error);
        unsigned signals[2], sources[2];
        unsigned long closed;

        if (!bus)
                return false;
        signals[0] = g_dbus_connection_signal_subscribe(bus, NULL, NULL, NULL, NULL, NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_signal, monitor, NULL);
        signals[1] = g_dbus_connection_signal_subscribe(bus, BUS, BUS, "NameOwnerChanged", NULL, NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_owner, monitor,
                                                        NULL);
        closed = g_signal_connect(bus, "closed", G_CALLBACK(on_closed), monitor);
        sources[0] = g_unix_signal_add(SIGINT, on_end, monitor->loop);
        sources[1] = g_unix_signal_add(SIGTERM, on_end, monitor->loop);
        if (learn_names(monitor, error)) {
                if (monitor->context->progress || !monitor->context->json)
                        g_printerr("Watching %s; ^C ends.\n", monitor->path ? monitor->path : "all services");
                g_main_loop_run(monitor->loop);
        }
        g_dbus_connection_signal_unsubscribe(bus, signals[0]);
        g_dbus_connection_signal_unsubscribe(bus, signals[1]);
        g_signal_handler_disconnect(bus, closed);
        g_source_remove(sources[0]);
        g_source_remove(sources[1]);
        if (monitor->error)
                g_propagate_error(error, g_steal_pointer(&monitor->error));
        return !*error;
}

bool monitor_run(struct context *context, const struct arguments *arguments, GError **error) {
        const char *object = arguments_get(arguments, "OBJECT");
        struct monitor monitor = { .context = context };
        bool good;

        if (object) {
                monitor.path = objects_find(context, PARAMETER_OBJECT, NULL, object, error);
                if (!monitor.path)
                        return false;
        }
        monitor.names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        monitor.loop = g_main_loop_new(NULL, FALSE);
        good = run(&monitor, error);
        g_main_loop_unref(monitor.loop);
        g_hash_table_unref(monitor.names);
        g_free(monitor.path);
        return good;
}
