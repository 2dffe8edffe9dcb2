/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Consoles: which terminal they have, and that bytes pass. The store is a pretence of this file, and the terminals are its own. */

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "console.h"
#include "store-watch.h"

#define DEADLINE_MS 60000
#define DOMID 7
#define DIRECTORY "/local/domain/7/"

/* The store: what its nodes are, and who watches them. */
static struct store_node {
        const char *path, *value;
        bool is_watched;
        store_on_change_t on_change;
        void *userdata;
} serial = { .path = DIRECTORY "serial/0/tty" }, console = { .path = DIRECTORY "console/tty" };

static struct store_node *find(const char *path) {
        if (strcmp(path, serial.path) == 0)
                return &serial;
        g_assert_cmpstr(path, ==, console.path);
        return &console;
}

char *store_watch_read(struct store_watch *watch, const char *path) {
        const char *value = find(path)->value;

        return value ? strdup(value) : NULL;
}

int store_node_new(struct store_node **ret_node, struct store_watch *watch, const char *path, store_on_change_t on_change, void *userdata) {
        struct store_node *node = find(path);

        g_assert_false(node->is_watched);
        node->is_watched = true;
        node->on_change = on_change;
        node->userdata = userdata;
        *ret_node = node;
        return 0;
}

struct store_node *store_node_free(struct store_node *node) {
        if (node)
                node->is_watched = false;
        return NULL;
}

static void fire(struct store_node *node) {
        g_assert_true(node->is_watched);
        node->on_change(node->userdata);
}

static void set(struct store_node *node, const char *value) {
        node->value = value;
        fire(node);
}

/* Terminals: this end of them */

struct terminal {
        int fd;
        char *path;
};

/* It is opened once, and closed, as a terminal that nobody has had open does not yet say that it is closed. */
static struct terminal terminal_new(void) {
        struct terminal terminal = { .fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC) };
        int other_end;

        g_assert_cmpint(terminal.fd, >=, 0);
        g_assert_cmpint(grantpt(terminal.fd), ==, 0);
        g_assert_cmpint(unlockpt(terminal.fd), ==, 0);
        terminal.path = g_strdup(ptsname(terminal.fd));
        other_end = open(terminal.path, O_RDWR | O_NOCTTY | O_CLOEXEC);
        g_assert_cmpint(other_end, >=, 0);
        close(other_end);
        return terminal;
}

static void terminal_free(struct terminal *terminal) {
        if (terminal->fd >= 0)
                close(terminal->fd);
        g_free(terminal->path);
}

static bool is_open(const struct terminal *terminal) {
        struct pollfd pollfd = { .fd = terminal->fd };

        g_assert_cmpint(poll(&pollfd, 1, 0), >=, 0);
        return !(pollfd.revents & POLLHUP);
}

/* A console of a domain */

struct fixture {
        sd_event *event;
        struct console_relay *relay;
        int fd;
        struct terminal one, other;
};

static void begin(struct fixture *f) {
        *f = (struct fixture) { .one = terminal_new(), .other = terminal_new() };
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(console_relay_new(&f->relay, f->event, NULL, &f->fd), ==, 0);
        serial.value = console.value = NULL;
        g_assert_cmpint(console_relay_follow(f->relay, DOMID), ==, 0);
        fire(&console);
        fire(&serial);
}

static void done(struct fixture *f) {
        f->relay = console_relay_free(f->relay);
        g_assert_false(serial.is_watched || console.is_watched);
        close(f->fd);
        terminal_free(&f->one);
        terminal_free(&f->other);
        sd_event_unref(f->event);
}

static void run_once(struct fixture *f) {
        g_assert_cmpint(sd_event_run(f->event, DEADLINE_MS * UINT64_C(1000)), >, 0);
}

static void expect(int fd, char byte) {
        struct pollfd pollfd = { .fd = fd, .events = POLLIN };
        char got;

        g_assert_cmpint(poll(&pollfd, 1, DEADLINE_MS), ==, 1);
        g_assert_cmpint(read(fd, &got, 1), ==, 1);
        g_assert_cmpint(got, ==, byte);
}

static void check_passes(struct fixture *f, struct terminal *terminal) {
        g_assert_cmpint(write(terminal->fd, "g", 1), ==, 1);
        run_once(f);
        expect(f->fd, 'g');
        g_assert_cmpint(write(f->fd, "m", 1), ==, 1);
        run_once(f);
        expect(terminal->fd, 'm');
}

static void test_console(void) {
        struct fixture f;

        begin(&f);
        set(&console, f.one.path);
        check_passes(&f, &f.one);
        set(&console, f.other.path);    /* xenconsoled was started anew */
        g_assert_false(is_open(&f.one));
        check_passes(&f, &f.other);
        console_relay_leave(f.relay);
        g_assert_false(is_open(&f.other));
        done(&f);
}

static void test_serial(void) {
        struct fixture f;

        begin(&f);
        set(&console, f.one.path);
        g_assert_true(is_open(&f.one));
        set(&serial, f.other.path);
        g_assert_false(is_open(&f.one));
        check_passes(&f, &f.other);
        fire(&console);
        check_passes(&f, &f.other);
        done(&f);
}

/* The device model has gone, its terminal with it, and the name of that may already be another's. */
static void test_end(void) {
        struct fixture f;

        begin(&f);
        set(&serial, f.one.path);
        close(f.one.fd);
        f.one.fd = -1;
        run_once(&f);
        serial.value = f.other.path;
        set(&console, NULL);
        g_assert_false(is_open(&f.other));
        set(&serial, NULL);
        done(&f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/xen/console/bytes-pass-both-ways", test_console);
        g_test_add_func("/xen/console/a-serial-line-goes-before", test_serial);
        g_test_add_func("/xen/console/a-terminal-that-has-gone-is-not-looked-for", test_end);
        return g_test_run();
}
