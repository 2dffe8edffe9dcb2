/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Completion: what the last word of a command line could become. Shells ask for it with xcpctl --complete WORD..., the words after the
 * program's name; the last is what is there so far, perhaps nothing.
 *
 * Each line that is printed is a candidate, with a tab and a few words about it after it; the line ":files" asks the shell for files.
 * Names of objects are asked of the bus, of services that run: nothing is started.
 */

#include <glib.h>

/* words: ends with NULL, and has one at least. Returns the lines, to be freed. */
char *complete(const char *const *words);
