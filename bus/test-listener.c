/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The bus's socket: one at a place, however the last one ended. */

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cleanup.h"
#include "listener.h"

struct fixture {
        char *directory;
        struct listener listener;
};

static int open_at(const char *directory, struct listener *ret_listener) {
        AUTO_FREE char *path = NULL;

        return listener_open(directory, ret_listener, &path);
}

static void set_up(struct fixture *f, gconstpointer data) {
        f->directory = g_dir_make_tmp("xcp-XXXXXX", NULL);
        f->listener = LISTENER_NULL;
        g_assert_cmpint(open_at(f->directory, &f->listener), ==, 0);
}

static void tear_down(struct fixture *f, gconstpointer data) {
        listener_done(&f->listener);
        g_assert_cmpint(g_rmdir(f->directory), ==, 0);
        g_free(f->directory);
}

static int connect_to(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        g_strlcpy(address.sun_path, path, sizeof address.sun_path);
        return connect(fd, (struct sockaddr *) &address, sizeof address);
}

static void test_everybody_may_connect(struct fixture *f, gconstpointer data) {
        GStatBuf st;

        g_assert_cmpint(connect_to(f->listener.path), ==, 0);
        g_assert_cmpint(g_stat(f->listener.path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0666);
}

static void test_one_at_a_time(struct fixture *f, gconstpointer data) {
        struct listener other;

        g_assert_cmpint(open_at(f->directory, &other), ==, LISTENER_IN_USE);
        g_assert_cmpint(connect_to(f->listener.path), ==, 0);
}

/* Without the lock, as when a listener that is not ours is there. */
static void test_who_answers_is_left_alone(struct fixture *f, gconstpointer data) {
        struct listener other;

        close(f->listener.directory_fd);
        f->listener.directory_fd = -1;
        g_assert_cmpint(open_at(f->directory, &other), ==, LISTENER_IN_USE);
        g_assert_cmpint(connect_to(f->listener.path), ==, 0);
}

static void test_a_dead_socket_is_replaced(struct fixture *f, gconstpointer data) {
        struct listener other = LISTENER_NULL;

        close(f->listener.fd);
        close(f->listener.directory_fd);
        f->listener.fd = f->listener.directory_fd = -1;
        g_assert_cmpint(connect_to(f->listener.path), <, 0);
        g_assert_cmpint(open_at(f->directory, &other), ==, 0);
        g_assert_cmpint(connect_to(f->listener.path), ==, 0);
        listener_done(&other);
}

static void test_a_file_is_left_alone(struct fixture *f, gconstpointer data) {
        AUTO_FREE char *path = g_strdup(f->listener.path);
        struct listener other;

        listener_done(&f->listener);
        g_assert_true(g_file_set_contents(path, "precious", -1, NULL));
        g_assert_cmpint(open_at(f->directory, &other), ==, LISTENER_NOT_A_SOCKET);
        g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
        g_unlink(path);
}

static void test_length_of_the_path(struct fixture *f, gconstpointer data) {
        g_autofree char *name = g_strnfill(LISTENER_PATH_MAX - strlen(f->directory) - strlen("//bus"), 'd');
        g_autofree char *fits = g_build_filename(f->directory, name, NULL), *too_long = g_strdup_printf("%sd", fits);
        struct listener other = LISTENER_NULL;

        g_assert_cmpint(g_mkdir(fits, 0700), ==, 0);
        g_assert_cmpint(open_at(fits, &other), ==, 0);
        g_assert_cmpuint(strlen(other.path), ==, LISTENER_PATH_MAX);
        listener_done(&other);
        g_rmdir(fits);
        g_assert_cmpint(open_at(too_long, &other), ==, LISTENER_TOO_LONG);
}

#define ADD(name, function) g_test_add("/listener/" name, struct fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("everybody-may-connect", test_everybody_may_connect);
        ADD("one-at-a-time", test_one_at_a_time);
        ADD("who-answers-is-left-alone", test_who_answers_is_left_alone);
        ADD("a-dead-socket-is-replaced", test_a_dead_socket_is_replaced);
        ADD("a-file-is-left-alone", test_a_file_is_left_alone);
        ADD("length-of-the-path", test_length_of_the_path);
        return g_test_run();
}
