/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Properties of the objects that have commands of their own. */

#include <json-c/json.h>

#include "client.h"
#include "command.h"

/* Changes one, by its name in the contract; text is a value as in value_parse(). */
bool property_set(struct context *context, enum parameter_kind kind, const char *object, const char *name, const char *text, GError **error);

/* An interface's properties, a{sv}, as a JSON object. */
struct json_object *property_json(const char *interface, GVariant *properties);

/* A device of a VM on one line: kind is PARAMETER_DISK or _NIC. To be freed. */
char *property_line(enum parameter_kind kind, GVariant *properties);

/* Shows all properties of an object. */
bool property_show(struct context *context, enum parameter_kind kind, const char *container, const char *object, GError **error);
