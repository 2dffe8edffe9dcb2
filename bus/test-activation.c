/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Activation files: what both brokers understand alike, and nothing else. */

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "activation.h"

#define FILE_NAME "/d/a.b.service"
#define HEAD "[D-BUS Service]\nName=a.b\n"

static void test_a_file(void) {
        static const char text[] = "# why\n\n[D-BUS Service]\n  \nName = a.b \nExec=/bin/x  one 'two \\'  \"th\\\"ree\" fo\\ ur '' \r\n";
        static const char *const expected[] = { "/bin/x", "one", "two \\", "th\"ree", "fo ur", "", NULL };
        struct activation activation;
        struct activation_error error;

        g_assert_cmpint(activation_parse(FILE_NAME, text, strlen(text), &activation, &error), ==, 0);
        g_assert_cmpstr(activation.name, ==, "a.b");
        g_assert_cmpstr(activation.file, ==, FILE_NAME);
        g_assert_true(g_strv_equal((const char *const *) activation.argv, expected));
        activation_done(&activation);
}

static void test_mistakes(void) {
        static const struct {
                const char *text;
                unsigned line;
                const char *said;
        } mistakes[] = {
                { "", 0, "Name is missing" },
                { HEAD, 0, "Exec is missing" },
                { "[D-BUS Service]\nName=a.c\nExec=/x\n", 0, "called after its Name" },
                { "Name=a.b\n", 1, "before [D-BUS Service]" },
                { "[Other]\n", 1, "the only section" },
                { HEAD "[D-BUS Service]\n", 3, "once" },
                { HEAD "Name=a.b\n", 3, "second Name" },
                { HEAD "Exec=/x\nExec=/x\n", 4, "second Exec" },
                { HEAD "User=root\n", 3, "a key other than" },
                { HEAD "SystemdService=x.service\n", 3, "a key other than" },
                { HEAD "nonsense\n", 3, "neither" },
                { HEAD "Exec=x\n", 3, "absolute path" },
                { HEAD "Exec=\n", 3, "absolute path" },
                { HEAD "Exec=/x 'y\n", 3, "not closed" },
                { HEAD "Exec=/x \"y\\\"\n", 3, "not closed" },
                { HEAD "Exec=/x \\\n", 3, "backslash" },
                { "[D-BUS Service]\nName=a\n", 2, "not a bus name" },
                { "[D-BUS Service]\nName=:1.2\n", 2, "not a bus name" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(mistakes); i++) {
                struct activation activation;
                struct activation_error error = {};

                g_assert_cmpint(activation_parse(FILE_NAME, mistakes[i].text, strlen(mistakes[i].text), &activation, &error), ==, -EINVAL);
                g_test_message("%u: %s", error.line, error.text);
                g_assert_cmpuint(error.line, ==, mistakes[i].line);
                g_assert_nonnull(strstr(error.text, mistakes[i].said));
        }
}

static void test_number_of_arguments(void) {
        g_autoptr(GString) text = g_string_new(HEAD "Exec=/x");
        struct activation activation;
        struct activation_error error = {};

        for (int i = 0; i < 63; i++)
                g_string_append(text, " y");
        g_assert_cmpint(activation_parse(FILE_NAME, text->str, text->len, &activation, &error), ==, 0);
        g_assert_cmpuint(g_strv_length(activation.argv), ==, 64);
        activation_done(&activation);
        g_string_append(text, " y");
        g_assert_cmpint(activation_parse(FILE_NAME, text->str, text->len, &activation, &error), ==, -EINVAL);
}

static void write_file(const char *directory, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void remove_file(const char *directory, const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        g_unlink(path);
}

static void test_directories(void) {
        g_autofree char *first = g_dir_make_tmp("xcp-XXXXXX", NULL), *second = g_dir_make_tmp("xcp-XXXXXX", NULL);
        AUTO_ACTIVATIONS activations = {};

        write_file(first, "a.b.service", HEAD "Exec=/first\n");
        write_file(first, "template.service.in", "no matter");
        write_file(first, ".a.c.service", "no matter");
        write_file(second, "a.b.service", HEAD "Exec=/second\n");
        g_assert_cmpint(activations_add_directory(&activations, "/no/such/directory"), ==, 0);
        g_assert_cmpint(activations_add_directory(&activations, first), ==, 0);
        g_assert_cmpint(activations_add_directory(&activations, second), ==, 0);
        g_assert_cmpuint(activations.n_items, ==, 1);
        g_assert_cmpstr(activations.items[0].argv[0], ==, "/first");

        write_file(second, "a.b.service", "broken");
        g_assert_cmpint(activations_add_directory(&activations, second), ==, -EINVAL);

        remove_file(first, "a.b.service");
        remove_file(first, "template.service.in");
        remove_file(first, ".a.c.service");
        remove_file(second, "a.b.service");
        g_rmdir(first);
        g_rmdir(second);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/activation/a-file", test_a_file);
        g_test_add_func("/activation/mistakes-have-a-line", test_mistakes);
        g_test_add_func("/activation/number-of-arguments", test_number_of_arguments);
        g_test_add_func("/activation/directories", test_directories);
        return g_test_run();
}
