/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connections to a socket: from when they wait to be accepted until either end has gone. */

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "connections.h"

static void test_from_first_to_last(void) {
        g_autofree char *directory = g_dir_make_tmp("xcp-connections-XXXXXX", NULL);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int listening, clients[2], accepted;

        g_assert_nonnull(directory);
        snprintf(address.sun_path, sizeof address.sun_path, "%s/a socket", directory);
        g_assert_cmpint(connections_count(address.sun_path), ==, 0);
        listening = socket(AF_UNIX, SOCK_STREAM, 0);
        g_assert_cmpint(bind(listening, (const struct sockaddr *) &address, sizeof address), ==, 0);
        g_assert_cmpint(listen(listening, 4), ==, 0);
        g_assert_cmpint(connections_count(address.sun_path), ==, 0);

        for (int i = 0; i < 2; i++) {
                clients[i] = socket(AF_UNIX, SOCK_STREAM, 0);
                g_assert_cmpint(connect(clients[i], (const struct sockaddr *) &address, sizeof address), ==, 0);
                g_assert_cmpint(connections_count(address.sun_path), ==, i + 1);
        }
        accepted = accept(listening, NULL, NULL);
        g_assert_cmpint(connections_count(address.sun_path), ==, 2);

        unlink(address.sun_path);               /* as that of a service that has moved is */
        g_assert_cmpint(connections_count(address.sun_path), ==, 2);
        close(accepted);
        g_assert_cmpint(connections_count(address.sun_path), ==, 1);
        close(listening);
        g_assert_cmpint(connections_count(address.sun_path), ==, 0);
        close(clients[0]);
        close(clients[1]);
        g_rmdir(directory);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/connections/from-the-first-to-the-last", test_from_first_to_last);
        return g_test_run();
}
