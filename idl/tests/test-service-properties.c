/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Properties of a service made from generated code, what it signals of their changes, and its tree of objects. */

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "caller.h"
#include "idl-errors.h"

static void test_failing_getter(struct caller *f, gconstpointer data) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply;
        uint32_t poked;

        g_assert_cmpint(sd_bus_call_method(f->bus, EVERYTHING, "Poke", NULL, &reply, "u", 1000), <, 0);
        g_assert_cmpint(sd_bus_get_property_trivial(f->bus, EVERYTHING, "Poked", &error, 'u', &poked), <, 0);
        g_assert_cmpstr(error.name, ==, IDL_ERROR_INTERNAL);
        g_assert_cmpstr(error.message, ==, "Poked: Numerical result out of range");
        sd_bus_error_free(&error);
}

static int count_changes(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        char **text = userdata;

        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Properties", "PropertiesChanged")) {
                free(*text);
                *text = body_text(m);
        }
        return 0;
}

static void test_properties(struct caller *f, gconstpointer data) {
        g_autofree char *text = g_strdup("");
        sd_bus_message *reply;
        char **quiet, *s;
        uint64_t t;

        g_assert_cmpint(sd_bus_add_filter(f->bus, NULL, count_changes, &text), >=, 0);
        g_assert_cmpint(sd_bus_get_property_string(f->bus, EVERYTHING, "Loud", NULL, &s), >=, 0);
        g_assert_cmpstr(s, ==, "hello");
        free(s);
        g_assert_cmpint(sd_bus_get_property_trivial(f->bus, EVERYTHING, "Fixed", NULL, 't', &t), >=, 0);
        g_assert_cmpuint(t, ==, UINT64_MAX);
        g_assert_cmpint(sd_bus_get_property_strv(f->bus, EVERYTHING, "Quiet", NULL, &quiet), >=, 0);
        g_assert_cmpstr(quiet[0], ==, TEST_PATH);
        g_assert_cmpstr(quiet[1], ==, "0");
        g_strfreev(quiet);

        /* Set to what it is: nothing is emitted. The call behind is answered after any signal. */
        g_assert_cmpint(sd_bus_set_property(f->bus, EVERYTHING, "Loud", NULL, "s", "hello"), >=, 0);
        g_assert_cmpint(sd_bus_set_property(f->bus, EVERYTHING, "Silent", NULL, "s", "Blue"), >=, 0);
        while (sd_bus_process(f->bus, NULL) > 0)
                ;
        g_assert_cmpstr(text, ==, "");

        g_assert_cmpint(sd_bus_set_property(f->bus, EVERYTHING, "Loud", NULL, "s", "HELLO"), >=, 0);
        while (sd_bus_process(f->bus, NULL) > 0)
                ;
        g_assert_nonnull(strstr(text, "STRING \"Loud\""));
        g_assert_nonnull(strstr(text, "STRING \"HELLO\""));

        g_assert_cmpint(sd_bus_call_method(f->bus, EVERYTHING, "ChangeAll", NULL, &reply, NULL), >=, 0);
        sd_bus_message_unref(reply);
        while (sd_bus_process(f->bus, NULL) > 0)
                ;
        g_assert_nonnull(strstr(text, "STRING \"Loud\""));
        g_assert_nonnull(strstr(text, "STRING \"Quiet\""));
        g_assert_null(strstr(text, TEST_PATH));                 /* it changed, but what it is now has to be asked for */
}

static void test_properties_refused(struct caller *f, gconstpointer data) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        g_assert_cmpint(sd_bus_set_property(f->bus, EVERYTHING, "Loud", &error, "s", "no"), <, 0);
        g_assert_cmpstr(error.name, ==, IDL_ERROR_INVALID_ARGUMENT);
        g_assert_cmpstr(error.message, ==, "Loud: 'no' is not loud");
        sd_bus_error_free(&error);
        g_assert_cmpint(sd_bus_set_property(f->bus, EVERYTHING, "Silent", &error, "s", "Loud"), <, 0);
        g_assert_cmpstr(error.name, ==, IDL_ERROR_INVALID_ARGUMENT);
        g_assert_cmpstr(error.message, ==, "Silent: 'Loud' must be one of Red, DarkGreen, Blue");
        sd_bus_error_free(&error);
        g_assert_cmpint(sd_bus_set_property(f->bus, EVERYTHING, "Silent", &error, "u", 1), <, 0);
        g_assert_cmpstr(error.name, ==, SD_BUS_ERROR_INVALID_ARGS);
        sd_bus_error_free(&error);
        g_assert_cmpint(sd_bus_set_property(f->bus, EVERYTHING, "Fixed", &error, "t", UINT64_C(1)), <, 0);
        g_assert_cmpstr(error.name, ==, SD_BUS_ERROR_PROPERTY_READ_ONLY);
        sd_bus_error_free(&error);
}

static void test_properties_of_containers(struct caller *f, gconstpointer data) {
        g_autofree char *text = NULL;
        sd_bus_message *reply;

        g_assert_cmpint(sd_bus_set_property(f->bus, EVERYTHING, "Items", NULL, "a(sa{sv})", 2, "one", 1, "k", "(ii)", 1, 2, "two", 0),
                        >=, 0);
        g_assert_cmpint(sd_bus_get_property(f->bus, EVERYTHING, "Items", NULL, &reply, "a(sa{sv})"), >=, 0);
        text = body_text(reply);
        g_assert_nonnull(strstr(text, "STRING \"two\""));
        g_assert_nonnull(strstr(text, "INT32 2"));
        sd_bus_message_unref(reply);

        g_assert_cmpint(sd_bus_set_property(f->bus, EVERYTHING, "Anything", NULL, "v", "as", 1, "element"), >=, 0);
        g_assert_cmpint(sd_bus_get_property(f->bus, EVERYTHING, "Anything", NULL, &reply, "v"), >=, 0);
        free(text);
        text = body_text(reply);
        g_assert_nonnull(strstr(text, "STRING \"element\""));
        sd_bus_message_unref(reply);
}

static void test_tree(struct caller *f, gconstpointer data) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char **quiet;

        g_assert_cmpint(sd_bus_get_property_strv(f->bus, NULL, TEST_TREE "/b", TEST1_EVERYTHING_INTERFACE, "Quiet", NULL, &quiet), >=, 0);
        g_assert_cmpstr(quiet[0], ==, TEST_TREE "/b");
        g_strfreev(quiet);
        g_assert_cmpint(sd_bus_get_property_strv(f->bus, NULL, TEST_TREE "/c", TEST1_EVERYTHING_INTERFACE, "Quiet", &error, &quiet), <, 0);
        g_assert_cmpstr(error.name, ==, SD_BUS_ERROR_UNKNOWN_OBJECT);
        sd_bus_error_free(&error);
}

static int keep_added(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        char **text = userdata;

        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.ObjectManager", "InterfacesAdded")) {
                free(*text);
                *text = body_text(m);
        }
        return 0;
}

/* sd-bus asks for the properties of objects from within other calls, too. */
static void test_object_manager(struct caller *f, gconstpointer data) {
        g_autofree char *text = NULL, *added = g_strdup("");
        sd_bus_message *reply;

        g_assert_cmpint(sd_bus_call_method(f->bus, NULL, TEST_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL, &reply,
                                           NULL), >=, 0);
        text = body_text(reply);
        sd_bus_message_unref(reply);
        g_assert_nonnull(strstr(text, "OBJECT_PATH \"" TEST_TREE "/a\""));
        g_assert_nonnull(strstr(text, "STRING \"" TEST_TREE "/a\""));          /* its property Quiet */
        g_assert_nonnull(strstr(text, "STRING \"" TEST_TREE "/b\""));
        g_assert_nonnull(strstr(text, "STRING \"Anything\""));

        g_assert_cmpint(sd_bus_add_filter(f->bus, NULL, keep_added, &added), >=, 0);
        g_assert_cmpint(sd_bus_call_method(f->bus, EVERYTHING, "Old", NULL, &reply, NULL), >=, 0);
        sd_bus_message_unref(reply);
        while (sd_bus_process(f->bus, NULL) > 0)
                ;
        g_assert_nonnull(strstr(added, "OBJECT_PATH \"" TEST_TREE "/a\""));
        g_assert_nonnull(strstr(added, "STRING \"hello\""));
        g_assert_null(strstr(added, "Quiet"));          /* sd-bus leaves out what is only invalidated */
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(name, function) g_test_add("/idl/service/" name, struct caller, NULL, caller_set_up, function, caller_tear_down)
        add("properties", test_properties);
        add("properties/refused", test_properties_refused);
        add("properties/containers", test_properties_of_containers);
        add("properties/failing-getter", test_failing_getter);
        add("tree", test_tree);
        add("tree/object-manager", test_object_manager);
        return g_test_run();
}
