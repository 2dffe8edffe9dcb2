/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl monitor, diagnose, log-level, help: watching services, and helping people. */

#include "client.h"
#include "command.h"
#include "diagnose.h"
#include "help.h"
#include "monitor.h"
#include "result.h"

static bool run_log_level(struct context *context, const struct arguments *arguments, GError **error) {
        const char *level = arguments_get(arguments, "LEVEL");
        g_autofree char *service = client_service_name(arguments_get(arguments, "SERVICE")), *root = client_root(service);
        g_autoptr(GVariant) value = NULL;

        if (level)
                return client_set_property(context, service, root, CLIENT_DIAGNOSTICS, "LogLevel", g_variant_new_string(level), error);
        value = client_property(context, service, root, CLIENT_DIAGNOSTICS, "LogLevel", error);
        return value && result_show_value(context, value, NULL, "LogLevel", error);
}

const struct command watch_commands[] = {
        {
                .name = "monitor",
                .summary = "Print what services signal, and which come and go, a line each, until ^C.",
                .parameters = (const struct parameter[]) {
                        { "OBJECT", PARAMETER_OBJECT, "Only of this service, or of this object and those below it: as for show.",
                          .flags = PARAMETER_OPTIONAL },
                        {},
                },
                .run = monitor_run,
        },
        {
                .name = "diagnose",
                .summary = "Show how services are, and what they have counted.",
                .details = "--dump collects what a bug report needs: of each service SERVICE.dump, what it tells about itself with the last lines of "
                           "its log, and SERVICE.json, its objects with their properties.",
                .parameters = (const struct parameter[]) {
                        { "SERVICE", PARAMETER_SERVICE, "This service only.", .flags = PARAMETER_OPTIONAL },
                        { "--dump", PARAMETER_FILE, "A directory to make, or an archive if it ends in .tar.gz." },
                        {},
                },
                .run = diagnose_run,
        },
        {
                .name = "log-level",
                .summary = "Show or change how much a service logs.",
                .parameters = (const struct parameter[]) {
                        { "SERVICE", PARAMETER_SERVICE, "The service." },
                        { "LEVEL", PARAMETER_WORD, "The new level.", .type = "[LogLevel]", .flags = PARAMETER_OPTIONAL },
                        {},
                },
                .run = run_log_level,
        },
        {
                .name = "help",
                .summary = "Print help about a command; without one, about all.",
                .parameters = (const struct parameter[]) {
                        { "COMMAND", PARAMETER_TEXT, "Words of a command.", .flags = PARAMETER_OPTIONAL | PARAMETER_MANY },
                        { "--mdoc", PARAMETER_FLAG, "Print the commands as the manual page has them." },
                        {},
                },
                .run = help_run,
        },
        {},
};
