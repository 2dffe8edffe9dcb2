/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What calls carry to a service made from generated code and back: every type, records, descriptors, and what is refused. */

#include <fcntl.h>
#include <glib.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "caller.h"
#include "idl-errors.h"

static void test_basic(struct caller *f, gconstpointer data) {
        sd_bus_message *m;

        m = new_call(f, "EchoBasic");
        append(m, "ybnqiuxtdsog", UINT8_MAX, true, INT16_MIN, UINT16_MAX, INT32_MIN, UINT32_MAX, INT64_MIN, UINT64_MAX, -0.5, "äöü \n",
               "/a/b", "a{sv}");
        check_echo(f, m);
        m = new_call(f, "EchoBasic");
        append(m, "ybnqiuxtdsog", 0, false, 0, 0, 0, 0, INT64_C(0), UINT64_C(0), 0.0, "", "/", "");
        check_echo(f, m);
}

static void test_arrays(struct caller *f, gconstpointer data) {
        sd_bus_message *m;

        m = new_call(f, "EchoArrays");
        append(m, "ayabanaqaiauaxatadasaoag", 3, 1, 2, 3, 3, true, false, true, 1, -7, 2, 1, 2, 3, -1, 0, 1, 1, UINT32_MAX, 2, INT64_MIN,
               INT64_MAX, 1, UINT64_MAX, 2, 0.25, -1e300, 2, "a", "", 2, "/", "/a", 3, "", "as", "(ii)");
        check_echo(f, m);
        m = new_call(f, "EchoArrays");
        append(m, "ayabanaqaiauaxatadasaoag", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        check_echo(f, m);
}

static void test_nested(struct caller *f, gconstpointer data) {
        sd_bus_message *m;

        m = new_call(f, "EchoNested");
        append(m, "aas", 3, 2, "a", "b", 0, 1, "c");
        append(m, "aau", 2, 3, 1, 2, 3, 0);
        append(m, "a{ss}", 2, "k", "v", "k2", "");
        append(m, "a{sas}", 2, "g", 2, "x", "y", "none", 0);
        append(m, "a{oa{sa{sv}}}", 2, "/o", 1, "i.f", 2, "P", "u", 7, "Q", "as", 2, "q", "r", "/p", 0);
        append(m, "a(sa{sv})", 2, "item", 1, "k", "(sv)", "in", "v", "ay", 2, 1, 2, "empty", 0);
        append(m, "a{s(iav)}", 1, "n", -5, 3, "s", "text", "b", true, "a{sv}", 1, "deep", "d", 1.5);
        append(m, "a{su}", 2, "Red", 1, "Blue", 2);
        append(m, "(s(iu)asv)", "label", -1, 1, 2, "t1", "t2", "g", "a{sv}");
        check_echo(f, m);
        m = new_call(f, "EchoNested");
        append(m, "aasaaua{ss}a{sas}a{oa{sa{sv}}}a(sa{sv})a{s(iav)}a{su}(s(iu)asv)", 0, 0, 0, 0, 0, 0, 0, 0, "", 0, 0, 0, "y", 0);
        check_echo(f, m);
}

static void echo_variant(struct caller *f, const char *types, ...) {
        sd_bus_message *m = new_call(f, "EchoVariant");
        va_list ap;

        g_assert_cmpint(sd_bus_message_open_container(m, 'v', types), >=, 0);
        va_start(ap, types);
        g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
        va_end(ap);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        check_echo(f, m);
}

static void test_variants(struct caller *f, gconstpointer data) {
        echo_variant(f, "y", 255);
        echo_variant(f, "b", true);
        echo_variant(f, "n", -1);
        echo_variant(f, "q", 65535);
        echo_variant(f, "i", -1);
        echo_variant(f, "u", UINT32_MAX);
        echo_variant(f, "x", INT64_MIN);
        echo_variant(f, "t", UINT64_MAX);
        echo_variant(f, "d", 1e-300);
        echo_variant(f, "s", "string");
        echo_variant(f, "o", "/path");
        echo_variant(f, "g", "aas");
        echo_variant(f, "v", "v", "s", "deep");
        echo_variant(f, "a{s(iv)}", 1, "k", 3, "as", 1, "x");
        echo_variant(f, "(sas)", "s", 0);
        echo_variant(f, "aax", 0);
}

static void test_colors(struct caller *f, gconstpointer data) {
        sd_bus_message *m;

        m = new_call(f, "EchoColors");
        append(m, "sas", "DarkGreen", 3, "Red", "Blue", "Red");
        check_echo(f, m);
}

static void test_options_all(struct caller *f, gconstpointer data) {
        sd_bus_message *m = new_call(f, "EchoOptions");

        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        append(m, "{sv}", "name", "s", "n");
        append(m, "{sv}", "default", "s", "d");
        append(m, "{sv}", "byte", "y", 0);
        append(m, "{sv}", "flag", "b", false);
        append(m, "{sv}", "maybe", "b", false);
        append(m, "{sv}", "int16", "n", 1);
        append(m, "{sv}", "uint16", "q", 2);
        append(m, "{sv}", "int32", "i", 3);
        append(m, "{sv}", "uint32", "u", 4);
        append(m, "{sv}", "int64", "x", INT64_C(5));
        append(m, "{sv}", "uint64", "t", UINT64_C(6));
        append(m, "{sv}", "ratio", "d", 7.5);
        append(m, "{sv}", "color", "s", "Blue");
        append(m, "{sv}", "path", "o", "/p");
        append(m, "{sv}", "type", "g", "as");
        append(m, "{sv}", "anything", "v", "s", "any");
        append(m, "{sv}", "names", "as", 2, "a", "b");
        append(m, "{sv}", "data", "ay", 2, 1, 2);
        append(m, "{sv}", "points", "a(iu)", 2, 1, 2, 3, 4);
        append(m, "{sv}", "labelled", "(s(iu)asv)", "l", 1, 2, 1, "t", "i", 9);
        append(m, "{sv}", "small", "a{sv}", 2, "color", "s", "Red", "count", "u", 1);
        append(m, "{sv}", "smalls", "aa{sv}", 1, 1, "count", "u", 2);
        append(m, "{sv}", "limits", "a{su}", 1, "l", 3);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        check_echo(f, m);
}

static void test_options_defaults(struct caller *f, gconstpointer data) {
        const char *const keys[] = { "name", "default", "flag", "int16", "uint16", "int32", "uint32", "int64", "uint64", "ratio", "color" };
        sd_bus_message *m, *reply;
        const char *key, *s;
        int b;

        m = new_call(f, "EchoOptions");
        append(m, "a{sv}", 1, "name", "s", "");
        g_assert_cmpint(sd_bus_call(f->bus, m, 0, NULL, &reply), >=, 0);

        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "{sv}"), >, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                g_assert_cmpint(sd_bus_message_enter_container(reply, 'e', "sv"), >, 0);
                g_assert_cmpint(sd_bus_message_read(reply, "s", &key), >, 0);
                g_assert_cmpstr(key, ==, keys[i]);
                if (strcmp(key, "default") == 0) {
                        g_assert_cmpint(sd_bus_message_read(reply, "v", "s", &s), >, 0);
                        g_assert_cmpstr(s, ==, "a \"b\" ü");
                } else if (strcmp(key, "flag") == 0) {
                        g_assert_cmpint(sd_bus_message_read(reply, "v", "b", &b), >, 0);
                        g_assert_true(b);
                } else if (strcmp(key, "color") == 0) {
                        g_assert_cmpint(sd_bus_message_read(reply, "v", "s", &s), >, 0);
                        g_assert_cmpstr(s, ==, "DarkGreen");
                } else
                        g_assert_cmpint(sd_bus_message_skip(reply, "v"), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(reply), >=, 0);
        }
        g_assert_cmpint(sd_bus_message_at_end(reply, false), >, 0);
        sd_bus_message_unref(reply);
        sd_bus_message_unref(m);
}

#define OPTIONS_KEYS                                                                                                        \
        "name, default, byte, flag, maybe, int16, uint16, int32, uint32, int64, uint64, ratio, color, path, type, file, "    \
        "anything, names, data, points, labelled, small, smalls, limits"

static void test_options_refused(struct caller *f, gconstpointer data) {
        sd_bus_message *m;

        m = new_call(f, "EchoOptions");
        append(m, "a{sv}", 0);
        check_error(f, m, IDL_ERROR_INVALID_ARGUMENT, "options.name: 'nothing' is required");

        m = new_call(f, "EchoOptions");
        append(m, "a{sv}", 2, "name", "s", "n", "nmae", "s", "n");
        check_error(f, m, IDL_ERROR_INVALID_ARGUMENT, "options: 'nmae' is not a key; the keys are " OPTIONS_KEYS);

        m = new_call(f, "EchoOptions");
        append(m, "a{sv}", 2, "name", "s", "n", "name", "s", "n");
        check_error(f, m, IDL_ERROR_INVALID_ARGUMENT, "options: 'name' is a key that is there twice");

        m = new_call(f, "EchoOptions");
        append(m, "a{sv}", 1, "name", "u", 5);
        check_error(f, m, IDL_ERROR_INVALID_ARGUMENT, "options.name: 'u' is its type, which must be 's'");

        m = new_call(f, "EchoOptions");
        append(m, "a{sv}", 2, "name", "s", "n", "smalls", "aa{sv}", 2, 0, 1, "color", "s", "Green");
        check_error(f, m, IDL_ERROR_INVALID_ARGUMENT,
                    "options.smalls[1].color: 'Green' must be one of Red, DarkGreen, Blue");
}

static void test_enum_refused(struct caller *f, gconstpointer data) {
        g_autofree char *long_name = g_strnfill(10000, 'x');
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m;

        m = new_call(f, "EchoColors");
        append(m, "sas", "Red", 3, "Red", "Blue", "red");
        check_error(f, m, IDL_ERROR_INVALID_ARGUMENT, "colors[2]: 'red' must be one of Red, DarkGreen, Blue");

        m = new_call(f, "EchoColors");
        append(m, "sas", long_name, 0);
        g_assert_cmpint(sd_bus_call(f->bus, m, 0, &error, NULL), <, 0);
        g_assert_cmpstr(error.name, ==, IDL_ERROR_INVALID_ARGUMENT);
        g_assert_cmpuint(strlen(error.message), <, 1000);
        sd_bus_error_free(&error);
        sd_bus_message_unref(m);
}

static void test_wrong_signature(struct caller *f, gconstpointer data) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = new_call(f, "EchoColors");

        append(m, "s", "Red");
        g_assert_cmpint(sd_bus_call(f->bus, m, 0, &error, NULL), <, 0);
        g_assert_cmpstr(error.name, ==, SD_BUS_ERROR_INVALID_ARGS);
        sd_bus_error_free(&error);
        sd_bus_message_unref(m);
}

/* Every empty record costs 4 bytes in the message and over a hundred in the service. */
static void test_memory_is_bounded(struct caller *f, gconstpointer data) {
        sd_bus_message *m = new_call(f, "EchoOptions");
        sd_bus_error error = SD_BUS_ERROR_NULL;

        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        append(m, "{sv}", "name", "s", "n");
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        append(m, "s", "smalls");
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "aa{sv}"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "a{sv}"), >=, 0);
        for (size_t i = 0; i < 1200 * 1000; i++)
                append(m, "a{sv}", 0);
        for (int i = 0; i < 4; i++)
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_call(f->bus, m, 0, &error, NULL), <, 0);
        g_assert_cmpstr(error.name, ==, IDL_ERROR_LIMIT_EXCEEDED);
        sd_bus_error_free(&error);
        sd_bus_message_unref(m);

        /* A large message that needs little of it is not refused. */
        m = new_call(f, "EchoVariant");
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "ay"), >=, 0);
        void *space;
        g_assert_cmpint(sd_bus_message_append_array_space(m, 'y', 1024 * 1024, &space), >=, 0);
        memset(space, 0, 1024 * 1024);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        sd_bus_message *reply;
        g_assert_cmpint(sd_bus_call(f->bus, m, 0, NULL, &reply), >=, 0);
        sd_bus_message_unref(reply);
        sd_bus_message_unref(m);
}

static void test_files(struct caller *f, gconstpointer data) {
        struct stat before[2], after;
        sd_bus_message *m, *reply;
        int pipes[2], fd;

        g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
        for (int i = 0; i < 2; i++)
                g_assert_cmpint(fstat(pipes[i], &before[i]), ==, 0);

        m = new_call(f, "EchoFiles");
        append(m, "hah", pipes[0], 2, pipes[1], pipes[0]);
        g_assert_cmpint(sd_bus_call(f->bus, m, 0, NULL, &reply), >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "h", &fd), >, 0);
        g_assert_cmpint(fstat(fd, &after), ==, 0);
        g_assert_cmpuint(after.st_ino, ==, before[0].st_ino);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "h"), >, 0);
        for (int i = 0; i < 2; i++) {
                g_assert_cmpint(sd_bus_message_read(reply, "h", &fd), >, 0);
                g_assert_cmpint(fstat(fd, &after), ==, 0);
                g_assert_cmpuint(after.st_ino, ==, before[i].st_ino);
        }
        sd_bus_message_unref(reply);
        sd_bus_message_unref(m);

        /* In a variant, and in a record, which the service copies. */
        m = new_call(f, "EchoVariant");
        append(m, "v", "h", pipes[0]);
        g_assert_cmpint(sd_bus_call(f->bus, m, 0, NULL, &reply), >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "v", "h", &fd), >, 0);
        g_assert_cmpint(fstat(fd, &after), ==, 0);
        g_assert_cmpuint(after.st_ino, ==, before[0].st_ino);
        sd_bus_message_unref(reply);
        sd_bus_message_unref(m);
        m = new_call(f, "EchoOptions");
        append(m, "a{sv}", 2, "name", "s", "n", "file", "h", pipes[0]);
        g_assert_cmpint(sd_bus_call(f->bus, m, 0, NULL, &reply), >=, 0);
        sd_bus_message_unref(reply);
        sd_bus_message_unref(m);
        close(pipes[0]);
        close(pipes[1]);
}

static void test_no_leaked_descriptors(struct caller *f, gconstpointer data) {
        sd_bus_message *m, *reply;
        int fd, first;

        first = dup(0);
        close(first);
        for (int i = 0; i < 100; i++) {
                m = new_call(f, "EchoOptions");
                append(m, "a{sv}", 3, "name", "s", "n", "file", "h", 0, "anything", "v", "h", 0);
                g_assert_cmpint(sd_bus_call(f->bus, m, 0, NULL, &reply), >=, 0);
                sd_bus_message_unref(reply);
                sd_bus_message_unref(m);
        }
        g_assert_cmpint(sd_bus_call_method(f->bus, EVERYTHING, "Old", NULL, &reply, NULL), >=, 0);
        sd_bus_message_unref(reply);
        fd = dup(0);
        close(fd);
        g_assert_cmpint(fd, ==, first);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(name, function) g_test_add("/idl/service/" name, struct caller, NULL, caller_set_up, function, caller_tear_down)
        add("basic-types", test_basic);
        add("arrays", test_arrays);
        add("containers-in-containers", test_nested);
        add("variants", test_variants);
        add("enums", test_colors);
        add("records/all-keys", test_options_all);
        add("records/defaults", test_options_defaults);
        add("records/refused", test_options_refused);
        add("enums/refused", test_enum_refused);
        add("wrong-signature-is-refused", test_wrong_signature);
        add("memory-of-arguments-is-bounded", test_memory_is_bounded);
        add("descriptors", test_files);
        add("descriptors/do-not-leak", test_no_leaked_descriptors);
        return g_test_run();
}
