/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every subcommand of xenemu is given, and how it reports. */

#include <stdint.h>
#include <stdio.h>

struct context {
        const char *run_dir;            /* absolute, resolved */
        const char *own_path;           /* of this program */
};

/* Exit statuses. A program run in a domain gives its own. */
enum {
        EXIT_OK = 0,
        EXIT_FAILED = 1,                /* what was asked for could not be done */
        EXIT_USAGE = 2,                 /* it was not asked for properly */
        EXIT_CANNOT_EXECUTE = 126,      /* as shells do */
        EXIT_NOT_FOUND = 127,
};

/* argv[0] is the subcommand. Each returns an exit status. */
int command_up(const struct context *context, int argc, char **argv);
int command_down(const struct context *context, int argc, char **argv);
int command_list(const struct context *context, int argc, char **argv);
int command_create(const struct context *context, int argc, char **argv);
int command_destroy(const struct context *context, int argc, char **argv);
int command_exec(const struct context *context, int argc, char **argv);
int command_forget(const struct context *context, int argc, char **argv);

/* One line for a person: what is wrong, and where it helps, what to do. Returns EXIT_FAILED. */
int report(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Connects to the hypervisor's control socket. Returns the descriptor, or a negative errno after a report. */
int control_connect(const struct context *context);

/*
 * Finds a domain by number, by name (through the store), or as domN. Returns 0 or a negative errno after a report. Whether a domain of that
 * number exists is not checked.
 */
int domain_resolve(const struct context *context, const char *text, uint32_t *ret_domid);
