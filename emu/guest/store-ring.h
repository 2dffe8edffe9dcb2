/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The page that a domain shares with xenstored: struct xenstore_domain_interface of xen/io/xs_wire.h, seen from the domain.
 *
 * What the domain writes into it, it also keeps for itself: the indexes that are its own are never read back. Those that are
 * xenstored's are read once and checked, and only the copy is used.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/io/xs_wire.h>

struct store_ring {
        struct xenstore_domain_interface *shared;
        uint32_t req_prod;              /* ours */
        uint32_t rsp_cons;              /* ours */
        bool notify;                    /* xenstored must be notified; the caller does, and clears it */
};

/* Takes a page that nobody has used yet: all zeroes. */
void store_ring_init(struct store_ring *ring, struct xenstore_domain_interface *shared);

/*
 * Says on the page that xenstored must first be introduced to the domain, which resets the indexes: what is written earlier is lost.
 * Afterwards store_ring_is_connected() waits for that. Not for domain 0, which xenstored knows from the start and never resets.
 */
void store_ring_await_introduction(struct store_ring *ring);
bool store_ring_is_connected(const struct store_ring *ring);

/* Why xenstored has stopped serving the ring, for a person, or NULL if it has not. */
const char *store_ring_error(const struct store_ring *ring);

/* Return how many bytes were moved, which is less than n if the ring is full or empty, or -EPROTO if xenstored's index is impossible. */
int store_ring_write(struct store_ring *ring, const void *data, size_t n);
int store_ring_read(struct store_ring *ring, void *data, size_t n);
