/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Small files as a whole. */

#include <stddef.h>

#define READ_FILE_MAX (1024 * 1024)     /* no file that a person writes for a bus is as long */

/* Returns 0 and the content, to be freed, with a NUL after it; -EFBIG beyond READ_FILE_MAX bytes; or another negative errno. */
int read_file(const char *path, char **ret_text, size_t *ret_n);
