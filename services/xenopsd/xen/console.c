/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "store-watch.h"

#define CHUNK_SIZE 4096u
#define LAST_WORDS_MAX (64 * CHUNK_SIZE)        /* of a terminal that goes */

/* One way: bytes that one end has given and the other not taken. */
struct pipe {
        char data[CHUNK_SIZE];
        size_t from, n;
};

struct console_relay {
        sd_event *event;
        struct store_watch *watch;
        uint32_t domid;
        int socket_fd, tty_fd;
        sd_event_source *socket, *tty;
        struct store_node *serial_node, *console_node;
        char *path;                     /* of the terminal that is open */
        struct pipe to_guest, from_guest;
};

static void close_tty(struct console_relay *console) {
        console->tty = sd_event_source_disable_unref(console->tty);
        if (console->tty_fd >= 0)
                close(console->tty_fd);
        console->tty_fd = -1;
        free(console->path);
        console->path = NULL;
        console->to_guest.n = 0;
}

static void close_socket(struct console_relay *console) {
        console->socket = sd_event_source_disable_unref(console->socket);
        if (console->socket_fd >= 0)
                close(console->socket_fd);
        console->socket_fd = -1;
}

/* Returns whether the end that is written to is still there. */
static bool drain(struct pipe *pipe, int fd) {
        while (pipe->n > 0) {
                ssize_t n = write(fd, pipe->data + pipe->from, pipe->n);

                if (n < 0)
                        return errno == EAGAIN || errno == EINTR;
                pipe->from += (size_t) n;
                pipe->n -= (size_t) n;
        }
        return true;
}

/* Returns whether the end that is read from is still there. */
static bool fill(struct pipe *pipe, int fd) {
        ssize_t n;

        if (pipe->n > 0)
                return true;
        n = read(fd, pipe->data, sizeof pipe->data);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        pipe->from = 0;
        pipe->n = (size_t) n;
        return n > 0;
}

/* Reads what there is room for, and waits for room where something is left. */
static void wait_for(struct console_relay *console) {
        if (console->socket)
                sd_event_source_set_io_events(console->socket, (console->tty && console->to_guest.n == 0 ? EPOLLIN : 0u) |
                                                               (console->from_guest.n > 0 ? EPOLLOUT : 0u));
        if (console->tty)
                sd_event_source_set_io_events(console->tty, (console->from_guest.n == 0 ? EPOLLIN : 0u) |
                                                            (console->to_guest.n > 0 ? EPOLLOUT : 0u));
}

static int on_tty(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct console_relay *console = userdata;
        bool is_there;

        is_there = fill(&console->from_guest, fd);
        if (console->socket_fd >= 0 && !drain(&console->from_guest, console->socket_fd))
                close_socket(console);
        if (is_there && events & EPOLLOUT)
                is_there = drain(&console->to_guest, fd);
        if (!is_there)
                close_tty(console);
        wait_for(console);
        return 0;
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct console_relay *console = userdata;
        bool is_there = true;

        if (events & (EPOLLHUP | EPOLLERR) && !(events & EPOLLIN))
                is_there = false;
        if (is_there && events & EPOLLIN)
                is_there = fill(&console->to_guest, fd);
        if (console->tty_fd >= 0 && !drain(&console->to_guest, console->tty_fd))
                close_tty(console);
        if (is_there && events & EPOLLOUT)
                is_there = drain(&console->from_guest, fd);
        if (!is_there)
                close_socket(console);
        wait_for(console);
        return 0;
}

/* The terminal */

static char *read_path(struct console_relay *console, const char *node) {
        char path[64], *text;

        snprintf(path, sizeof path, "/local/domain/%" PRIu32 "/%s", console->domid, node);
        text = store_watch_read(console->watch, path);
        if (text && text[0] == '/')
                return text;
        free(text);
        return NULL;
}

static int open_tty(struct console_relay *console, const char *path) {
        struct termios termios;
        int r;

        console->tty_fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        if (console->tty_fd < 0)
                return -errno;
        if (tcgetattr(console->tty_fd, &termios) == 0) {
                cfmakeraw(&termios);
                (void) tcsetattr(console->tty_fd, TCSANOW, &termios);
        }
        r = sd_event_add_io(console->event, &console->tty, console->tty_fd, EPOLLIN, on_tty, console);
        if (r >= 0) {
                console->path = strdup(path);
                r = console->path ? 0 : -ENOMEM;
        }
        if (r < 0)
                close_tty(console);
        return r;
}

static void take_tty(struct console_relay *console, const char *path) {
        int r;

        if (console->path && strcmp(console->path, path) == 0)
                return;
        close_tty(console);
        r = open_tty(console, path);
        if (r < 0)
                log_event(LOG_WARNING, NULL, "Cannot open the console of domain %" PRIu32 ", %s: %s", console->domid, path,
                          strerrordesc_np(-r) ?: "unknown error");
        wait_for(console);
}

/* The serial line of an HVM guest is its console; it has another one for Xen's drivers, as the others have. */
static void on_serial_node(void *userdata) {
        struct console_relay *console = userdata;
        AUTO_FREE char *path = read_path(console, "serial/0/tty");

        if (path)
                take_tty(console, path);
}

/* It says nothing about the serial line's terminal, whose node outlives it when the domain goes: by then its name may be that of another's. */
static void on_console_node(void *userdata) {
        struct console_relay *console = userdata;
        AUTO_FREE char *serial = read_path(console, "serial/0/tty");
        AUTO_FREE char *path = serial ? NULL : read_path(console, "console/tty");

        if (path)
                take_tty(console, path);
}

static int watch_node(struct console_relay *console, const char *name, store_on_change_t on_change, struct store_node **ret_node) {
        char path[64];

        snprintf(path, sizeof path, "/local/domain/%" PRIu32 "/%s", console->domid, name);
        return store_node_new(ret_node, console->watch, path, on_change, console);
}

int console_relay_follow(struct console_relay *console, uint32_t domid) {
        int r;

        console_relay_leave(console);
        console->domid = domid;
        r = watch_node(console, "console/tty", on_console_node, &console->console_node);
        return r < 0 ? r : watch_node(console, "serial/0/tty", on_serial_node, &console->serial_node);
}

static void pass_last_words(struct console_relay *console) {
        struct pipe *pipe = &console->from_guest;

        for (size_t n = 0; n < LAST_WORDS_MAX; n += CHUNK_SIZE)
                if (!fill(pipe, console->tty_fd) || pipe->n == 0 || !drain(pipe, console->socket_fd))
                        break;
}

void console_relay_leave(struct console_relay *console) {
        console->console_node = store_node_free(console->console_node);
        console->serial_node = store_node_free(console->serial_node);
        if (console->tty_fd >= 0 && console->socket_fd >= 0)
                pass_last_words(console);
        close_tty(console);
        wait_for(console);
}

/* All of it */

int console_relay_new(struct console_relay **ret_console, sd_event *event, struct store_watch *watch, int *ret_fd) {
        struct console_relay *console = malloc(sizeof *console);
        int fds[2], r;

        if (!console)
                return -ENOMEM;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
                r = -errno;
                free(console);
                return r;
        }
        *console = (struct console_relay) { .event = event, .watch = watch, .socket_fd = fds[0], .tty_fd = -1 };
        r = sd_event_add_io(event, &console->socket, fds[0], 0, on_socket, console);
        if (r < 0) {
                close(fds[1]);
                console_relay_free(console);
                return r;
        }
        *ret_console = console;
        *ret_fd = fds[1];
        return 0;
}

struct console_relay *console_relay_free(struct console_relay *console) {
        if (!console)
                return NULL;
        console_relay_leave(console);
        close_socket(console);
        free(console);
        return NULL;
}
