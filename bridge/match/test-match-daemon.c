/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whether match rules mean here what they mean to dbus-daemon: which are rules, which are the same, and what they accept. */

#include <dbus/dbus.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "match.h"
#include "names.h"

#define OWNED "org.example.Owned"

struct bus {
        char *dir, *address;
        GPid pid;
        DBusConnection *listener, *sender;
};

static void die_with_parent(gpointer userdata) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static char *first_line(int fd) {
        g_autoptr(GString) line = g_string_new("");
        char c;

        while (read(fd, &c, 1) == 1 && c != '\n')
                g_string_append_c(line, c);
        return g_string_free(g_steal_pointer(&line), FALSE);
}

static DBusConnection *connect_to(const char *address) {
        DBusConnection *connection = dbus_connection_open_private(address, NULL);

        g_assert_nonnull(connection);
        dbus_connection_set_exit_on_disconnect(connection, FALSE);
        g_assert_true(dbus_bus_register(connection, NULL));
        return connection;
}

static void start(struct bus *bus) {
        g_autofree char *config = NULL, *text = NULL, *option = NULL;
        g_autoptr(GError) error = NULL;
        int fd;

        bus->dir = g_dir_make_tmp("test-match-XXXXXX", &error);
        g_assert_no_error(error);
        config = g_build_filename(bus->dir, "bus.conf", NULL);
        text = g_strdup_printf("<busconfig><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>"
                               "<policy context='default'><allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/>"
                               "<allow own='*'/></policy></busconfig>",
                               bus->dir);
        g_assert_true(g_file_set_contents(config, text, -1, NULL));
        option = g_strdup_printf("--config-file=%s", config);
        g_spawn_async_with_pipes(NULL, (char *[]) { (char *) "dbus-daemon", option, (char *) "--nofork", (char *) "--print-address", NULL },
                                 NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, die_with_parent, NULL, &bus->pid, NULL, &fd, NULL,
                                 &error);
        g_assert_no_error(error);
        bus->address = first_line(fd);
        close(fd);
        g_assert_cmpstr(bus->address, !=, "");
        bus->listener = connect_to(bus->address);
        bus->sender = connect_to(bus->address);
        g_assert_cmpint(dbus_bus_request_name(bus->sender, OWNED, 0, NULL), ==, DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER);
}

static void stop(struct bus *bus) {
        g_autofree char *config = g_build_filename(bus->dir, "bus.conf", NULL), *path = g_build_filename(bus->dir, "bus", NULL);

        dbus_connection_close(bus->listener);
        dbus_connection_unref(bus->listener);
        dbus_connection_close(bus->sender);
        dbus_connection_unref(bus->sender);
        kill(bus->pid, SIGTERM);
        waitpid(bus->pid, NULL, 0);
        g_spawn_close_pid(bus->pid);
        g_unlink(config);
        g_unlink(path);
        g_rmdir(bus->dir);
        g_free(bus->dir);
        g_free(bus->address);
}

/* Calls the bus. text may be NULL. Returns whether it was answered, and not with an error. */
static bool call_bus(DBusConnection *connection, const char *member, const char *text) {
        DBusMessage *call = dbus_message_new_method_call(DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, member), *reply;

        if (text)
                g_assert_true(dbus_message_append_args(call, DBUS_TYPE_STRING, &text, DBUS_TYPE_INVALID));
        reply = dbus_connection_send_with_reply_and_block(connection, call, 30000, NULL);
        dbus_message_unref(call);
        if (!reply)
                return false;
        dbus_message_unref(reply);
        return true;
}

/* Returns NULL for what is no rule, and then whether it is one of those that dbus-daemon takes, as match.h says. */
static struct match *parse(const char *text, bool *ret_stricter) {
        struct match_error error = {};
        struct match *match = NULL;

        *ret_stricter = false;
        if (match_new(&match, text, strlen(text), &error) == 0)
                return match;
        *ret_stricter = strstr(error.text, "a key should be before this =") || strstr(error.text, "'eavesdrop' is here twice");
        return NULL;
}

static const char *const rules[] = {
        "", " ", ",", "type='signal'", "type=signal", "type='signal',", "type='signal',,", " type = 'signal'", " type ='signal' ",
        "type='signal' ,member='M'", "\ttype\n='signal',\r eavesdrop ='true'", "type=", "type", "type'='signal", "=signal",
        "type='signal", "eavesdrop='maybe'", "eavesdrop='false'", "type='signal',type='signal'", "sender='" OWNED "'",
        "sender='org.example.Other'", "sender=':1.0'", "sender=':1.1'", "sender=''", "sender='a'", "interface='a.b'", "interface='a.c'",
        "interface='a'", "member='M'", "member='N'", "member='a.b'", "path='/a/b'", "path='/'", "path='a'", "path='/a/'",
        "path_namespace='/a'", "path_namespace='/a/b'", "path_namespace='/a/b/c'", "path_namespace='/'", "path_namespace='/a/b/'",
        "path='/',path_namespace='/'", "destination=':1.0'", "destination='" OWNED "'", "destination='1'", "arg0='org.a.b'",
        "arg0='org.a'", "arg0=", "arg0namespace='org.a'", "arg0namespace='org.a.b'", "arg0namespace='org'", "arg0namespace='or'",
        "arg0namespace='.'", "arg0namespace=''", "arg1namespace='org'", "arg1='/a/'", "arg1path='/a/b/c'", "arg1path='/a/'",
        "arg1path='/a'", "arg1path=''", "arg1path='x'", "arg2path='/a/b'", "arg2='/a/b'", "arg2path='/a/'", "arg2path='/'", "arg3=''",
        "arg3path='/'", "arg3path=''", "arg4='don'\\''t'", "arg4=don\\'t", "arg4='don\\'t'", "arg4=don't'", "arg5=''", "arg63='x'",
        "arg64='x'", "arg='x'", "argx='x'", "arg1x='x'", "arg0pathx='x'", "arg0='a',arg0='a'", "arg0='a',arg0path='a'",
        "arg0='a',arg0namespace='a'", "arg0='org.a.b',arg1='/a/'", "arg0='org.a.b',arg1='/b/'", "arg7='a\\b'", "arg7=a\\b", "arg7=a\\",
        "arg7=a\\\\'b'", "arg7=a\\,b", "arg7='a,b'", "arg7='a'','b", "arg7=\xc3\xa9", "unknown='x'", "Type='signal'",
        "eavesdrop='true',eavesdrop='true'",
};

/* Which are rules, and that what is the same here is the same there. */
static void check_rule(struct bus *bus, const char *text) {
        bool stricter;
        struct match *match = parse(text, &stricter);
        bool accepted = call_bus(bus->listener, "AddMatch", text);

        g_test_message("%s: %s", text, match ? match->text : "no rule");
        g_assert_true(stricter || accepted == (match != NULL));
        if (accepted && !match)
                g_assert_true(call_bus(bus->listener, "RemoveMatch", text));
        if (!match)
                return;
        g_assert_true(call_bus(bus->listener, "RemoveMatch", match->text));
        g_assert_false(call_bus(bus->listener, "RemoveMatch", text));
        match_free(match);
}

static void test_rules(void) {
        struct bus bus;

        start(&bus);
        for (size_t i = 0; i < G_N_ELEMENTS(rules); i++)
                check_rule(&bus, rules[i]);
        stop(&bus);
}

/* A rule of pairs that may make sense, and a few bytes that may not. */
static char *random_rule(GRand *random) {
        static const char *const keys[] = { "type", "sender",   "member", "interface",     "path",     "path_namespace",
                                           "arg0", "arg1path", "arg12",  "arg0namespace", "eavesdrop" };
        static const char *const values[] = { "signal", "'signal'", "a.b",  "'a.b'", "/",    "'/a'", "true",
                                             "x",      "''",       "x'y'", "\\'",   "\\\\", "' '",  "a\\,b" };
        static const char *const noise[] = { " ", ",", "'", "\\", "=", "\t", "type", "x" };
        GString *text = g_string_new("");

        for (unsigned n = g_rand_int(random) % 4; n > 0; n--) {
                g_string_append(text, keys[g_rand_int(random) % G_N_ELEMENTS(keys)]);
                g_string_append_c(text, '=');
                for (unsigned pieces = 1 + g_rand_int(random) % 5 / 4; pieces > 0; pieces--)
                        g_string_append(text, values[g_rand_int(random) % G_N_ELEMENTS(values)]);
                if (n > 1)
                        g_string_append_c(text, ',');
        }
        for (unsigned n = g_rand_int(random) % 3; n > 0; n--)
                g_string_insert(text, g_rand_int(random) % (text->len + 1), noise[g_rand_int(random) % G_N_ELEMENTS(noise)]);
        return g_string_free(text, FALSE);
}

static void test_random_rules(void) {
        g_autoptr(GRand) random = g_rand_new_with_seed(4);
        unsigned n_accepted = 0;
        struct bus bus;

        start(&bus);
        for (unsigned i = 0; i < 20000; i++) {
                g_autofree char *text = random_rule(random);
                struct match *match;
                bool accepted, stricter;

                match = parse(text, &stricter);
                accepted = call_bus(bus.listener, "AddMatch", text);
                if (!stricter && accepted != (match != NULL))
                        g_error("dbus-daemon %s '%s'", accepted ? "accepts" : "refuses", text);
                if (accepted && !match)
                        g_assert_true(call_bus(bus.listener, "RemoveMatch", text));
                if (!match)
                        continue;
                n_accepted++;
                if (!call_bus(bus.listener, "RemoveMatch", match->text))
                        g_error("to dbus-daemon, '%s' is not '%s'", match->text, text);
                match_free(match);
        }
        stop(&bus);
        g_assert_cmpuint(n_accepted, >, 500);
}

/* The signals that rules are held against. */
#define N_SIGNALS 6u

static DBusMessage *make_signal(unsigned i) {
        static const char *const paths[] = { "/a/b", "/", "/a/b/c", "/a", "/ab", "/a/b" };
        const char *name = "org.a.b", *slash = "/a/", *empty = "", *apostrophe = "don't", *value = i == 5 ? "a\\b" : "x", *path = paths[i];
        DBusMessage *message = dbus_message_new_signal(paths[i], i == 1 ? "a.c" : "a.b", i == 2 ? "N" : "M");
        dbus_uint32_t number = i;

        if (i == 3)
                name = "org.ab", slash = "/a/b/c";
        if (i != 4)
                g_assert_true(dbus_message_append_args(message, DBUS_TYPE_STRING, &name, DBUS_TYPE_STRING, &slash, DBUS_TYPE_OBJECT_PATH,
                                                       &path, DBUS_TYPE_STRING, &empty, DBUS_TYPE_STRING, &apostrophe, DBUS_TYPE_UINT32,
                                                       &number, DBUS_TYPE_STRING, &value, DBUS_TYPE_STRING, &value, DBUS_TYPE_INVALID));
        return message;
}

/* Sends all of them, and returns a bit for each that came. */
static unsigned sent_and_heard(struct bus *bus, const char *sender) {
        dbus_uint32_t serials[N_SIGNALS];
        DBusMessage *message;
        unsigned heard = 0;

        for (unsigned i = 0; i < N_SIGNALS; i++) {
                message = make_signal(i);
                g_assert_true(dbus_connection_send(bus->sender, message, &serials[i]));
                dbus_message_unref(message);
        }
        g_assert_true(call_bus(bus->sender, "GetId", NULL));            /* so the bus has all of them, and */
        g_assert_true(call_bus(bus->listener, "GetId", NULL));          /* so the listener has what it was to get */
        while ((message = dbus_connection_pop_message(bus->listener))) {
                for (unsigned i = 0; i < N_SIGNALS; i++)
                        if (g_strcmp0(dbus_message_get_sender(message), sender) == 0 && dbus_message_get_serial(message) == serials[i])
                                heard |= 1u << i;
                dbus_message_unref(message);
        }
        return heard;
}

static bool owns(void *userdata, const char *unique, const char *name) {
        return strcmp(unique, userdata) == 0 && strcmp(name, OWNED) == 0;
}

/* What is accepted here, as bits. */
static unsigned accepted(const struct match *match, const char *sender) {
        unsigned bits = 0;

        for (unsigned i = 0; i < N_SIGNALS; i++) {
                DBusMessage *signal = make_signal(i);
                struct message view;
                struct match_subject subject = { .message = &view, .owns = owns, .userdata = (void *) sender };
                char *data;
                int n;

                dbus_message_set_serial(signal, 1);
                dbus_message_set_sender(signal, sender);
                g_assert_true(dbus_message_marshal(signal, &data, &n));
                g_assert_cmpint(message_parse(data, n, &view), ==, 0);
                if (match_accepts(match, &subject))
                        bits |= 1u << i;
                dbus_free(data);
                dbus_message_unref(signal);
        }
        return bits;
}

static void test_signals(void) {
        unsigned n_some = 0;
        const char *sender;
        struct bus bus;

        start(&bus);
        sender = dbus_bus_get_unique_name(bus.sender);
        for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
                bool stricter;
                struct match *match = parse(rules[i], &stricter);
                unsigned heard;

                if (!match)
                        continue;
                g_assert_true(call_bus(bus.listener, "AddMatch", rules[i]));
                heard = sent_and_heard(&bus, sender);
                g_test_message("%s: 0x%x", rules[i], heard);
                g_assert_cmphex(accepted(match, sender), ==, heard);
                n_some += heard != 0 && heard != (1u << N_SIGNALS) - 1;
                g_assert_true(call_bus(bus.listener, "RemoveMatch", rules[i]));
                g_assert_cmphex(sent_and_heard(&bus, sender), ==, 0);
                match_free(match);
        }
        stop(&bus);
        g_assert_cmpuint(n_some, >, 15);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/match/daemon/rules", test_rules);
        g_test_add_func("/match/daemon/20000-random-rules", test_random_rules);
        g_test_add_func("/match/daemon/signals", test_signals);
        return g_test_run();
}
