/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Waiting for the end of a process that is somebody else's child. */

#include <errno.h>
#include <poll.h>

#include "io.h"

int io_wait_end(int argc, char **argv) {
        struct pollfd p = { .fd = 3, .events = POLLIN };        /* readable once it has ended: pidfd_open(2) */

        while (poll(&p, 1, -1) < 0)
                if (errno != EINTR)
                        return io_failed(-errno, "cannot wait for a process");
        return 0;
}
