/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * node-await PATH [VALUE]: waits until a store node can be read (and holds VALUE). For the shell steps of a test.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "node.h"

int main(int argc, char **argv) {
        struct xs_handle *store;
        int r;

        if (argc < 2 || argc > 3) {
                fprintf(stderr, "usage: node-await PATH [VALUE]\n");
                return 1;
        }

        store = xs_open(0);
        if (!store) {
                fprintf(stderr, "node-await: no store: %s\n", strerror(errno));
                return 1;
        }

        r = node_await(store, argv[1], argv[2]);
        if (r < 0)
                fprintf(stderr, "node-await: %s: %s\n", argv[1], strerror(-r));

        xs_close(store);
        return r < 0;
}
