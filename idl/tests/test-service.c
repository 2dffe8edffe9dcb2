/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Calls of a service made from generated code: answered at once, later or never, with an error, and how they are counted.
 *
 * With --introspect, prints what the service says about itself instead, for xcp-idl-compare.
 */

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "caller.h"
#include "idl-errors.h"

static int keep_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        *(sd_bus_message **) userdata = sd_bus_message_ref(m);
        return 1;
}

static sd_bus_message *later(struct caller *f, const char *how) {
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

static void test_later(struct caller *f, gconstpointer data) {
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
static void test_never(struct caller *f, gconstpointer data) {
        sd_bus_message *reply;

        g_assert_cmpint(sd_bus_call_method_async(f->bus, NULL, EVERYTHING, "Later", keep_reply, &reply, "s", "never"), >=, 0);
        g_assert_cmpint(sd_bus_call_method(f->bus, EVERYTHING, "Old", NULL, &reply, NULL), >=, 0);
        sd_bus_message_unref(reply);
}

static void test_errors(struct caller *f, gconstpointer data) {
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

static void test_failing_after_the_answer(struct caller *f, gconstpointer data) {
        sd_bus_message *reply;

        g_assert_cmpint(sd_bus_call_method(f->bus, EVERYTHING, "Fail", NULL, &reply, "s", "answered"), >=, 0);
        sd_bus_message_unref(reply);
        g_assert_cmpint(sd_bus_call_method(f->bus, EVERYTHING, "Old", NULL, &reply, NULL), >=, 0);
        sd_bus_message_unref(reply);
}

/* GLib finds the sentence only if there is nothing else. */
static void test_error_is_one_string(struct caller *f, gconstpointer data) {
        sd_bus_message *answer = NULL;

        g_assert_cmpint(sd_bus_call_method_async(f->bus, NULL, EVERYTHING, "Fail", keep_reply, &answer, "s", "error"), >=, 0);
        while (!answer) {
                g_assert_cmpint(sd_bus_process(f->bus, NULL), >=, 0);
                g_assert_cmpint(sd_bus_wait(f->bus, 10 * 1000), >=, 0);
        }
        g_assert_cmpstr(sd_bus_message_get_signature(answer, true), ==, "s");
        sd_bus_message_unref(answer);
}

static void test_no_reply(struct caller *f, gconstpointer data) {
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

static void test_counted(struct caller *f, gconstpointer data) {
        const char *const names[] = { "Fail", "Later", "Poke", "Missing", "Old" };
        const struct { uint64_t n_calls, n_failed; } expected[] = { { 3, 3 }, { 4, 2 }, { 2, 0 }, { 1, 1 }, { 0, 0 } };
        uint64_t n_errors = counted_errors(IDL_ERROR_BAD_POWER_STATE), n_cancelled = counted_errors(IDL_ERROR_CANCELLED);
        struct idl_method before[G_N_ELEMENTS(names)], after;

        caller_tear_down(f, NULL);                     /* the service counts in its thread until that ends */
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                before[i] = counted(names[i]);
        caller_set_up(f, NULL);
        test_errors(f, NULL);
        test_later(f, NULL);
        test_no_reply(f, NULL);
        caller_tear_down(f, NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                after = counted(names[i]);
                g_assert_cmpuint(after.n_calls - before[i].n_calls, ==, expected[i].n_calls);
                g_assert_cmpuint(after.n_failed - before[i].n_failed, ==, expected[i].n_failed);
                g_assert_cmpint(after.nsec > before[i].nsec, ==, expected[i].n_calls > 0);
        }
        g_assert_cmpuint(counted_errors(IDL_ERROR_BAD_POWER_STATE) - n_errors, ==, 1);
        g_assert_cmpuint(counted_errors(IDL_ERROR_CANCELLED) - n_cancelled, ==, 1);
        caller_set_up(f, NULL);
}

static int print_introspection(void) {
        struct caller f;
        sd_bus_message *reply;
        const char *xml;

        caller_set_up(&f, NULL);
        g_assert_cmpint(sd_bus_call_method(f.bus, NULL, TEST_PATH, "org.freedesktop.DBus.Introspectable", "Introspect", NULL, &reply, NULL),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "s", &xml), >, 0);
        fputs(xml, stdout);
        sd_bus_message_unref(reply);
        caller_tear_down(&f, NULL);
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        if (argc == 2 && strcmp(argv[1], "--introspect") == 0)
                return print_introspection();

        g_test_init(&argc, &argv, NULL);
#define add(name, function) g_test_add("/idl/service/" name, struct caller, NULL, caller_set_up, function, caller_tear_down)
        add("calls/answered-later", test_later);
        add("calls/never-answered", test_never);
        add("calls/failing-after-the-answer", test_failing_after_the_answer);
        add("calls/are-counted", test_counted);
        add("errors", test_errors);
        add("errors/are-one-string", test_error_is_one_string);
        add("no-reply", test_no_reply);
        return g_test_run();
}
