/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>

#include "console.h"

struct fixture {
        sd_event *event;
        struct console *console;
        int guest;
};

static void set_up(struct fixture *f, gconstpointer data) {
        int fds[2];

        g_assert_cmpint(sd_event_new(&f->event), ==, 0);
        g_assert_cmpint(console_new(&f->console, f->event, "serial0"), ==, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), ==, 0);
        g_assert_cmpint(console_connect(f->console, fds[0]), ==, 0);
        f->guest = fds[1];
}

static void tear_down(struct fixture *f, gconstpointer data) {
        console_free(f->console);
        close(f->guest);
        sd_event_unref(f->event);
}

static void settle(struct fixture *f) {
        while (sd_event_run(f->event, 0) > 0)
                ;
}

static void assert_reads(int fd, const char *expected) {
        char data[256] = "";
        ssize_t n = recv(fd, data, sizeof data - 1, MSG_DONTWAIT);

        g_assert_cmpint(n, ==, strlen(expected));
        g_assert_cmpstr(data, ==, expected);
}

static void test_shared(struct fixture *f, gconstpointer data) {
        struct idl_error error = IDL_ERROR_NULL;
        int writer, reader, other;

        g_assert_cmpint(console_open(f->console, ":1.1", false, &writer, &error), ==, 0);
        g_assert_cmpint(console_open(f->console, ":1.2", true, &reader, &error), ==, 0);
        g_assert_cmpint(console_open(f->console, ":1.3", false, &other, &error), ==, -EBUSY);
        g_assert_nonnull(strstr(error.message, ":1.1"));
        idl_error_done(&error);

        g_assert_cmpint(write(f->guest, "login: ", 7), ==, 7);
        g_assert_cmpint(send(writer, "root\n", 5, 0), ==, 5);
        settle(f);
        assert_reads(writer, "login: ");
        assert_reads(reader, "login: ");
        assert_reads(f->guest, "root\n");
        g_assert_cmpint(send(reader, "x", 1, MSG_NOSIGNAL), <, 0);

        close(writer);
        settle(f);
        g_assert_cmpint(console_open(f->console, ":1.3", false, &other, &error), ==, 0);
        close(other);
        close(reader);
        settle(f);
}

static void test_limit(struct fixture *f, gconstpointer data) {
        struct idl_error error = IDL_ERROR_NULL;
        int fds[CONSOLE_READERS_MAX], more;

        for (size_t i = 0; i < CONSOLE_READERS_MAX; i++)
                g_assert_cmpint(console_open(f->console, ":1.1", true, fds + i, &error), ==, 0);
        g_assert_cmpint(console_open(f->console, ":1.1", true, &more, &error), ==, -E2BIG);
        idl_error_done(&error);
        for (size_t i = 0; i < CONSOLE_READERS_MAX; i++)
                close(fds[i]);
        settle(f);
        g_assert_cmpint(console_open(f->console, ":1.1", true, &more, &error), ==, 0);
        close(more);
}

/* A guest that does not read keeps its writer waiting, and loses nothing. */
static void test_backpressure(struct fixture *f, gconstpointer data) {
        struct idl_error error = IDL_ERROR_NULL;
        char chunk[1000], back[4096];
        size_t sent = 0, got = 0;
        ssize_t n;
        int writer;

        memset(chunk, 'x', sizeof chunk);
        g_assert_cmpint(console_open(f->console, ":1.1", false, &writer, &error), ==, 0);
        for (;;) {
                n = send(writer, chunk, sizeof chunk, MSG_DONTWAIT | MSG_NOSIGNAL);
                settle(f);
                if (n < 0)
                        break;
                sent += (size_t) n;
        }
        g_assert_cmpint(errno, ==, EAGAIN);
        while ((n = recv(f->guest, back, sizeof back, MSG_DONTWAIT)) > 0) {
                got += (size_t) n;
                settle(f);
        }
        g_assert_cmpuint(got, ==, sent);
        close(writer);
}

static void test_lazy_reader(struct fixture *f, gconstpointer data) {
        struct idl_error error = IDL_ERROR_NULL;
        static char chunk[4096];
        int lazy, keen;

        g_assert_cmpint(console_open(f->console, ":1.1", true, &lazy, &error), ==, 0);
        g_assert_cmpint(console_open(f->console, ":1.2", true, &keen, &error), ==, 0);
        memset(chunk, 'y', sizeof chunk);
        for (unsigned i = 0; i < 1000; i++) {           /* 4 MB: more than a socket holds */
                g_assert_cmpint(write(f->guest, chunk, sizeof chunk), ==, sizeof chunk);
                settle(f);
                while (recv(keen, chunk, sizeof chunk, MSG_DONTWAIT) > 0)
                        ;
        }
        g_assert_cmpint(write(f->guest, "end", 3), ==, 3);
        settle(f);
        assert_reads(keen, "end");
        while (recv(lazy, chunk, sizeof chunk, MSG_DONTWAIT) > 0)
                ;
        g_assert_cmpint(recv(lazy, chunk, 1, MSG_DONTWAIT), ==, 0);
        close(lazy);
        close(keen);
}

static void test_log(struct fixture *f, gconstpointer data) {
        char line[64];
        size_t n;

        for (unsigned i = 0; i < 20000; i++) {
                int size = snprintf(line, sizeof line, "line %u\n", i);

                g_assert_cmpint(write(f->guest, line, (size_t) size), ==, size);
                settle(f);
        }
        g_assert_cmpint(strncmp(console_log(f->console, 11, &n), "line 19999\n", 11), ==, 0);
        g_assert_cmpuint(n, ==, 11);
        console_log(f->console, SIZE_MAX, &n);
        g_assert_cmpuint(n, >=, CONSOLE_LOG_MIN);
        g_assert_cmpuint(n, <=, 2 * CONSOLE_LOG_MIN);
}

static void test_end(struct fixture *f, gconstpointer data) {
        struct idl_error error = IDL_ERROR_NULL;
        int reader;
        size_t n;
        char c;

        g_assert_cmpint(console_open(f->console, ":1.1", true, &reader, &error), ==, 0);
        g_assert_cmpint(write(f->guest, "bye", 3), ==, 3);
        settle(f);
        close(f->guest);
        f->guest = -1;
        settle(f);
        assert_reads(reader, "bye");
        g_assert_cmpint(recv(reader, &c, 1, 0), ==, 0);
        g_assert_false(console_is_connected(f->console));
        g_assert_cmpint(strncmp(console_log(f->console, 100, &n), "bye", 3), ==, 0);
        close(reader);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add("/console/" name, struct fixture, NULL, set_up, function, tear_down)
        TEST("many-read-and-one-writes", test_shared);
        TEST("readers-are-bounded", test_limit);
        TEST("a-guest-that-does-not-read-loses-nothing", test_backpressure);
        TEST("a-reader-that-does-not-read-is-disconnected", test_lazy_reader);
        TEST("the-log-keeps-the-end", test_log);
        TEST("the-end-of-the-guest-is-the-readers-end", test_end);
        return g_test_run();
}
