/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tables of what each of several things counts: totals once, or, drawn anew each second, what each second brings. What it is that counts, a struct
 * top_kind says.
 */

#include <stdbool.h>
#include <stddef.h>

#include "command.h"
#include "quantity.h"

/* What a column adds up, and how. */
struct top_column {
        const char *title;
        const char *counters[2];        /* added; the second may be NULL */
        bool now;                       /* of the moment, and nothing that goes on growing */
        enum quantity_unit unit;
};

/* A thing at one moment. */
struct top_row {
        guint32 domain;
        guint64 epoch;                  /* with another one, counting has begun anew */
        char *state;
        GVariant *counters;             /* a{st}; NULL if it does not answer, or has just gone */
};

struct top_kind {
        const struct top_column *columns;       /* the last one has no title */
        const char *busy[2];            /* counters: who has more of them in a second is above others. NULL: they stay as they come */
        bool has_epochs;                /* for --json */
        bool (*rows)(struct context *context, GPtrArray *rows, GError **error);         /* adds them by top_row() */
};

/* Takes the counters. */
void top_row(GPtrArray *rows, guint32 domain, guint64 epoch, const char *state, GVariant *counters);

/* For struct command's .run. */
bool top_run(const struct top_kind *kind, struct context *context, const struct arguments *arguments, GError **error);
