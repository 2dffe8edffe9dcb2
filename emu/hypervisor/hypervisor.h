/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The running hypervisor: its domains, its store, its control socket, and its end.
 *
 * It starts with domain 0 and xenstored, is ready once xenstored answers, and when told to stop kills every domain, then xenstored
 * and domain 0, and removes its sockets.
 */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "connection.h"
#include "domain.h"

struct options {
        const char *run_dir;            /* absolute */
        const char *guest;              /* the program that plays a domain's kernel */
        const char *library_dir;        /* the drop-in libraries, for xenstored */
        const char *preload;            /* what stands for domain 0's device files, for xenstored */
        const char *xenstored;
        const char *on_death;           /* run with a domid when that domain has died; NULL for nothing */
        const char *keep[EMU_GUEST_KEEP_MAX];   /* see struct emu_guest_boot */
        uint32_t n_keep;
        uint32_t end_domid;             /* domids are below it */
        struct emu_limits limits;       /* of a new domain whose creator does not say; 0 for Xen's */
        int ready_fd;                   /* gets "ok" or a sentence when the start has been decided; -1 for none */
};

struct store;

struct hypervisor {
        const struct options *options;
        sd_event *event;
        int run_dir_fd;
        int lock_fd;
        int ready_fd;                   /* -1 once told */
        int arrivals;                   /* connection.h; -1 before and after */
        struct domain_table domains;
        struct listener control;
        struct store *store;
        bool stopping;
};

/*
 * Starts everything; the rest happens in the event loop. Returns 0 or a negative errno after a log line, -EBUSY if another
 * hypervisor has the run directory.
 */
int hypervisor_start(struct hypervisor *hypervisor, const struct options *options, sd_event *event);

/* Frees what is left after the loop has ended. */
void hypervisor_done(struct hypervisor *hypervisor);

/* Begins the end: the loop exits when the last domain is gone. */
void hypervisor_stop(struct hypervisor *hypervisor);

/* Tells whoever started us, once. text: NULL when all is well. */
void hypervisor_announce(struct hypervisor *hypervisor, const char *text);

/* A domain has gone, or a mapping of a dead one: frees dead domains nobody has mapped, and goes on stopping if that is under way. */
void hypervisor_collect(struct hypervisor *hypervisor);
