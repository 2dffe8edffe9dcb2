/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The pages and the port of a socket: one indexes page, 2^order data pages, an event channel.
 *
 * Rings that a backend keeps mapped after RELEASE (reuse) are kept here as well, up to a bound, and given to the next socket.
 */

#include <stdint.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xentoollog.h>

#include "layout.h"

#define RINGS_SHRINK_EVERY 16u          /* so many of one size; then they get smaller, so that Linux's 1024 pages of a domain do for 200 sockets */
#define RINGS_KEPT_MAX 32u              /* a backend of ours keeps 64; of Linux's, none */

struct ring {
        struct ring *next;              /* of those kept */
        uint32_t order, ref, port;
        struct pvcalls_indexes *indexes;
        uint8_t *data;
        uint32_t refs[];                /* of the indexes page, and then of 1 << order data pages */
};

struct rings {
        xentoollog_logger *logger;
        xengntshr_handle *shares;
        xenevtchn_handle *events;
        uint32_t domid;                 /* the backend's */
        struct ring *kept;
        uint32_t n_kept, n_made;        /* n_made: those there are, kept ones included */
};

int rings_open(struct rings *rings);
void rings_close(struct rings *rings);

/*
 * A ring for a new socket, of this order if there are few and pages enough, and else of a smaller one. Indexes are 0. -ENOBUFS: the domain can
 * share no more pages, or has no more ports.
 */
int ring_new(struct rings *rings, uint32_t order, struct ring **ret_ring);

/* Gives it back: pages and port are no longer the backend's, or will not be when it lets go of them. */
void ring_free(struct rings *rings, struct ring *ring);

/* The backend keeps it. */
void ring_keep(struct rings *rings, struct ring *ring);

/* The backend keeps nothing any more. */
void rings_forget(struct rings *rings);
