/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The ring: bytes to and from another domain, over libxenvchan.
 *
 * libxenvchan never waits here, and where it would wait for ever without a word, this says so: indexes that cannot be are -EUCLEAN, and so is
 * one of our own that the peer has changed. Bytes are copied out, and what was copied is all that anybody looks at.
 */

#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#define VCHAN_RING_SIZE (64u * 1024)    /* each way: 2 * 16 pages and one; 31 links fit into Linux's 1024 (xen_gntalloc's limit) */
#define VCHAN_PATH_MAX 49u              /* libxenvchan cuts longer ones off in silence, init_xs_srv() */

enum vchan_state {
        VCHAN_CLOSED,                   /* the other end is gone; there may still be bytes of it */
        VCHAN_OPEN,
        VCHAN_WAITING,                  /* of a server: there was no client yet */
};

struct vchan;

/* Something happened: read, write, look at the state. */
typedef void (*vchan_event_t)(void *userdata);

/* Offers a ring to a domain; path may be relative to this domain's. It takes one transaction of the store, and 33 granted pages. */
int vchan_serve(struct vchan **ret_vchan, sd_event *event, unsigned domain, const char *path, vchan_event_t on_event, void *userdata);

/* Takes the ring that a domain offers. Blocks for as long as xenstored needs to answer. */
int vchan_connect(struct vchan **ret_vchan, sd_event *event, unsigned domain, const char *path, vchan_event_t on_event, void *userdata);

struct vchan *vchan_free(struct vchan *vchan);

enum vchan_state vchan_state(const struct vchan *vchan);

/*
 * How many bytes were read or written, 0 if none could be: then on_event is called when some can. -EPIPE: the other end is gone, and there
 * is nothing left to read. -EUCLEAN: what is in the shared page cannot be.
 */
int vchan_read(struct vchan *vchan, void *data, size_t size);
int vchan_write(struct vchan *vchan, const void *data, size_t size);

/* 0 or -EUCLEAN, without reading or writing. */
int vchan_check(const struct vchan *vchan);
