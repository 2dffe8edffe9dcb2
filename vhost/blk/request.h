/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Requests of VIRTIO's block device (VIRTIO 1.2 §5.2.6): what a chain asks for, checked, and its answer.
 *
 * The header, the data and the status may be cut into pieces in any way. The header is copied once. No I/O.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "disk.h"
#include "ring.h"

#define REQUEST_PIECES (DISK_SEGMENTS_MAX + 34u)        /* header, status, and pieces that lie in two regions of memory */

enum request_action {
        REQUEST_READ,
        REQUEST_WRITE,
        REQUEST_FLUSH,
        REQUEST_PUNCH,                  /* a hole: DISCARD, or WRITE_ZEROES that may */
        REQUEST_ZERO,
        REQUEST_ANSWER,                 /* there is nothing to do but to answer: status and n_written are set */
};

struct request {
        struct vhost_chain chain;
        struct iovec iov[REQUEST_PIECES];
        enum request_action action;
        const struct iovec *data;       /* pieces of chain.iov, of which the first and last were cut */
        size_t n_data;
        uint64_t offset, length;        /* of the file */
        uint8_t *status_at;
        uint8_t status;                 /* VIRTIO_BLK_S_* */
        uint32_t n_written;             /* for vhost_ring_put() */
        struct request *next;           /* of a list: the owner's */
};

/* Looks at what was taken. Returns 0, or -EPROTO for a chain without a whole header, or without a status. */
int request_parse(struct request *request, const struct disk *disk);

/* Its I/O has ended: 0, or a negative errno. */
void request_end(struct request *request, int r);

/* Writes the status where the guest sees it. */
void request_answer(struct request *request);
