/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "console.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <gio/gunixfdlist.h>
#include <glib-unix.h>

#include "objects.h"

#define VM "org.xen.xcp.xenopsd1.VM"
#define ESCAPE 0x1d                     /* ^], as telnet(1) has it */
#define BLOCK 4096
#define LOG_BYTES (1024u * 1024u)

static bool fail_errno(GError **error, const char *what) {
        return context_fail(error, CONTEXT_ERROR_FAILED, "%s: %s", what, g_strerror(errno));
}

static bool write_all(int fd, const uint8_t *data, size_t n) {
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

/* A console that is connected. */
struct carry {
        int console;
        bool terminal, read_only;
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
        if (to >= 0 && !write_all(to, data, escape ? (size_t) (escape - data) : (size_t) n))
                return MOVED_ERROR;
        return escape ? MOVED_ESCAPE : MOVED;
}

static gboolean on_console(int fd, GIOCondition condition, void *userdata) {
        struct carry *carry = userdata;
        enum moved moved = move(fd, STDOUT_FILENO, false);

        if (moved == MOVED)
                return G_SOURCE_CONTINUE;
        if (moved == MOVED_ERROR)
                fail_errno(&carry->error, "the console's output");
        g_main_loop_quit(carry->loop);
        return G_SOURCE_CONTINUE;       /* removed when the loop has ended */
}

static gboolean on_input(int fd, GIOCondition condition, void *userdata) {
        struct carry *carry = userdata;
        enum moved moved = move(fd, carry->read_only ? -1 : carry->console, carry->terminal);

        if (moved == MOVED)
                return G_SOURCE_CONTINUE;
        if (moved == MOVED_ESCAPE)
                g_main_loop_quit(carry->loop);
        carry->input = 0;               /* the console may still have something to say */
        return G_SOURCE_REMOVE;
}

static gboolean on_signal(void *userdata) {
        struct carry *carry = userdata;

        g_main_loop_quit(carry->loop);
        return G_SOURCE_CONTINUE;
}

/* Carries bytes both ways until the console ends, the escape character comes, or a signal asks to end: the terminal is to be put right. */
static bool carry_bytes(struct carry *carry, GError **error) {
        unsigned sources[] = {
                g_unix_fd_add(carry->console, G_IO_IN | G_IO_HUP | G_IO_ERR, on_console, carry),
                g_unix_signal_add(SIGTERM, on_signal, carry),
                g_unix_signal_add(SIGHUP, on_signal, carry),
                g_unix_signal_add(SIGINT, on_signal, carry),
        };

        carry->loop = g_main_loop_new(NULL, FALSE);
        if (carry->terminal || !carry->read_only)
                carry->input = g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR, on_input, carry);
        g_main_loop_run(carry->loop);
        for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
                g_source_remove(sources[i]);
        if (carry->input > 0)
                g_source_remove(carry->input);
        g_main_loop_unref(carry->loop);
        if (!carry->error)
                return true;
        g_propagate_error(error, carry->error);
        return false;
}

/* The name of the first serial console; to be freed. */
static char *first_serial(struct context *context, const char *vm, GError **error) {
        g_autoptr(GVariant) consoles = client_property(context, CLIENT_XENOPSD, vm, VM, "Consoles", error);
        GVariantIter iter;
        const char *name, *kind;

        if (!consoles)
                return NULL;
        if (g_variant_is_of_type(consoles, G_VARIANT_TYPE("a(ss)"))) {
                g_variant_iter_init(&iter, consoles);
                while (g_variant_iter_next(&iter, "(&s&s)", &name, &kind))
                        if (strcmp(kind, "Serial") == 0)
                                return g_strdup(name);
        }
        context_fail(error, CONTEXT_ERROR_FAILED, "the VM has no serial console at this moment");
        return NULL;
}

static int open_console(struct context *context, const char *vm, const char *name, bool read_only, GError **error) {
        g_autoptr(GUnixFDList) fds = NULL;
        g_autoptr(GVariant) results = client_call(context, CLIENT_XENOPSD, vm, VM, "OpenConsole", g_variant_new("(sb)", name, read_only), NULL,
                                                  &fds, error);

        if (!results)
                return -1;
        if (fds && g_unix_fd_list_get_length(fds) == 1)
                return g_unix_fd_list_get(fds, 0, error);
        context_fail(error, CONTEXT_ERROR_FAILED, "OpenConsole() answered without a descriptor");
        return -1;
}

/* Carries with the terminal raw, and as it was afterwards. */
static bool carry_raw(struct carry *carry, GError **error) {
        struct termios before, raw;
        bool good;

        if (tcgetattr(STDIN_FILENO, &before) < 0)
                return fail_errno(error, "the terminal");
        raw = before;
        cfmakeraw(&raw);
        fprintf(stderr, "Connected%s; ^] leaves.\r\n", carry->read_only ? " to look" : "");
        if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
                return fail_errno(error, "the terminal");
        good = carry_bytes(carry, error);
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
        fprintf(stderr, "\nLeft.\n");
        return good;
}

static bool connect_to(struct context *context, const char *vm, const char *name, GError **error) {
        struct carry carry = { .terminal = isatty(STDIN_FILENO), .read_only = arguments_has(context->arguments, "--read-only") };
        bool good;

        carry.console = open_console(context, vm, name, carry.read_only, error);
        if (carry.console < 0)
                return false;
        good = carry.terminal ? carry_raw(&carry, error) : carry_bytes(&carry, error);
        close(carry.console);
        return good;
}

static bool print_log(struct context *context, const char *vm, const char *name, GError **error) {
        g_autoptr(GVariant) results = client_call(context, CLIENT_XENOPSD, vm, VM, "GetConsoleLog", g_variant_new("(su)", name, LOG_BYTES), NULL,
                                                  NULL, error);
        g_autoptr(GVariant) log = NULL;
        const uint8_t *bytes;
        gsize n;

        if (!results)
                return false;
        if (!g_variant_is_of_type(results, G_VARIANT_TYPE("(ay)")))
                return context_fail(error, CONTEXT_ERROR_FAILED, "GetConsoleLog() answered with %s", g_variant_get_type_string(results));
        log = g_variant_get_child_value(results, 0);
        bytes = g_variant_get_fixed_array(log, &n, 1);
        return write_all(STDOUT_FILENO, bytes, n) || fail_errno(error, "standard output");
}

bool console_run(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *vm = objects_find(context, PARAMETER_VM, NULL, arguments_get(arguments, "VM"), error), *name = NULL;

        if (!vm)
                return false;
        name = g_strdup(arguments_get(arguments, "CONSOLE"));
        if (!name && arguments_has(arguments, "--log"))
                name = g_strdup("serial0");     /* a VM that is off has a log, and lists no console */
        if (!name)
                name = first_serial(context, vm, error);
        if (!name)
                return false;
        return arguments_has(arguments, "--log") ? print_log(context, vm, name, error) : connect_to(context, vm, name, error);
}

bool console_run_log(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *vm = objects_find(context, PARAMETER_VM, NULL, arguments_get(arguments, "VM"), error);

        return vm && print_log(context, vm, arguments_get(arguments, "CONSOLE"), error);
}
