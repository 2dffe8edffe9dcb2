/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Strings that may be anything, made into ones that D-Bus carries. */

#include <stddef.h>

/* A copy of at most n_max bytes, without characters cut in two, and with '?' for each byte that is not UTF-8. NULL is "". */
char *idl_utf8_copy(const char *s, size_t n_max);
