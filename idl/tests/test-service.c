/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A service made from generated code, called by an sd-bus client that knows nothing of it.
 *
 * With --introspect, prints what the service says about itself instead, for xcp-idl-compare.
 */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "idl-errors.h"
#include "peer.h"
#include "service.h"
#include "test1-everything.h"

#define EVERYTHING NULL, TEST_PATH, TEST1_EVERYTHING_INTERFACE   /* destination, path, interface */

struct fixture {
        struct peer peer;
        sd_bus *bus;
};

static void set_up(struct fixture *f, gconstpointer data) {
        int fd;

        peer_start(&f->peer, &fd);
        g_assert_cmpint(sd_bus_new(&f->bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(f->bus, fd, fd), >=, 0);
        g_assert_cmpint(sd_bus_negotiate_fds(f->bus, true), >=, 0);
        g_assert_cmpint(sd_bus_start(f->bus), >=, 0);
}

static void tear_down(struct fixture *f, gconstpointer data) {
        sd_bus_flush_close_unref(f->bus);
        peer_join(&f->peer);
}

static sd_bus_message *new_call(struct fixture *f, const char *member) {
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_method_call(f->bus, &m, EVERYTHING, member), >=, 0);
        return m;
}

static char *body_text(sd_bus_message *m) {
        char *text = NULL;
        size_t size;
        FILE *to = open_memstream(&text, &size);

        sd_bus_message_rewind(m, true);
        g_assert_cmpint(sd_bus_message_dump(m, to, SD_BUS_MESSAGE_DUMP_SUBTREE_ONLY), >=, 0);
        fclose(to);
        return text;
}

/* Calls, and checks that what comes back is what was sent. Consumes the call. */
static void check_echo(struct fixture *f, sd_bus_message *call) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        char *sent, *received;
        int r;

        r = sd_bus_call(f->bus, call, 0, &error, &reply);
        if (r < 0)
                g_error("%s: %s", error.name, error.message);
        sent = body_text(call);
        received = body_text(reply);
        g_assert_cmpstr(sd_bus_message_get_signature(reply, true), ==, sd_bus_message_get_signature(call, true));
        g_assert_cmpstr(sent, ==, received);
        free(sent);
        free(received);
        sd_bus_message_unref(reply);
        sd_bus_message_unref(call);
}

#define append(m, ...) g_assert_cmpint(sd_bus_message_append(m, __VA_ARGS__), >=, 0)

static void test_basic(struct fixture *f, gconstpointer data) {
        sd_bus_message *m;

        m = new_call(f, "EchoBasic");
        append(m, "ybnqiuxtdsog", UINT8_MAX, true, INT16_MIN, UINT16_MAX, INT32_MIN, UINT32_MAX, INT64_MIN, UINT64_MAX, -0.5, "äöü \n",
               "/a/b", "a{sv}");
        check_echo(f, m);
        m = new_call(f, "EchoBasic");
        append(m, "ybnqiuxtdsog", 0, false, 0, 0, 0, 0, INT64_C(0), UINT64_C(0), 0.0, "", "/", "");
        check_echo(f, m);
}

static void test_arrays(struct fixture *f, gconstpointer data) {
        sd_bus_message *m;

        m = new_call(f, "EchoArrays");
        append(m, "ayabanaqaiauaxatadasaoag", 3, 1, 2, 3, 3, true, false, true, 1, -7, 2, 1, 2, 3, -1, 0, 1, 1, UINT32_MAX, 2, INT64_MIN,
               INT64_MAX, 1, UINT64_MAX, 2, 0.25, -1e300, 2, "a", "", 2, "/", "/a", 3, "", "as", "(ii)");
        check_echo(f, m);
        m = new_call(f, "EchoArrays");
        append(m, "ayabanaqaiauaxatadasaoag", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        check_echo(f, m);
}

static void test_nested(struct fixture *f, gconstpointer data) {
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

static void echo_variant(struct fixture *f, const char *types, ...) {
        sd_bus_message *m = new_call(f, "EchoVariant");
        va_list ap;

        g_assert_cmpint(sd_bus_message_open_container(m, 'v', types), >=, 0);
        va_start(ap, types);
        g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
        va_end(ap);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        check_echo(f, m);
}

static void test_variants(struct fixture *f, gconstpointer data) {
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

static void test_colors(struct fixture *f, gconstpointer data) {
        sd_bus_message *m;

        m = new_call(f, "EchoColors");
        append(m, "sas", "DarkGreen", 3, "Red", "Blue", "Red");
        check_echo(f, m);
}

/* Calls, and checks the error: its name and its sentence. Consumes the call. */
static void check_error(struct fixture *f, sd_bus_message *call, const char *name, const char *message) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;

        g_assert_cmpint(sd_bus_call(f->bus, call, 0, &error, &reply), <, 0);
        g_assert_null(reply);
        g_assert_cmpstr(error.name, ==, name);
        g_assert_cmpstr(error.message, ==, message);
        sd_bus_error_free(&error);
        sd_bus_message_unref(call);
}

static void test_options_all(struct fixture *f, gconstpointer data) {
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

static void test_options_defaults(struct fixture *f, gconstpointer data) {
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

static void test_options_refused(struct fixture *f, gconstpointer data) {
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

static void test_enum_refused(struct fixture *f, gconstpointer data) {
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

static void test_wrong_signature(struct fixture *f, gconstpointer data) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = new_call(f, "EchoColors");

        append(m, "s", "Red");
        g_assert_cmpint(sd_bus_call(f->bus, m, 0, &error, NULL), <, 0);
        g_assert_cmpstr(error.name, ==, SD_BUS_ERROR_INVALID_ARGS);
        sd_bus_error_free(&error);
        sd_bus_message_unref(m);
}

/* Every empty record costs 4 bytes in the message and over a hundred in the service. */
static void test_memory_is_bounded(struct fixture *f, gconstpointer data) {
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

static void test_files(struct fixture *f, gconstpointer data) {
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

static int keep_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        *(sd_bus_message **) userdata = sd_bus_message_ref(m);
        return 1;
}

static sd_bus_message *later(struct fixture *f, const char *how) {
        sd_bus_message *answer = NULL, *reply;

        g_assert_cmpint(sd_bus_call_method_async(f->bus, NULL, EVERYTHING, "Later", keep_reply, &answer, "s", "some text"), >=, 0);
        g_assert_cmpint(sd_bus_call_method(f->bus, EVERYTHING, "Answer", NULL, &reply, "s", how), >=, 0);
        sd_bus_message_unref(reply);
        while (!answer) {
                g_assert_cmpint(sd_bus_process(f->bus, NULL), >=, 0);
                if (!answer)
                        g_assert_cmpint(sd_bus_wait(f->bus, 100 * 1000), >=, 0);
        }
        return answer;
}

static void test_later(struct fixture *f, gconstpointer data) {
        const char *const how[] = { "reply", "twice" };
        sd_bus_message *answer;
        const char *text;

        for (size_t i = 0; i < G_N_ELEMENTS(how); i++) {
                answer = later(f, how[i]);
                g_assert_cmpint(sd_bus_message_read(answer, "s", &text), >, 0);
                g_assert_cmpstr(text, ==, "some text");
                sd_bus_message_unref(answer);
        }

        answer = later(f, "fail");
        g_assert_true(sd_bus_message_is_method_error(answer, IDL_ERROR_CANCELLED));
        sd_bus_message_unref(answer);

        answer = later(f, "forget");
        g_assert_true(sd_bus_message_is_method_error(answer, IDL_ERROR_INTERNAL));
        g_assert_cmpstr(sd_bus_message_get_error(answer)->message, ==, "Later: the service ended the call without an answer");
        sd_bus_message_unref(answer);
}

/* The service has the call when its bus ends. */
static void test_never(struct fixture *f, gconstpointer data) {
        sd_bus_message *reply;

        g_assert_cmpint(sd_bus_call_method_async(f->bus, NULL, EVERYTHING, "Later", keep_reply, &reply, "s", "never"), >=, 0);
        g_assert_cmpint(sd_bus_call_method(f->bus, EVERYTHING, "Old", NULL, &reply, NULL), >=, 0);
        sd_bus_message_unref(reply);
}

static void test_errors(struct fixture *f, gconstpointer data) {
        sd_bus_message *m;

        m = new_call(f, "Fail");
        append(m, "s", "error");
        check_error(f, m, IDL_ERROR_BAD_POWER_STATE, "The VM is Running, and has to be Halted for this");

        m = new_call(f, "Fail");
        append(m, "s", "errno");
        check_error(f, m, IDL_ERROR_INTERNAL, "Fail: Invalid cross-device link");

        m = new_call(f, "Fail");
        append(m, "s", "memory");
        check_error(f, m, IDL_ERROR_OUT_OF_MEMORY, "The service has no memory left for Fail");

        m = new_call(f, "Answer");
        append(m, "s", "reply");
        check_error(f, m, IDL_ERROR_DOES_NOT_EXIST, "There is no call 'Later'");

        check_error(f, new_call(f, "Missing"), IDL_ERROR_NOT_SUPPORTED, "Missing is not supported here");
}

static void test_failing_after_the_answer(struct fixture *f, gconstpointer data) {
        sd_bus_message *reply;

        g_assert_cmpint(sd_bus_call_method(f->bus, EVERYTHING, "Fail", NULL, &reply, "s", "answered"), >=, 0);
        sd_bus_message_unref(reply);
        g_assert_cmpint(sd_bus_call_method(f->bus, EVERYTHING, "Old", NULL, &reply, NULL), >=, 0);
        sd_bus_message_unref(reply);
}

/* GLib finds the sentence only if there is nothing else. */
static void test_error_is_one_string(struct fixture *f, gconstpointer data) {
        sd_bus_message *answer = NULL;

        g_assert_cmpint(sd_bus_call_method_async(f->bus, NULL, EVERYTHING, "Fail", keep_reply, &answer, "s", "error"), >=, 0);
        while (!answer) {
                g_assert_cmpint(sd_bus_process(f->bus, NULL), >=, 0);
                g_assert_cmpint(sd_bus_wait(f->bus, 10 * 1000), >=, 0);
        }
        g_assert_cmpstr(sd_bus_message_get_signature(answer, true), ==, "s");
        sd_bus_message_unref(answer);
}

static void test_no_reply(struct fixture *f, gconstpointer data) {
        sd_bus_message *m, *reply;
        uint32_t poked;

        /* Nobody waits. */
        m = new_call(f, "Poke");
        append(m, "u", 3);
        g_assert_cmpint(sd_bus_message_set_expect_reply(m, false), >=, 0);
        g_assert_cmpint(sd_bus_send(f->bus, m, NULL), >=, 0);
        sd_bus_message_unref(m);

        /* Somebody does all the same. */
        g_assert_cmpint(sd_bus_call_method(f->bus, EVERYTHING, "Poke", NULL, &reply, "u", 4), >=, 0);
        g_assert_true(sd_bus_message_is_empty(reply));
        sd_bus_message_unref(reply);

        g_assert_cmpint(sd_bus_get_property_trivial(f->bus, EVERYTHING, "Poked", NULL, 'u', &poked), >=, 0);
        g_assert_cmpuint(poked, ==, 7);
}

/* What is counted of a method. */
static struct idl_method counted(const char *name) {
        for (const struct idl_interface *i = idl_interface_first(); i; i = idl_interface_next(i))
                if (strcmp(i->name, TEST1_EVERYTHING_INTERFACE) == 0)
                        for (size_t k = 0; k < i->n_methods; k++)
                                if (strcmp(i->methods[k].name, name) == 0)
                                        return i->methods[k];
        g_error("%s is not counted", name);
}

static uint64_t counted_errors(const char *name) {
        for (size_t i = 0; i < IDL_ERRORS_N; i++)
                if (strcmp(idl_error_names[i], name) == 0)
                        return idl_call_n_failed(i);
        g_error("%s is not counted", name);
}

static void test_counted(struct fixture *f, gconstpointer data) {
        const char *const names[] = { "Fail", "Later", "Poke", "Missing", "Old" };
        const struct { uint64_t n_calls, n_failed; } expected[] = { { 3, 3 }, { 4, 2 }, { 2, 0 }, { 1, 1 }, { 0, 0 } };
        uint64_t n_errors = counted_errors(IDL_ERROR_BAD_POWER_STATE), n_cancelled = counted_errors(IDL_ERROR_CANCELLED);
        struct idl_method before[G_N_ELEMENTS(names)], after;

        tear_down(f, NULL);                     /* the service counts in its thread until that ends */
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                before[i] = counted(names[i]);
        set_up(f, NULL);
        test_errors(f, NULL);
        test_later(f, NULL);
        test_no_reply(f, NULL);
        tear_down(f, NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                after = counted(names[i]);
                g_assert_cmpuint(after.n_calls - before[i].n_calls, ==, expected[i].n_calls);
                g_assert_cmpuint(after.n_failed - before[i].n_failed, ==, expected[i].n_failed);
                g_assert_cmpint(after.nsec > before[i].nsec, ==, expected[i].n_calls > 0);
        }
        g_assert_cmpuint(counted_errors(IDL_ERROR_BAD_POWER_STATE) - n_errors, ==, 1);
        g_assert_cmpuint(counted_errors(IDL_ERROR_CANCELLED) - n_cancelled, ==, 1);
        set_up(f, NULL);
}

static void test_failing_getter(struct fixture *f, gconstpointer data) {
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

static void test_properties(struct fixture *f, gconstpointer data) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
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

        g_assert_cmpint(sd_bus_set_property(f->bus, EVERYTHING, "Items", NULL, "a(sa{sv})", 2, "one", 1, "k", "(ii)", 1, 2, "two", 0),
                        >=, 0);
        g_assert_cmpint(sd_bus_get_property(f->bus, EVERYTHING, "Items", NULL, &reply, "a(sa{sv})"), >=, 0);
        free(text);
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

static void test_tree(struct fixture *f, gconstpointer data) {
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
static void test_object_manager(struct fixture *f, gconstpointer data) {
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

static void test_no_leaked_descriptors(struct fixture *f, gconstpointer data) {
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

static int print_introspection(void) {
        struct fixture f;
        sd_bus_message *reply;
        const char *xml;

        set_up(&f, NULL);
        g_assert_cmpint(sd_bus_call_method(f.bus, NULL, TEST_PATH, "org.freedesktop.DBus.Introspectable", "Introspect", NULL, &reply, NULL),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "s", &xml), >, 0);
        fputs(xml, stdout);
        sd_bus_message_unref(reply);
        tear_down(&f, NULL);
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        if (argc == 2 && strcmp(argv[1], "--introspect") == 0)
                return print_introspection();

        g_test_init(&argc, &argv, NULL);
#define add(name, function) g_test_add("/idl/service/" name, struct fixture, NULL, set_up, function, tear_down)
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
        add("calls/answered-later", test_later);
        add("calls/never-answered", test_never);
        add("calls/failing-after-the-answer", test_failing_after_the_answer);
        add("calls/are-counted", test_counted);
        add("errors", test_errors);
        add("errors/are-one-string", test_error_is_one_string);
        add("no-reply", test_no_reply);
        add("properties", test_properties);
        add("properties/failing-getter", test_failing_getter);
        add("tree", test_tree);
        add("tree/object-manager", test_object_manager);
        return g_test_run();
}
