/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an epoll descriptor watches; see evtchn-fdinfo.h. */

#include "evtchn-fdinfo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool evtchn_watch_parse(const char *line, struct evtchn_watch *ret_watch) {
        uint64_t data;
        int fd;

        if (sscanf(line, "tfd: %d events: %*x data: %" SCNx64, &fd, &data) != 2 || fd < 0)
                return false;
        *ret_watch = (struct evtchn_watch) { .fd = fd, .data = data };
        return true;
}

static int watches_append(struct evtchn_watch **watches, size_t *n_watches, const struct evtchn_watch *watch) {
        struct evtchn_watch *bigger;

        if ((*n_watches & (*n_watches - 1)) == 0) {     /* full whenever it is a power of two, or still empty */
                bigger = reallocarray(*watches, *n_watches ? 2 * *n_watches : 1, sizeof **watches);
                if (!bigger)
                        return -ENOMEM;
                *watches = bigger;
        }
        (*watches)[(*n_watches)++] = *watch;
        return 0;
}

int evtchn_watches_read(int epoll, struct evtchn_watch **ret_watches, size_t *ret_n_watches) {
        struct evtchn_watch *watches = NULL;
        size_t n_watches = 0;
        char path[64], line[256];
        FILE *file;
        int r = 0;

        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", epoll);
        file = fopen(path, "re");
        if (!file)
                return errno == ENOENT ? -EBADF : -errno;

        while (r == 0 && fgets(line, sizeof line, file)) {
                struct evtchn_watch watch;

                if (evtchn_watch_parse(line, &watch))
                        r = watches_append(&watches, &n_watches, &watch);
        }
        if (r == 0 && ferror(file))
                r = -EIO;
        fclose(file);

        if (r < 0) {
                free(watches);
                return r;
        }
        *ret_watches = watches;
        *ret_n_watches = n_watches;
        return 0;
}
