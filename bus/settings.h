/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What was asked for on the command line. */

#include <stdbool.h>

#include "layout.h"

enum broker_kind {
        BROKER_DBUS_DAEMON,
        BROKER_DBUS_BROKER,
};

struct settings {
        enum broker_kind broker;
        const char *broker_program;
        const char *broker_package;     /* of Debian, with the program in it */
        char *domain_dir;               /* absolute */
        bool domain_services_only;      /* no activation files but those in the domain's directory */
        int ready_fd;                   /* -1: nobody waits there */
        bool show_config;
        const struct layout *layout;
};

#define SETTINGS_RUN 0
#define SETTINGS_EXIT 1                 /* the answer was given: --help, --version */

/* Returns SETTINGS_RUN and settings, SETTINGS_EXIT, -EINVAL after a report of what was wrong, or another negative errno after a report. */
int settings_parse(int argc, char **argv, struct settings *ret_settings);

void settings_done(struct settings *settings);
