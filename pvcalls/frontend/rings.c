/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "rings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "indexes.h"

int rings_open(struct rings *rings) {
        *rings = (struct rings) {};
        /* The libraries write a line when there are no more pages, which is no mistake here: sockets get smaller rings then. */
        rings->logger = (xentoollog_logger *) xtl_createlogger_stdiostream(stderr, XTL_CRITICAL, 0);
        if (!rings->logger)
                return -ENOMEM;
        rings->shares = xengntshr_open(rings->logger, 0);
        if (!rings->shares)
                return -errno;
        rings->events = xenevtchn_open(rings->logger, 0);
        /* xenevtchn_pending() must say that there is none, and not wait for one. */
        if (!rings->events || fcntl(xenevtchn_fd(rings->events), F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        return 0;
}

void rings_close(struct rings *rings) {
        if (rings->shares)
                rings_forget(rings);
        if (rings->events)
                xenevtchn_close(rings->events);
        if (rings->shares)
                xengntshr_close(rings->shares);
        if (rings->logger)
                xtl_logger_destroy(rings->logger);
        *rings = (struct rings) {};
}

/* The indexes page and those of the data: all are shared at once, as that costs about what sharing one does. */
static uint32_t ring_pages(uint32_t order) {
        return 1 + (1u << order);
}

void ring_free(struct rings *rings, struct ring *ring) {
        if (ring->port)
                xenevtchn_unbind(rings->events, ring->port);
        if (ring->indexes)
                xengntshr_unshare(rings->shares, ring->indexes, ring_pages(ring->order));
        free(ring);
        rings->n_made--;
}

static int ring_make(struct rings *rings, uint32_t order, struct ring **ret_ring) {
        struct ring *ring = calloc(1, sizeof *ring + sizeof ring->refs[0] * ring_pages(order));
        int port = -1;

        if (!ring)
                return -ENOMEM;
        ring->order = order;
        rings->n_made++;
        ring->indexes = xengntshr_share_pages(rings->shares, rings->domid, (int) ring_pages(order), ring->refs, 1);
        if (ring->indexes)
                port = xenevtchn_bind_unbound_port(rings->events, rings->domid);
        if (port <= 0) {
                ring_free(rings, ring);
                return -ENOBUFS;
        }
        ring->data = (uint8_t *) ring->indexes + PVCALLS_PAGE_SIZE;
        ring->ref = ring->refs[0];
        ring->port = (uint32_t) port;
        *ret_ring = ring;
        return 0;
}

static struct ring *ring_take_kept(struct rings *rings) {
        struct ring *ring = rings->kept;

        if (ring) {
                rings->kept = ring->next;
                rings->n_kept--;
                ring->next = NULL;
        }
        return ring;
}

int ring_new(struct rings *rings, uint32_t order, struct ring **ret_ring) {
        struct ring *ring = ring_take_kept(rings);
        uint32_t smaller = rings->n_made / RINGS_SHRINK_EVERY;
        int r = ring ? 0 : -ENOBUFS;

        order = order > smaller ? order - smaller : 1;
        for (; r == -ENOBUFS && order >= 1; order--)
                r = ring_make(rings, order, &ring);
        if (r < 0)
                return r;
        indexes_write(ring->indexes, ring->order, ring->refs + 1);
        *ret_ring = ring;
        return 0;
}

void ring_keep(struct rings *rings, struct ring *ring) {
        ring->next = rings->kept;
        rings->kept = ring;
        rings->n_kept++;
}

void rings_forget(struct rings *rings) {
        struct ring *ring;

        while ((ring = ring_take_kept(rings)))
                ring_free(rings, ring);
}
