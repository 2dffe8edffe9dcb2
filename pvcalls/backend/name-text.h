/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Socket addresses as the control socket and the log have them: two words. */

#include "name.h"

#define NAME_TEXT_SIZE 480u             /* a path of which each byte is written as four */

/*
 * Writes ADDRESS PORT, or "- 0" for no address. A UNIX socket's path has port 0; an abstract name begins with '@', and bytes that would not be
 * part of a word are written as in C, in octal.
 */
const char *name_text(const struct pvcalls_name *name, char text[NAME_TEXT_SIZE]);

/* "inet", "inet6" or "unix". */
const char *family_text(int family);
