/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* dbus-daemon as the broker: it gets a configuration file, DOMAIN-DIR/bus.conf, and our listening socket, and activates services itself. */

#include <sys/types.h>

#include "configuration.h"
#include "listener.h"

struct daemon {
        char *config_path;
        pid_t pid;
};

/* Starts it and waits until it serves. Returns 0, or a negative errno after a report. */
int daemon_start(struct daemon *daemon, const struct settings *settings, const struct configuration *configuration,
                 const struct listener *listener);

/* Lets it have a new configuration, and waits until it counts. Returns 0, or a negative errno after a report. */
int daemon_reload(const struct daemon *daemon, const struct configuration *configuration, const struct listener *listener);

/* Removes the configuration file. */
void daemon_done(struct daemon *daemon);
