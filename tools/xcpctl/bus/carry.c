/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "carry.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "context.h"

#define ESCAPE 0x1d                     /* ^], as telnet(1) has it */
#define BLOCK 4096

static bool fail_errno(GError **error, const char *what) {
        return context_fail(error, CONTEXT_ERROR_FAILED, "%s: %s", what, g_strerror(errno));
}

bool carry_write(int fd, const uint8_t *data, size_t n) {
        while (n > 0) {
                ssize_t written = write(fd, data, n);

                if (written < 0 && errno == EAGAIN) {
                        poll(&(struct pollfd) { .fd = fd, .events = POLLOUT }, 1, -1);
                        continue;
                }
                if (written < 0 && errno != EINTR)
                        return false;
                if (written > 0) {
                        data += written;
                        n -= (size_t) written;
                }
        }
        return true;
}

/* Both ways at once. */
struct carrying {
        int fd;
        unsigned flags;
        unsigned input;                 /* the source that reads standard input; 0 if it has ended */
        GMainLoop *loop;
        GError *error;
};

/* What came of moving a block. */
enum moved {
        MOVED,
        MOVED_END,                      /* of what is read */
        MOVED_ESCAPE,
        MOVED_ERROR,
};

/* Moves what there is from one descriptor to another, or nowhere if that is -1; from a terminal, up to the escape character. */
static enum moved move(int from, int to, bool watch_escape) {
        uint8_t data[BLOCK], *escape;
        ssize_t n = read(from, data, sizeof data);

        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? MOVED : errno == ECONNRESET || errno == EIO ? MOVED_END : MOVED_ERROR;
        if (n == 0)
                return MOVED_END;
        escape = watch_escape ? memchr(data, ESCAPE, (size_t) n) : NULL;
        if (to >= 0 && !carry_write(to, data, escape ? (size_t) (escape - data) : (size_t) n))
                return MOVED_ERROR;
        return escape ? MOVED_ESCAPE : MOVED;
}

static gboolean on_output(int fd, GIOCondition condition, void *userdata) {
        struct carrying *carrying = userdata;
        enum moved moved = move(fd, STDOUT_FILENO, false);

        if (moved == MOVED)
                return G_SOURCE_CONTINUE;
        if (moved == MOVED_ERROR)
                fail_errno(&carrying->error, "standard output");
        g_main_loop_quit(carrying->loop);
        return G_SOURCE_CONTINUE;       /* removed when the loop has ended */
}

static gboolean on_input(int fd, GIOCondition condition, void *userdata) {
        struct carrying *carrying = userdata;
        enum moved moved = move(fd, carrying->flags & CARRY_READ_ONLY ? -1 : carrying->fd, carrying->flags & CARRY_TERMINAL);

        if (moved == MOVED)
                return G_SOURCE_CONTINUE;
        if (moved == MOVED_ESCAPE)
                g_main_loop_quit(carrying->loop);
        if (carrying->flags & CARRY_END)
                shutdown(carrying->fd, SHUT_WR);
        carrying->input = 0;               /* the other side may still have something to say */
        return G_SOURCE_REMOVE;
}

static gboolean on_signal(void *userdata) {
        struct carrying *carrying = userdata;

        g_main_loop_quit(carrying->loop);
        return G_SOURCE_CONTINUE;
}

bool carry(int fd, unsigned flags, GError **error) {
        struct carrying carrying = { .fd = fd, .flags = flags };
        unsigned sources[] = {
                g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_output, &carrying),
                g_unix_signal_add(SIGTERM, on_signal, &carrying),
                g_unix_signal_add(SIGHUP, on_signal, &carrying),
                g_unix_signal_add(SIGINT, on_signal, &carrying),
        };

        carrying.loop = g_main_loop_new(NULL, FALSE);
        if (flags & CARRY_TERMINAL || !(flags & CARRY_READ_ONLY))
                carrying.input = g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR, on_input, &carrying);
        g_main_loop_run(carrying.loop);
        for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
                g_source_remove(sources[i]);
        if (carrying.input > 0)
                g_source_remove(carrying.input);
        g_main_loop_unref(carrying.loop);
        if (!carrying.error)
                return true;
        g_propagate_error(error, carrying.error);
        return false;
}
