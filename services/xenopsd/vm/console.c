/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 4096u

struct reader {
        struct console *console;
        struct reader *next;
        char *owner;
        bool writes;
        int fd;
        sd_event_source *source;
};

struct console {
        sd_event *event;
        char *name;
        int fd;                         /* to the guest; -1 */
        sd_event_source *source;
        struct reader *readers;
        size_t n_readers;
        char *log;
        size_t n_log, n_allocated;
        char input[CHUNK];              /* on its way to the guest */
        size_t n_input;
};

static void set_events(sd_event_source *source, uint32_t events) {
        if (source)
                sd_event_source_set_io_events(source, events);
}

static struct reader *writer(const struct console *console) {
        for (struct reader *reader = console->readers; reader; reader = reader->next)
                if (reader->writes)
                        return reader;
        return NULL;
}

static void reader_free(struct reader *reader) {
        for (struct reader **p = &reader->console->readers; *p; p = &(*p)->next)
                if (*p == reader) {
                        *p = reader->next;
                        reader->console->n_readers--;
                        break;
                }
        sd_event_source_disable_unref(reader->source);
        close(reader->fd);
        free(reader->owner);
        free(reader);
}

/* Keeps between CONSOLE_LOG_MIN and twice as much, so that moving costs little. */
static void add_to_log(struct console *console, const char *data, size_t size) {
        if (console->n_log + size > console->n_allocated && console->n_allocated < 2 * CONSOLE_LOG_MIN) {
                size_t n = console->n_allocated > 0 ? 2 * console->n_allocated : 512;
                char *log;

                while (n < console->n_log + size)
                        n *= 2;
                if (n > 2 * CONSOLE_LOG_MIN)
                        n = 2 * CONSOLE_LOG_MIN;
                log = realloc(console->log, n);
                if (log) {
                        console->log = log;
                        console->n_allocated = n;
                }
        }
        if (console->n_log + size > console->n_allocated) {
                size_t keep = CONSOLE_LOG_MIN < console->n_log ? CONSOLE_LOG_MIN : console->n_log;

                if (keep + size > console->n_allocated)
                        return;         /* without memory, less is kept */
                memmove(console->log, console->log + console->n_log - keep, keep);
                console->n_log = keep;
        }
        memcpy(console->log + console->n_log, data, size);
        console->n_log += size;
}

static void flush_input(struct console *console) {
        struct reader *reader = writer(console);
        ssize_t n;

        while (console->n_input > 0 && console->fd >= 0) {
                n = send(console->fd, console->input, console->n_input, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0 && errno == ENOTSOCK)
                        n = write(console->fd, console->input, console->n_input);
                if (n < 0)
                        break;
                console->n_input -= (size_t) n;
                memmove(console->input, console->input + n, console->n_input);
        }
        set_events(console->source, EPOLLIN | (console->n_input > 0 ? EPOLLOUT : 0));
        if (reader)
                set_events(reader->source, console->n_input < CHUNK ? EPOLLIN : 0);
}

static int on_guest(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct console *console = userdata;
        char data[CHUNK];
        ssize_t n;

        if (events & EPOLLOUT)
                flush_input(console);
        n = read(fd, data, sizeof data);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                console_disconnect(console);
                return 0;
        }
        add_to_log(console, data, (size_t) n);
        for (struct reader *reader = console->readers, *next; reader; reader = next) {
                next = reader->next;
                if (send(reader->fd, data, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
                        reader_free(reader);
        }
        return 0;
}

static int on_reader(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct reader *reader = userdata;
        struct console *console = reader->console;
        size_t room = reader->writes ? CHUNK - console->n_input : 0;
        ssize_t n = 0;

        if (room > 0) {
                n = recv(fd, console->input + console->n_input, room, MSG_DONTWAIT);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
        } else if (!(events & (EPOLLHUP | EPOLLERR)))
                return 0;
        if (n <= 0) {
                reader_free(reader);
                return 0;
        }
        console->n_input += (size_t) n;
        flush_input(console);
        return 0;
}

int console_new(struct console **ret_console, sd_event *event, const char *name) {
        struct console *console = calloc(1, sizeof *console);

        if (!console)
                return -ENOMEM;
        console->event = sd_event_ref(event);
        console->fd = -1;
        console->name = strdup(name);
        if (!console->name) {
                console_free(console);
                return -ENOMEM;
        }
        *ret_console = console;
        return 0;
}

void console_disconnect(struct console *console) {
        console->source = sd_event_source_disable_unref(console->source);
        if (console->fd >= 0)
                close(console->fd);
        console->fd = -1;
        console->n_input = 0;
        while (console->readers)
                reader_free(console->readers);
}

struct console *console_free(struct console *console) {
        if (!console)
                return NULL;
        console_disconnect(console);
        sd_event_unref(console->event);
        free(console->log);
        free(console->name);
        free(console);
        return NULL;
}

int console_connect(struct console *console, int fd) {
        int r;

        console_disconnect(console);
        r = sd_event_add_io(console->event, &console->source, fd, EPOLLIN, on_guest, console);
        if (r < 0) {
                close(fd);
                return r;
        }
        console->fd = fd;
        return 0;
}

bool console_is_connected(const struct console *console) {
        return console->fd >= 0;
}

int console_open(struct console *console, const char *owner, bool read_only, int *ret_fd, struct idl_error *error) {
        const struct reader *other = writer(console);
        struct reader *reader;
        int fds[2], r;

        if (!read_only && other)
                return idl_error_set_busy(error, "console", console->name, other->owner);
        if (console->n_readers >= CONSOLE_READERS_MAX)
                return idl_error_set_limit_exceeded(error, "readers of the console", console->n_readers + 1, CONSOLE_READERS_MAX);
        reader = calloc(1, sizeof *reader);
        if (!reader)
                return -ENOMEM;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
                free(reader);
                return -errno;
        }
        *reader = (struct reader) { .console = console, .next = console->readers, .writes = !read_only, .fd = fds[0] };
        console->readers = reader;
        console->n_readers++;
        reader->owner = strdup(owner);
        r = reader->owner ? 0 : -ENOMEM;
        if (read_only)
                shutdown(fds[0], SHUT_RD);      /* who writes all the same gets an error */
        if (r >= 0)
                r = sd_event_add_io(console->event, &reader->source, fds[0], read_only ? 0 : EPOLLIN, on_reader, reader);
        if (r < 0) {
                close(fds[1]);
                reader_free(reader);
                return r;
        }
        *ret_fd = fds[1];
        return 0;
}

const char *console_log(const struct console *console, size_t max, size_t *ret_size) {
        *ret_size = console->n_log < max ? console->n_log : max;
        return console->log ? console->log + console->n_log - *ret_size : "";
}
