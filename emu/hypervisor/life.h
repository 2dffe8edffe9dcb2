/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A domain's life: its run directory and sockets, the process that plays its kernel, and its death.
 *
 *      BUILDING ──ready──> ALIVE ──destroyed, or its kernel ended──> DYING ──no process left──> BURYING ──hook done──> DEAD
 *          └───────────────────────failed──────────────────────────────┘
 *
 * However a domain dies, it dies the same way: its processes are killed, what they had mapped and shared ends with the notifications
 * asked for, its ports close, VIRQ_DOM_EXC tells xenstored, and the on-death hook removes it from the store. A dead domain whose
 * pages are still mapped keeps its number.
 */

#include <stdbool.h>
#include <stdint.h>

#include "connection.h"
#include "domain.h"
#include "event.h"
#include "grant.h"

struct hypervisor;

enum life_state { LIFE_BUILDING, LIFE_ALIVE, LIFE_DYING, LIFE_BURYING, LIFE_DEAD };

struct life {
        struct hypervisor *hypervisor;
        struct domain *domain;
        enum life_state state;

        struct listener hypercalls;     /* DOMAIN/xen */
        int xenbus_fd;                  /* DOMAIN/xenbus, listening, for the kernel */

        struct share *store_ring;
        struct port *store_port;

        int kernel_pidfd;               /* -1: has none (domain 0), or it has ended */
        int kernel_fd;                  /* the socket to it */
        sd_event_source *kernel_exit;
        sd_event_source *kernel_packet;

        int burial_pidfd;               /* the on-death hook */
        sd_event_source *burial_exit;

        sd_event_source *deadline;      /* of DYING and BURYING: then whoever still lingers is cut off */
        char why[EMU_TEXT_MAX];         /* BUILDING failed because */
};

/* Makes domain 0, alive at once. */
int life_begin_first(struct hypervisor *hypervisor, struct domain **ret_domain);

/*
 * Makes a domain, which is BUILDING when this returns 0: who waits on the control socket with EMU_DOMAIN_CREATE for it is answered
 * later. On a negative errno nothing is left of it.
 */
int life_begin(struct hypervisor *hypervisor, const struct emu_domain_create *untrusted, struct domain **ret_domain);

/* Kills the domain. No effect on one that is dying already. */
void life_kill(struct domain *domain);

/* Somebody inside has left: a DYING domain may be past it now. */
void life_check(struct domain *domain);

/* Frees a DEAD domain. */
void life_free(struct life *life);
