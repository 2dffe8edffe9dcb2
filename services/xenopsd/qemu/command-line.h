/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Command lines: what QEMU is told when it is started, as a function of the configuration and of nothing else.
 *
 * Whatever comes from a configuration is a value of its own, or within JSON: no name of a file or kernel command line can become
 * another option. The guest is there and stands still (-S); it stays, and says why, when it shuts down, reboots, panics or lets its
 * watchdog run out.
 */

#include "facts.h"

#define COMMAND_LINE_FD_FIRST 3u        /* process.h: of the descriptors that QEMU is given */

#define COMMAND_LINE_VNC "vnc0"         /* a socket in the guest's directory, and the name of the console */

/* Listening sockets that QEMU is given, in this order; after them come tap devices, in the order of their interfaces. */
enum command_line_socket {
        COMMAND_LINE_MONITOR,
        COMMAND_LINE_SERIAL,
        COMMAND_LINE_AGENT,
        _COMMAND_LINE_SOCKET_N,
};

struct command_line {
        const char *program;
        const struct hypervisor_config *config;
        const struct qemu_options *options;
        enum qemu_accelerator accelerator;      /* not QEMU_AUTO */
        const struct facts *facts;            /* its slots */
        const char *firmware, *variables;       /* of UEFI: a file of all, and one of this guest */
        bool is_incoming;                       /* its memory comes from elsewhere */
        uint64_t ticks_khz;                     /* ticks.h; 0: not known */
};

/* For command_line_free(). -ENOMEM */
int command_line_make(const struct command_line *line, char ***ret_argv);
char **command_line_free(char **argv);

/* Slots for all devices of a configuration, and those to be plugged later. LimitExceeded */
int command_line_place(const struct hypervisor_config *config, const struct qemu_options *options, struct facts *facts,
                       struct idl_error *error);
