/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Giving up privileges, each time in a child. What cannot be given up as who the test runs as is looked at as far as it can be. */

#include "privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

#define USER 65534u

/* The value of a line of /proc/self/status. */
static char *status_line(const char *key) {
        g_autofree char *text = NULL, *start = g_strdup_printf("\n%s:", key);
        char *line, *value;

        if (!g_file_get_contents("/proc/self/status", &text, NULL, NULL) || !(line = strstr(text, start)))
                abort();
        value = g_strndup(line + strlen(start), strcspn(line + strlen(start), "\n"));
        return g_strstrip(value);
}

static void check_line(const char *key, const char *value) {
        g_autofree char *found = status_line(key);

        g_assert_cmpstr(found, ==, value);
}

static void in_child(void (*function)(void)) {
        pid_t child = fork();
        int status;

        g_assert_cmpint(child, >=, 0);
        if (child == 0) {
                function();
                _exit(EXIT_SUCCESS);
        }
        g_assert_cmpint(waitpid(child, &status, 0), ==, child);
        g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
}

static void become_user(void) {
        if (geteuid() != 0) {
                g_assert_cmpint(privileges_become(USER, USER, 0), ==, -EPERM);
                return;
        }
        g_assert_cmpint(privileges_become(USER, USER, 1u << CAP_NET_BIND_SERVICE), ==, 0);
        check_line("Uid", "65534\t65534\t65534\t65534");
        check_line("Gid", "65534\t65534\t65534\t65534");
        check_line("Groups", "");
        check_line("CapPrm", "0000000000000400");
        check_line("CapEff", "0000000000000400");
        g_assert_cmpint(setresuid(0, 0, 0), ==, -1);
}

static void become_root(void) {
        if (geteuid() != 0) {
                g_assert_cmpint(privileges_become_named("root", 0), ==, -EPERM);
                return;
        }
        g_assert_cmpint(privileges_become_named("root", 1u << CAP_NET_BIND_SERVICE), ==, 0);
        check_line("Uid", "0\t0\t0\t0");
        check_line("Gid", "0\t0\t0\t0");
        check_line("CapPrm", "0000000000000400");
}

static void keep_none(void) {
        g_assert_cmpint(privileges_keep(0), ==, 0);
        check_line("CapPrm", "0000000000000000");
        check_line("CapEff", "0000000000000000");
        g_assert_cmpint(privileges_keep(1u << CAP_NET_BIND_SERVICE), ==, -EPERM);      /* not to be had again */
}

static void test_become(void) {
        in_child(become_user);
}

static void test_keep_none(void) {
        in_child(keep_none);
}

static void test_become_named(void) {
        in_child(become_root);
        g_assert_cmpint(privileges_become_named("nobody of that name", 0), ==, -ENOENT);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/privileges/become", test_become);
        g_test_add_func("/privileges/keep-none", test_keep_none);
        g_test_add_func("/privileges/become-named", test_become_named);
        return g_test_run();
}
