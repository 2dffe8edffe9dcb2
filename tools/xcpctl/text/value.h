/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Values: what services say, as text for people, as JSON for programs, and the other way round from what people write.
 *
 * type is a type expression of the contract (contract.h) which fits the value, or NULL if none is known: it tells the names of members.
 */

#include <stdbool.h>

#include <gio/gio.h>
#include <json-c/json.h>

/*
 * One line. name: what the value is called in the contract, which tells its unit; NULL if unknown. Not yet harmless for a terminal.
 * To be freed.
 */
char *value_text(GVariant *value, const char *type, const char *name);

/*
 * As JSON: numbers as numbers, dictionaries from text and structures with named members as objects, variants as what is in them,
 * descriptors and not-a-numbers as null.
 */
struct json_object *value_json(GVariant *value, const char *type);

/*
 * A value of a D-Bus type from what a person wrote: text as it is, numbers (those of 64 bits also as sizes: 10GiB), true or false, and
 * all else in GVariant's text format. Descriptors: @FILE is opened for reading, @>FILE for writing; @- is standard input, @>- standard
 * output; the value is then an index into fds. Returns a reference that is not floating.
 */
GVariant *value_parse(const char *text, const GVariantType *type, GUnixFDList *fds, GError **error);
