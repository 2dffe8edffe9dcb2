/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Options: what every service takes on its command line and from its environment.
 *
 * The bus is, in this order, --bus-address, $XCP_BUS_ADDRESS and $DBUS_STARTER_ADDRESS (set for services that the bus starts), and the
 * socket dom0/bus in $XCP_RUNDIR. The state directory is --state-dir, $STATE_DIRECTORY (set by systemd, systemd.exec(5)), and else
 * /var/lib/xcpbus/NAME for an installed service, and state/NAME beside the bus's socket for one that runs in the build tree or with
 * $XCP_RUNDIR: domains that share a machine, as emulated ones do, keep apart what they keep.
 */

#include <stdbool.h>
#include <stdint.h>

enum options_outcome {                  /* positive results of options_parse() */
        OPTIONS_SHOWN = 1,              /* --help or --version: it is printed, and there is nothing else to do */
};

struct options {
        char *bus_address;
        char *bus_name;                 /* to own in place of org.xen.xcp.NAME; NULL: that one */
        char *state_dir;
        int log_level;                  /* of syslog(3) */
        int ready_fd;                   /* gets a newline when the service can be called; -1 if there is none */
        uint64_t stop_timeout_usec;     /* how long tasks may take to end once the service was asked to */
        bool stand_by;                  /* owns NAME.standby, and waits for another to hand its state over */
        bool reclaim;                   /* goes on with a state that was handed over */
};

/* What the options depend on, besides the command line. NULL: not set. */
struct options_environment {
        bool in_tree;                   /* the program runs from the build tree */
        const char *run_dir;            /* $XCP_RUNDIR */
        const char *bus_address;        /* $XCP_BUS_ADDRESS */
        const char *starter_address;    /* $DBUS_STARTER_ADDRESS */
        const char *state_directory;    /* $STATE_DIRECTORY */
};

void options_environment_read(struct options_environment *ret_environment);

/* name: of the service, as in org.xen.xcp.NAME. about: one sentence for --help. -EINVAL: said why on standard error. */
int options_parse(struct options *options, const char *name, const char *about, const struct options_environment *environment, int argc,
                  char **argv);
void options_done(struct options *options);
