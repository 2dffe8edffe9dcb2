/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-bus-run: starts a domain's private bus and stays with it. docs/bus.md is about all of it. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus.h"
#include "cleanup.h"
#include "configuration.h"
#include "daemon-config.h"
#include "settings.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static int show_config(const struct settings *settings) {
        AUTO_CONFIGURATION configuration = {};
        AUTO_FREE char *text = NULL;
        int r;

        r = configuration_read(settings, &configuration);
        if (r >= 0)
                r = daemon_config_make(&configuration.policy, (const char *const *) configuration.service_dirs, &text);
        if (r >= 0 && (fputs(text, stdout) < 0 || fflush(stdout) != 0))
                r = -EIO;
        return r;
}

int main(int argc, char **argv) {
        __attribute__((cleanup(settings_done))) struct settings settings = {};
        int r;

        r = settings_parse(argc, argv, &settings);
        if (r == SETTINGS_EXIT)
                return EXIT_OK;
        if (r < 0)
                return r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
        r = settings.show_config ? show_config(&settings) : bus_run(&settings);
        return r < 0 ? EXIT_FAILED : EXIT_OK;
}
