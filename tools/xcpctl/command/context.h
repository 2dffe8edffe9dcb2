/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Context: what a command has: the bus, and where and how its output goes.
 *
 * Commands return false with a GError when they fail. An error that a service answered with keeps its D-Bus name
 * (g_dbus_error_get_remote_error()), and must not be prefixed. main() prints it and chooses the exit status.
 */

#include <stdbool.h>
#include <stdint.h>

#include <gio/gio.h>
#include <json-c/json.h>

#include "arguments.h"
#include "table.h"

enum context_error {
        CONTEXT_ERROR_USAGE,            /* the arguments do not make sense after all: exit status 2 */
        CONTEXT_ERROR_LEFT,             /* a task goes on, and nobody waits for it: exit status 3 */
        CONTEXT_ERROR_FAILED,
        CONTEXT_ERROR_MISSING,          /* what was named is not there */
        CONTEXT_ERROR_NO,               /* the answer, which is printed, is no: exit status 4, and nothing more is said */
};

#define CONTEXT_ERROR (g_quark_from_static_string("xcpctl-context-error"))

struct context {
        const struct arguments *arguments;
        GDBusConnection *bus;           /* NULL until it is needed: context_bus() */
        char *address;
        uint32_t domain;                /* that the bus is in, as far as we were told */
        const char *manager;            /* who is the VM manager: its bus name */
        GVariant *details;              /* a{sv} of the error of a task that failed; NULL if there are none */
        bool json;
        bool header;
        bool wait;                      /* for tasks */
        uint64_t timeout_ms;            /* for tasks; 0: none */
        bool brief;                     /* no call may start a service, or take longer than 3 seconds */
        bool colours;                   /* on standard output */
        bool progress;                  /* standard error is a terminal: bars can be drawn */
        unsigned width;                 /* of standard output; 0 if it is no terminal */
};

void context_init(struct context *context, const struct arguments *arguments);
void context_done(struct context *context);

/* The bus, connected at the first call. */
GDBusConnection *context_bus(struct context *context, GError **error);

/* Sets an error of CONTEXT_ERROR. Returns false. */
bool context_fail(GError **error, enum context_error code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Output. Each returns false if standard output cannot take it. */
bool context_print(struct context *context, const char *text, GError **error);
bool context_print_json(struct context *context, struct json_object *object, bool on_one_line, GError **error);        /* takes it */
bool context_print_table(struct context *context, const struct table *table, GError **error);

/* What a list command has gathered: the table for people, the array for --json; takes both, and prints neither unless good. Returns false too if not good. */
bool context_print_list(struct context *context, struct table *table, struct json_object *json, bool good, GError **error);

/* A line, made harmless. */
bool context_print_line(struct context *context, const char *text, GError **error);

/* The text of an escape sequence that begins or ends a colour, or "" where there are no colours. */
const char *context_colour(const struct context *context, const char *sequence);
#define COLOUR_BOLD "\033[1m"
#define COLOUR_NONE "\033[0m"
