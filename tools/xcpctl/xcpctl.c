/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl: the operator's command. Finds out what is asked for, has it done, and says how it went. */

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "complete.h"
#include "context.h"
#include "help.h"
#include "quantity.h"
#include "screen-text.h"
#include "value.h"

enum status {
        STATUS_DONE = 0,
        STATUS_FAILED = 1,
        STATUS_USAGE = 2,
        STATUS_LEFT = 3,
        STATUS_NO = 4,
};

static bool is_usage(const GError *error) {
        return g_error_matches(error, ARGUMENTS_ERROR, ARGUMENTS_ERROR_USAGE) || g_error_matches(error, CONTEXT_ERROR, CONTEXT_ERROR_USAGE);
}

static enum status status_of(const GError *error) {
        if (is_usage(error))
                return STATUS_USAGE;
        if (g_error_matches(error, CONTEXT_ERROR, CONTEXT_ERROR_NO))
                return STATUS_NO;
        return g_error_matches(error, CONTEXT_ERROR, CONTEXT_ERROR_LEFT) ? STATUS_LEFT : STATUS_FAILED;
}

/* Each line by itself, as only ours has several. */
static void say(const char *text) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **line = lines; *line; line++) {
                g_autofree char *harmless = screen_text(*line);

                fprintf(stderr, "xcpctl: %s\n", harmless);
        }
}

static void say_details(GVariant *details) {
        GVariantIter iter;
        const char *name;
        GVariant *value;

        g_variant_iter_init(&iter, details);
        while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
                g_autofree char *text = value_text(value, NULL, name), *line = g_strdup_printf("  %s: %s", name, text);

                say(line);
                g_variant_unref(value);
        }
}

/* For programs: {"error": {"name": ..., "message": ..., "details": {...}}}, on standard error. */
static void say_json(const char *name, const char *message, GVariant *details) {
        struct json_object *all = json_object_new_object(), *error = json_object_new_object();
        g_autofree char *valid = g_utf8_make_valid(message, -1);

        json_object_object_add(error, "name", json_object_new_string(name));
        json_object_object_add(error, "message", json_object_new_string(valid));
        json_object_object_add(error, "details", details ? value_json(details, NULL) : json_object_new_object());
        json_object_object_add(all, "error", error);
        fprintf(stderr, "%s\n", json_object_to_json_string_ext(all, JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE));
        json_object_put(all);
}

/* What a service would call an error that is ours; "" if none would. */
static const char *own_name(const GError *error) {
        if (is_usage(error))
                return "org.xen.xcp.Error.InvalidArgument";
        return g_error_matches(error, CONTEXT_ERROR, CONTEXT_ERROR_MISSING) ? "org.xen.xcp.Error.DoesNotExist" : "";
}

static enum status report(const struct context *context, GError *error) {
        g_autofree char *name = g_dbus_error_get_remote_error(error), *line = NULL;
        enum status status = status_of(error);

        g_dbus_error_strip_remote_error(error);
        if (context && context->json) {
                say_json(name ? name : own_name(error), error->message, context->details);
                return status;
        }
        line = name ? g_strdup_printf("%s: %s", name, error->message) : g_strdup(error->message);
        say(line);
        if (context && context->details)
                say_details(context->details);
        if (g_strcmp0(name, "org.freedesktop.DBus.Error.ServiceUnknown") == 0)
                say("The service neither runs nor can be started here; xcpctl services lists those that can.");
        return status;
}

/* What the command's own check of its arguments found. */
static enum status report_usage(const struct arguments *arguments, const GError *error) {
        g_autofree char *hint = g_strdup_printf("See xcpctl %s --help.", arguments_command(arguments)->name);

        say(error->message);
        say(hint);
        return STATUS_USAGE;
}

static enum status run(const struct arguments *arguments) {
        g_autoptr(GError) error = NULL;
        struct context context;
        enum status status = STATUS_DONE;

        context_init(&context, arguments);
        if (!arguments_command(arguments)->run(&context, arguments, &error)) {
                if (is_usage(error) && !context.json)
                        status = report_usage(arguments, error);
                else if (status_of(error) == STATUS_NO)
                        status = STATUS_NO;
                else
                        status = report(&context, error);
        }
        context_done(&context);
        return status;
}

/* --help, and the words of a group. Without any words, help is not what was asked for. */
static enum status run_help(const struct arguments *arguments) {
        const struct command *command = arguments_command(arguments);
        const char *words = arguments_words(arguments);
        g_autofree char *text = command ? help_of_command(command) : help_of_group(words);
        bool asked = arguments_has(arguments, "--help");

        fputs(text, asked ? stdout : stderr);
        return asked ? STATUS_DONE : STATUS_USAGE;
}

static enum status run_complete(const char *const *words) {
        g_autofree char *text = *words ? complete(words) : g_strdup("");

        fputs(text, stdout);
        return STATUS_DONE;
}

int main(int argc, char **argv) {
        g_autoptr(GError) error = NULL;
        struct arguments *arguments;
        enum status status;

        setlocale(LC_ALL, "");
        signal(SIGPIPE, SIG_IGN);       /* a pipe that breaks is an error to report, and a terminal may have to be put right */
        if (argc > 1 && strcmp(argv[1], "--complete") == 0)
                return (int) run_complete((const char *const *) argv + 2);
        arguments = arguments_new((const char *const *) argv + 1, &error);
        if (!arguments) {
                if (g_strv_contains((const char *const *) argv + 1, "--json"))
                        say_json(own_name(error), error->message, NULL);
                else
                        say(error->message);
                return STATUS_USAGE;
        }
        if (arguments_has(arguments, "--version")) {
                printf("xcpctl %s\n", XCPCTL_VERSION);
                status = STATUS_DONE;
        } else if (arguments_has(arguments, "--help") || !arguments_command(arguments)) {
                status = run_help(arguments);
        } else {
                status = run(arguments);
        }
        arguments_free(arguments);
        if (fflush(stdout) != 0 && status == STATUS_DONE)
                status = STATUS_FAILED;
        return (int) status;
}
