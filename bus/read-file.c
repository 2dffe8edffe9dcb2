/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "read-file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"

int read_file(const char *path, char **ret_text, size_t *ret_n) {
        AUTO_FILE *f = fopen(path, "re");
        AUTO_FREE char *text = NULL;
        size_t n;

        if (!f)
                return -errno;
        text = malloc(READ_FILE_MAX + 1);
        if (!text)
                return -ENOMEM;
        errno = 0;
        n = fread(text, 1, READ_FILE_MAX + 1, f);
        if (ferror(f))
                return errno ? -errno : -EIO;
        if (n > READ_FILE_MAX)
                return -EFBIG;
        text[n] = '\0';
        *ret_text = text;
        text = NULL;
        *ret_n = n;
        return 0;
}
