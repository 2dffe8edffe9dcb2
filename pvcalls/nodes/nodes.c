/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "nodes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE (2 * NODES_PATH_MAX)
#define TOKEN "pvcalls"                 /* of all watches: which has fired does not matter */

char *nodes_read(struct xs_handle *xs, const char *directory, const char *name) {
        char path[PATH_SIZE];
        unsigned n;

        snprintf(path, sizeof path, "%s/%s", directory, name);
        return xs_read(xs, XBT_NULL, path, &n);
}

int nodes_write(struct xs_handle *xs, xs_transaction_t transaction, const char *directory, const char *name, const char *text) {
        char path[PATH_SIZE];

        snprintf(path, sizeof path, "%s/%s", directory, name);
        return xs_write(xs, transaction, path, text, (unsigned) strlen(text)) ? 0 : -errno;
}

int nodes_watch(struct xs_handle *xs, const char *directory, const char *name) {
        char path[PATH_SIZE];

        snprintf(path, sizeof path, "%s/%s", directory, name);
        return xs_watch(xs, path, TOKEN) || errno == EEXIST ? 0 : -errno;
}

int nodes_unwatch(struct xs_handle *xs, const char *directory, const char *name) {
        char path[PATH_SIZE];

        snprintf(path, sizeof path, "%s/%s", directory, name);
        return xs_unwatch(xs, path, TOKEN) ? 0 : -errno;
}

int nodes_parse_number(const char *text, uint32_t *ret_number) {
        uint64_t number = 0;

        if (!text || text[0] == '\0')
                return -EINVAL;
        for (; *text; text++) {
                if (*text < '0' || *text > '9')
                        return -EINVAL;
                number = number * 10 + (uint64_t) (*text - '0');
                if (number > UINT32_MAX)
                        return -EINVAL;
        }
        *ret_number = (uint32_t) number;
        return 0;
}

void nodes_drain(struct xs_handle *xs) {
        char **event;

        while ((event = xs_check_watch(xs)))
                free(event);
}
