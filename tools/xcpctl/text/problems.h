/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Problems: what is wrong with a file that a person wrote, all of it, with where and a hint.
 *
 * Whoever reads the file goes on after a problem as far as it makes sense: people mend a file once rather than once a mistake.
 */

#include <stdbool.h>

#include <glib.h>
#include <json-c/json.h>

#define PROBLEMS_MAX 50u                /* what comes after that many is counted, and not told */

/* A place in the file, from 1. */
struct place {
        unsigned line, column;
};

struct problem {
        struct place place;
        char *message;                  /* a sentence */
        char *hint;                     /* another one; NULL if there is none */
};

struct problems {
        char *file;
        GArray *list;                   /* of struct problem */
        unsigned n_more;
};

struct problems *problems_new(const char *file);
void problems_free(struct problems *problems);

/* hint: NULL, or one that is consumed. */
void problems_add(struct problems *problems, struct place place, char *hint, const char *format, ...) __attribute__((format(printf, 4, 5)));

bool problems_is_empty(const struct problems *problems);

/* file:line:column: message, and the hint on a line of its own, in the order of the file. To be freed. */
char *problems_text(const struct problems *problems);
struct json_object *problems_json(const struct problems *problems);

/* "Did you mean ...?", of those names (NULL ends them) that are nearly the text; else which there are. To be freed. */
char *problems_suggest(const char *text, const char *const *names);
