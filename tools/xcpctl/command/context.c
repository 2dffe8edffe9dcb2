/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "address.h"
#include "quantity.h"
#include "screen-text.h"

static bool terminal_has_colours(void) {
        const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");

        return (!no_colour || !*no_colour) && terminal && strcmp(terminal, "dumb") != 0;
}

static unsigned terminal_width(void) {
        struct winsize size;

        return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void context_init(struct context *context, const struct arguments *arguments) {
        const char *timeout = arguments_get(arguments, "--timeout");
        bool terminal = isatty(STDOUT_FILENO);
        uint64_t domain = 0;

        *context = (struct context) {
                .arguments = arguments,
                .json = arguments_has(arguments, "--json"),
                .header = !arguments_has(arguments, "--no-header"),
                .wait = !arguments_has(arguments, "--no-wait"),
                .colours = terminal && terminal_has_colours(),
                .progress = isatty(STDERR_FILENO) && terminal_has_colours(),
                .width = terminal ? terminal_width() : 0,
                .manager = arguments_get(arguments, "--manager"),
        };
        if (arguments_has(arguments, "--domain"))
                quantity_parse_number(arguments_get(arguments, "--domain"), UINT32_MAX, &domain, NULL);
        context->domain = arguments_has(arguments, "--domain") ? (uint32_t) domain : address_domain();
        if (timeout)
                quantity_parse_duration(timeout, &context->timeout_ms, NULL);
        if (arguments_has(arguments, "--address")) {
                context->address = g_strdup(arguments_get(arguments, "--address"));
        } else {
                g_autofree char *socket = address_socket(context->domain);

                context->address = address_of_socket(socket);
        }
}

void context_done(struct context *context) {
        if (context->bus)
                g_dbus_connection_close_sync(context->bus, NULL, NULL);
        g_clear_object(&context->bus);
        g_clear_pointer(&context->address, g_free);
        g_clear_pointer(&context->details, g_variant_unref);
}

bool context_fail(GError **error, enum context_error code, const char *format, ...) {
        va_list args;

        va_start(args, format);
        if (error)
                *error = g_error_new_valist(CONTEXT_ERROR, (int) code, format, args);
        va_end(args);
        return false;
}

GDBusConnection *context_bus(struct context *context, GError **error) {
        g_autoptr(GError) problem = NULL;

        if (context->bus)
                return context->bus;
        context->bus = g_dbus_connection_new_for_address_sync(context->address,
                G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, &problem);
        if (!context->bus && g_error_matches(problem, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED))
                context_fail(error, CONTEXT_ERROR_FAILED, "the bus at %s is not for this user: %s", context->address, problem->message);
        else if (!context->bus)
                context_fail(error, CONTEXT_ERROR_FAILED,
                             "there is no bus at %s: %s\nStart one with xcp-bus-run, or name another with --domain, --address or $XCP_RUNDIR.",
                             context->address, problem->message);
        return context->bus;
}

/* Control characters that JSON lets stand: DEL and C1, U+007F to U+009F, which occur in its strings only. */
static char *escaped_json(const char *text) {
        GString *to = g_string_sized_new(strlen(text));

        for (const char *p = text; *p; p = g_utf8_next_char(p)) {
                gunichar c = g_utf8_get_char(p);

                if (c >= 0x7f && c < 0xa0)
                        g_string_append_printf(to, "\\u%04x", (unsigned) c);
                else
                        g_string_append_unichar(to, c);
        }
        return g_string_free(to, FALSE);
}

bool context_print(struct context *context, const char *text, GError **error) {
        if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
                return true;
        return context_fail(error, CONTEXT_ERROR_FAILED, "standard output: %s", g_strerror(errno));
}

bool context_print_json(struct context *context, struct json_object *object, bool on_one_line, GError **error) {
        int flags = (on_one_line ? JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PRETTY) | JSON_C_TO_STRING_NOSLASHESCAPE;
        g_autofree char *text = escaped_json(json_object_to_json_string_ext(object, flags));
        g_autofree char *line = g_strconcat(text, "\n", NULL);

        json_object_put(object);
        return context_print(context, line, error);
}

bool context_print_table(struct context *context, const struct table *table, GError **error) {
        const struct table_style style = { .header = context->header, .bold = context->colours, .width = context->width };
        g_autofree char *text = table_text(table, &style);

        return context_print(context, text, error);
}

bool context_print_list(struct context *context, struct table *table, struct json_object *json, bool good, GError **error) {
        if (good)
                good = context->json ? context_print_json(context, json_object_get(json), false, error) : context_print_table(context, table, error);
        json_object_put(json);
        table_free(table);
        return good;
}

bool context_print_line(struct context *context, const char *text, GError **error) {
        g_autofree char *harmless = screen_text(text), *line = g_strconcat(harmless, "\n", NULL);

        return context_print(context, line, error);
}

const char *context_colour(const struct context *context, const char *sequence) {
        return context->colours ? sequence : "";
}
