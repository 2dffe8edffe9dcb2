/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Readiness: what those who wait get to see. */

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "readiness.h"

static void test_descriptor(void) {
        char byte[2];
        int fds[2];

        g_assert_cmpint(pipe(fds), ==, 0);
        readiness_ready(fds[1]);
        g_assert_cmpint(read(fds[0], byte, sizeof byte), ==, 1);
        g_assert_cmpint(byte[0], ==, '\n');
        g_assert_cmpint(read(fds[0], byte, sizeof byte), ==, 0);        /* closed */
        close(fds[0]);
}

static void test_systemd(void) {
        g_autofree char *dir = g_dir_make_tmp("xcp-ready-XXXXXX", NULL);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char text[64] = "";
        int fd;

        g_snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", dir);
        fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof address), ==, 0);
        g_assert_true(g_setenv("NOTIFY_SOCKET", address.sun_path, true));
        readiness_ready(-1);
        g_assert_cmpint(recv(fd, text, sizeof text - 1, 0), ==, (gssize) strlen("READY=1"));
        g_assert_cmpstr(text, ==, "READY=1");
        readiness_stopping();
        g_assert_cmpint(recv(fd, text, sizeof text - 1, 0), ==, (gssize) strlen("STOPPING=1"));
        g_unsetenv("NOTIFY_SOCKET");
        close(fd);
        g_unlink(address.sun_path);
        g_rmdir(dir);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/readiness/a-descriptor-gets-a-newline-and-its-end", test_descriptor);
        g_test_add_func("/readiness/systemd-is-told", test_systemd);
        return g_test_run();
}
