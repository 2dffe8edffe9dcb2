/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Pieces of help: lines that are filled, and what parameters look like. */

#include <stdbool.h>

#include <glib.h>

#include "command.h"

#define HELP_WIDTH 110u

/* Text in lines of HELP_WIDTH. */
void help_append_paragraph(GString *to, const char *text);

/* "  LEFT    RIGHT", with the right side filled from a column on, and on a line of its own if the left side is too long. */
void help_append_columns(GString *to, const char *left, const char *right, unsigned column);

/* An argument in a usage line: " VM", " [LEVEL]", " KIND...". */
void help_append_argument(GString *to, const struct parameter *parameter);

/* Whether every command has it. */
bool help_is_general(const struct parameter *parameter);

/* A sentence or two about a parameter, with the values that it takes and the one that it has if it is not given. To be freed. */
char *help_text_of(const struct parameter *parameter);
