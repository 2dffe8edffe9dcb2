/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "connections.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"

#define LISTENS (1u << 16)                      /* __SO_ACCEPTCON of Linux: a flag of sockets that listen */

/* The server's end of each connection has its socket's path, also when that is gone: proc(5), /proc/net/unix. */
int connections_count(const char *socket_path) {
        AUTO_FREE char *line = NULL;
        FILE *f = fopen("/proc/net/unix", "re");
        size_t n_line = 0;
        int n = 0;

        if (!f)
                return -errno;
        while (getline(&line, &n_line, f) > 0) {
                unsigned flags;
                int at = 0;

                line[strcspn(line, "\n")] = '\0';
                if (sscanf(line, "%*s %*s %*s %x %*s %*s %*s %n", &flags, &at) == 1 && at > 0 && !(flags & LISTENS) && strcmp(line + at, socket_path) == 0)
                        n++;
        }
        fclose(f);
        return n;
}
