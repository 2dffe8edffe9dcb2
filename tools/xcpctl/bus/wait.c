/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "wait.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <glib-unix.h>

#include "progress.h"
#include "screen-text.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"
#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"
#define REDRAW_MS 200

/* How a wait ended. */
enum outcome {
        WAIT_GOES_ON,
        WAIT_FINAL,
        WAIT_FAILED,                    /* error is set */
        WAIT_LEFT,                      /* by a second ^C */
        WAIT_TIMED_OUT,
};

struct wait {
        struct context *context;
        const char *service, *destination, *path;       /* destination: its name on the bus */
        GVariantDict *task;             /* the task's properties */
        struct progress *progress;
        bool cancelled;                 /* we asked it to */
        enum outcome outcome;
        GError *error;
        GMainLoop *loop;
};

static void end(struct wait *wait, enum outcome outcome) {
        if (wait->outcome == WAIT_GOES_ON)
                wait->outcome = outcome;
        g_main_loop_quit(wait->loop);
}

static const char *text_of(struct wait *wait, const char *name) {
        const char *text = "";

        g_variant_dict_lookup(wait->task, name, "&s", &text);
        return text;
}

static bool is_final(const char *state) {
        return strcmp(state, "Succeeded") == 0 || strcmp(state, "Failed") == 0 || strcmp(state, "Cancelled") == 0;
}

static unsigned columns(void) {
        struct winsize size;

        return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

static void draw(struct wait *wait) {
        g_autofree char *text = NULL;
        double fraction = 0;

        g_variant_dict_lookup(wait->task, "Progress", "d", &fraction);
        text = progress_text(wait->progress, fraction, text_of(wait, "State"), columns(), g_get_monotonic_time());
        if (text)
                fputs(text, stderr);
}

/* Words of ours that stay, above the bar. */
static void say(struct wait *wait, const char *text) {
        fprintf(stderr, "%s%s\n", progress_end(wait->progress), text);
        draw(wait);
}

static void look(struct wait *wait) {
        if (is_final(text_of(wait, "State")))
                end(wait, WAIT_FINAL);
        else
                draw(wait);
}

static void take_properties(struct wait *wait, GVariant *changed) {
        GVariantIter iter;
        const char *name;
        GVariant *value;

        g_variant_iter_init(&iter, changed);
        while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
                g_variant_dict_insert_value(wait->task, name, value);
                g_variant_unref(value);
        }
        look(wait);
}

static void on_changed(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *signal,
                       GVariant *arguments, void *userdata) {
        g_autoptr(GVariant) changed = NULL;
        const char *about;

        if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(sa{sv}as)")))
                return;
        g_variant_get(arguments, "(&s@a{sv}as)", &about, &changed, NULL);
        if (strcmp(about, CLIENT_TASK) == 0)
                take_properties(userdata, changed);
}

static void on_finished(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *signal,
                        GVariant *arguments, void *userdata) {
        struct wait *wait = userdata;
        g_autoptr(GVariant) state = NULL, result = NULL, error = NULL;

        if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(sa{sv}(ssa{sv}))")))
                return;
        g_variant_get(arguments, "(@s@a{sv}@(ssa{sv}))", &state, &result, &error);
        g_variant_dict_insert_value(wait->task, "State", state);
        g_variant_dict_insert_value(wait->task, "Result", result);
        g_variant_dict_insert_value(wait->task, "Error", error);
        look(wait);
}

static void on_removed(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *signal,
                       GVariant *arguments, void *userdata) {
        struct wait *wait = userdata;
        const char *removed;

        if (wait->outcome != WAIT_GOES_ON || !g_variant_is_of_type(arguments, G_VARIANT_TYPE("(oas)")))
                return;
        g_variant_get_child(arguments, 0, "&o", &removed);
        if (strcmp(removed, wait->path) != 0)
                return;
        context_fail(&wait->error, CONTEXT_ERROR_FAILED, "the task %s was removed by somebody before its end was seen", wait->path);
        end(wait, WAIT_FAILED);
}

static void on_owner(GDBusConnection *bus, const char *sender, const char *path, const char *interface, const char *signal,
                     GVariant *arguments, void *userdata) {
        struct wait *wait = userdata;

        if (wait->outcome != WAIT_GOES_ON)
                return;
        context_fail(&wait->error, CONTEXT_ERROR_FAILED, "%s has left the bus while the task %s was not at its end", wait->destination, wait->path);
        end(wait, WAIT_FAILED);
}

static void on_closed(GDBusConnection *bus, gboolean by_peer, GError *error, void *userdata) {
        struct wait *wait = userdata;

        if (wait->outcome != WAIT_GOES_ON)
                return;
        context_fail(&wait->error, CONTEXT_ERROR_FAILED, "the bus has gone while the task %s was not at its end", wait->path);
        end(wait, WAIT_FAILED);
}

static void on_cancel_answered(GObject *bus, GAsyncResult *result, void *userdata) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) answer = g_dbus_connection_call_finish(G_DBUS_CONNECTION(bus), result, &error);

        if (!answer && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
                g_autofree char *line = NULL, *harmless = NULL;

                g_dbus_error_strip_remote_error(error);
                line = g_strdup_printf("xcpctl: it cannot be cancelled: %s", error->message);
                harmless = screen_text(line);
                fprintf(stderr, "\n%s\n", harmless);
        }
}

static gboolean on_interrupt(void *userdata) {
        struct wait *wait = userdata;
        g_autofree char *line = NULL;
        guint32 bound_ms = 0;

        if (wait->cancelled) {
                end(wait, WAIT_LEFT);
                return G_SOURCE_CONTINUE;
        }
        wait->cancelled = true;
        g_dbus_connection_call(wait->context->bus, wait->destination, wait->path, CLIENT_TASK, "Cancel", NULL, NULL,
                               G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, on_cancel_answered, NULL);
        g_variant_dict_lookup(wait->task, "CancelWithinMs", "u", &bound_ms);
        line = g_strdup_printf("xcpctl: cancelling, which takes %u s at most; ^C once more leaves the task to itself", (bound_ms + 999) / 1000);
        say(wait, line);
        return G_SOURCE_CONTINUE;
}

static gboolean on_redraw(void *userdata) {
        draw(userdata);
        return G_SOURCE_CONTINUE;
}

static gboolean on_timeout(void *userdata) {
        end(userdata, WAIT_TIMED_OUT);
        return G_SOURCE_REMOVE;
}

/* What a wait listens to. */
struct watches {
        unsigned signals[4], closed, interrupt, terminate, redraw, timeout;
};

static void watch(struct wait *wait, struct watches *watches) {
        GDBusConnection *bus = wait->context->bus;
        g_autofree char *root = client_root(wait->service);

        *watches = (struct watches) {
                .signals = {
                        g_dbus_connection_signal_subscribe(bus, wait->destination, PROPERTIES, "PropertiesChanged", wait->path, NULL,
                                                           G_DBUS_SIGNAL_FLAGS_NONE, on_changed, wait, NULL),
                        g_dbus_connection_signal_subscribe(bus, wait->destination, CLIENT_TASK, "Finished", wait->path, NULL,
                                                           G_DBUS_SIGNAL_FLAGS_NONE, on_finished, wait, NULL),
                        g_dbus_connection_signal_subscribe(bus, wait->destination, OBJECT_MANAGER, "InterfacesRemoved", root, wait->path,
                                                           G_DBUS_SIGNAL_FLAGS_MATCH_ARG0_PATH, on_removed, wait, NULL),
                        g_dbus_connection_signal_subscribe(bus, "org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged", NULL,
                                                           wait->destination, G_DBUS_SIGNAL_FLAGS_NONE, on_owner, wait, NULL),
                },
                .closed = (unsigned) g_signal_connect(bus, "closed", G_CALLBACK(on_closed), wait),
                .interrupt = g_unix_signal_add(SIGINT, on_interrupt, wait),
                .terminate = g_unix_signal_add(SIGTERM, on_interrupt, wait),
                .redraw = g_timeout_add(REDRAW_MS, on_redraw, wait),
        };
        if (wait->context->timeout_ms > 0)
                watches->timeout = g_timeout_add((unsigned) wait->context->timeout_ms, on_timeout, wait);
}

static void unwatch(struct wait *wait, const struct watches *watches) {
        GDBusConnection *bus = wait->context->bus;

        for (size_t i = 0; i < G_N_ELEMENTS(watches->signals); i++)
                g_dbus_connection_signal_unsubscribe(bus, watches->signals[i]);
        g_signal_handler_disconnect(bus, watches->closed);
        g_source_remove(watches->interrupt);
        g_source_remove(watches->terminate);
        g_source_remove(watches->redraw);
        if (watches->timeout > 0 && wait->outcome != WAIT_TIMED_OUT)
                g_source_remove(watches->timeout);
}

/* The task's own error. */
static void fail_as_task(struct wait *wait, GError **error) {
        g_autoptr(GVariant) task_error = g_variant_dict_lookup_value(wait->task, "Error", G_VARIANT_TYPE("(ssa{sv})"));
        const char *name = "", *message = "";

        if (task_error)
                g_variant_get(task_error, "(&s&s@a{sv})", &name, &message, &wait->context->details);
        if (g_dbus_is_interface_name(name))
                g_propagate_error(error, g_dbus_error_new_for_dbus_error(name, message));
        else
                context_fail(error, CONTEXT_ERROR_FAILED, "the task %s has %s: %s", wait->path, text_of(wait, "State"), message);
}

static bool conclude(struct wait *wait, GVariant **ret_result, GError **error) {
        switch (wait->outcome) {
        case WAIT_FINAL:
                if (strcmp(text_of(wait, "State"), "Succeeded") != 0) {
                        fail_as_task(wait, error);
                        return false;
                }
                *ret_result = g_variant_dict_lookup_value(wait->task, "Result", G_VARIANT_TYPE_VARDICT);
                if (!*ret_result)
                        *ret_result = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
                return true;
        case WAIT_FAILED:
                g_propagate_error(error, g_steal_pointer(&wait->error));
                return false;
        case WAIT_TIMED_OUT:
                return context_fail(error, CONTEXT_ERROR_LEFT, "the task %s takes longer than %.1f s, and goes on", wait->path,
                                    (double) wait->context->timeout_ms / 1000);
        default:
                return context_fail(error, CONTEXT_ERROR_LEFT, "the task %s goes on", wait->path);
        }
}

static void run(struct wait *wait) {
        g_autoptr(GVariant) properties = client_properties(wait->context, wait->service, wait->path, CLIENT_TASK, &wait->error);

        if (!properties) {
                wait->outcome = WAIT_FAILED;
                return;
        }
        g_variant_dict_clear(wait->task);
        g_variant_dict_init(wait->task, properties);
        wait->progress = progress_new(wait->context->progress, text_of(wait, "Description"), g_get_monotonic_time());
        look(wait);
        if (wait->outcome == WAIT_GOES_ON)
                g_main_loop_run(wait->loop);
        fputs(progress_end(wait->progress), stderr);
}

bool wait_for_task(struct context *context, const char *service, const char *path, GVariant **ret_result, GError **error) {
        g_auto(GVariantDict) task = G_VARIANT_DICT_INIT(NULL);
        g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
        struct wait wait = {
                .context = context, .service = service, .destination = client_destination(context, service), .path = path, .task = &task, .loop = loop,
        };
        struct watches watches;
        bool good;

        if (!context_bus(context, error))
                return false;
        watch(&wait, &watches);         /* before the first look, so that no change is missed between */
        run(&wait);
        unwatch(&wait, &watches);
        good = conclude(&wait, ret_result, error);
        progress_free(wait.progress);
        g_clear_error(&wait.error);
        return good;
}
