/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Arguments: a command line, taken apart as the command table (command.h) says.
 *
 * Options may stand anywhere after the words of the command, those of all commands before them too; -- ends options. Values are checked
 * as far as their kind tells without asking anybody.
 */

#include <stdbool.h>

#include <glib.h>

#include "command.h"

enum arguments_error {
        ARGUMENTS_ERROR_USAGE,          /* xcpctl was not asked for properly */
};

#define ARGUMENTS_ERROR (g_quark_from_static_string("xcpctl-arguments-error"))

struct arguments;

/*
 * argv: without the program's name; ends with NULL. What is wrong is ARGUMENTS_ERROR. Without a command (the words of a group, nothing,
 * or --help) arguments_command() is NULL and arguments_words() the words there were.
 */
struct arguments *arguments_new(const char *const *argv, GError **error);
void arguments_free(struct arguments *arguments);

const struct command *arguments_command(const struct arguments *arguments);
const char *arguments_words(const struct arguments *arguments);

/* The value of a parameter by its name: what was given, else its fallback, else NULL. */
const char *arguments_get(const struct arguments *arguments, const char *name);

/* All that was given for it; ends with NULL. */
const char *const *arguments_all(const struct arguments *arguments, const char *name);

bool arguments_has(const struct arguments *arguments, const char *name);

const struct parameters *arguments_parameters(const struct arguments *arguments);
