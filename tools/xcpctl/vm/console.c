/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "console.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <gio/gunixfdlist.h>

#include "carry.h"
#include "objects.h"

#define VM "org.xen.xcp.xenopsd1.VM"
#define LOG_BYTES (1024u * 1024u)

static bool fail_errno(GError **error, const char *what) {
        return context_fail(error, CONTEXT_ERROR_FAILED, "%s: %s", what, g_strerror(errno));
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
static bool carry_raw(int console, unsigned flags, GError **error) {
        struct termios before, raw;
        bool good;

        if (tcgetattr(STDIN_FILENO, &before) < 0)
                return fail_errno(error, "the terminal");
        raw = before;
        cfmakeraw(&raw);
        fprintf(stderr, "Connected%s; ^] leaves.\r\n", flags & CARRY_READ_ONLY ? " to look" : "");
        if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
                return fail_errno(error, "the terminal");
        good = carry(console, flags, error);
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
        fprintf(stderr, "\nLeft.\n");
        return good;
}

static bool connect_to(struct context *context, const char *vm, const char *name, GError **error) {
        const bool read_only = arguments_has(context->arguments, "--read-only");
        const unsigned flags = (isatty(STDIN_FILENO) ? CARRY_TERMINAL : 0) | (read_only ? CARRY_READ_ONLY : 0);
        int console = open_console(context, vm, name, read_only, error);
        bool good;

        if (console < 0)
                return false;
        good = flags & CARRY_TERMINAL ? carry_raw(console, flags, error) : carry(console, flags, error);
        close(console);
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
        return carry_write(STDOUT_FILENO, bytes, n) || fail_errno(error, "standard output");
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
