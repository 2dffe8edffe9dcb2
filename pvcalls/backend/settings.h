/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the command line says. */

#include <stdbool.h>
#include <stdint.h>

#include "guest-limits.h"

enum settings_outcome {                 /* positive results of settings_parse() */
        SETTINGS_SHOWN = 1,             /* --help or --version: there is nothing else to do */
};

enum settings_io {
        SETTINGS_IO_AUTO,
        SETTINGS_IO_URING,
        SETTINGS_IO_CALLS,
};

struct settings {
        uint32_t domid;
        uint32_t device;
        const char *policy;             /* a file; NULL: nothing is allowed */
        uint32_t spin_usec;
        enum settings_io io;
        const char *join;               /* NULL: with none */
        const char *control;            /* a socket's path; NULL: none */
        const char *user;               /* to become, if root */
        bool sandbox;
        int log_level;
        int ready_fd;                   /* -1: none */
        struct limits limits;
};

/* Returns 0, SETTINGS_SHOWN, or -EINVAL: said why on standard error. Texts are argv's. */
int settings_parse(struct settings *settings, int argc, char **argv);

/* NAME=VALUE of a limit. -EINVAL: there is no such limit, or it cannot be that much. */
int limits_set(struct limits *limits, const char *text);
