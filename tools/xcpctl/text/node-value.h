/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From nodes of a document to values of the contract's types. */

#include <gio/gio.h>

#include "contract.h"
#include "document.h"

/*
 * A value of a type expression; name is what it is called, for problems. Object paths are taken as text, whatever it names. Returns a
 * reference that is not floating, or NULL with a problem at its place.
 */
GVariant *node_value(const struct document_node *node, const char *type, const char *name, struct problems *problems);

/* The names of values, for problems_suggest(). Points into them; g_free(). */
const char **node_names(const struct contract_value *values, const struct contract_value *more);
