/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Text for a screen: made harmless, measured in columns, and cut.
 *
 * Whatever comes from a service is text of somebody else, perhaps of a guest. Sent to a terminal as it is, it could move the cursor,
 * change the title or type commands; so control characters, and those that turn the direction of writing, are shown as \n or \u{9b}.
 */

#include <glib.h>

/* To be freed. text need not be valid UTF-8: what is not is replaced. */
char *screen_text(const char *text);

/* Columns that it takes. text is what screen_text() returned. */
unsigned screen_width(const char *text);

/* Its beginning, in that many columns at most, with an ellipsis if there was more. To be freed. */
char *screen_cut(const char *text, unsigned width);
