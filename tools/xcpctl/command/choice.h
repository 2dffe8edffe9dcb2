/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Choice: which of several objects a person means.
 *
 * An object is meant by its name, by its UUID, or by the beginning of a UUID, at least CHOICE_PREFIX_MIN characters of it, that is the
 * beginning of no other. What is a name is not taken for the beginning of a UUID.
 */

#include <stdbool.h>

#include <glib.h>

#define CHOICE_PREFIX_MIN 4u

struct candidate {
        char *path;
        char *uuid;                     /* "" if it has none */
        char *name;
};

/* A list that frees them. */
GPtrArray *candidates_new(void);
void candidates_add(GPtrArray *candidates, const char *path, const char *uuid, const char *name);

/* kind: what they are, for the message. Returns NULL and an error that names up to CHOICE_SHOWN of those that text could mean. */
#define CHOICE_SHOWN 5u
const struct candidate *choice_make(const GPtrArray *candidates, const char *kind, const char *text, GError **error);

/* Whether it is a UUID in full. */
bool choice_is_uuid(const char *text);
