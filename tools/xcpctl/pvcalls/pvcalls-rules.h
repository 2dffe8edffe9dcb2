/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rules of PV Calls, as people write them and as the controller has them: docs/pvcalls.md, "Policy", has the grammar.
 *
 * What the words mean together the controller judges; here it is only seen to it that each is where it belongs.
 */

#include <stdbool.h>

#include <glib.h>

/* All rules of a text, a line each, aa{sv}; # begins a comment. NULL with an error, which names the line. */
GVariant *pvcalls_rules_parse(const char *text, GError **error);

/* A rule, a{sv}, as a line. To be freed. */
char *pvcalls_rule_format(GVariant *rule);
