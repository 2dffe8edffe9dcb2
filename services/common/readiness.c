/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "readiness.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "log.h"

static void notify(const char *state) {
        int r = sd_notify(0, state);

        if (r < 0)
                log_event(LOG_WARNING, NULL, "Cannot tell systemd '%s': %s", state, strerrordesc_np(-r));
}

void readiness_ready(int fd) {
        notify("READY=1");
        if (fd < 0)
                return;
        if (write(fd, "\n", 1) < 0)
                log_event(LOG_WARNING, NULL, "Cannot tell descriptor %d that the service is ready: %s", fd, strerrordesc_np(errno));
        if (fd > STDERR_FILENO)
                close(fd);
}

void readiness_stopping(void) {
        notify("STOPPING=1");
}
