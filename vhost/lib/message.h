/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages: a header, a payload and descriptors, and whether they can be what they say they are.
 *
 * A message is a private copy, and owns its descriptors: who takes one out puts -1 there, and the rest are closed with the message. No I/O.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

struct vhost_message {
        uint32_t request;
        uint32_t flags;
        uint32_t size;                  /* of the payload */
        union vhost_payload payload;    /* zeros behind size */
        size_t n_fds;
        int fds[VHOST_FDS_MAX];
};

/* What a front-end's request looks like. */
struct vhost_request_kind {
        const char *name;
        uint32_t size_min, size_max;    /* of the payload */
        uint32_t xen_min, xen_max;      /* of what XEN_MMAP adds to these */
        uint32_t fds_min, fds_max;
        bool has_reply;                 /* of its own; else REPLY_ACK may ask for one */
        bool is_gated;                  /* legal only once protocol feature bit feature was negotiated */
        enum vhost_protocol_feature feature;
};

/* NULL: no request of this library's. */
const struct vhost_request_kind *vhost_request_kind(uint32_t request);

/*
 * Checks a front-end's request: its version, its payload's size, its number of descriptors, for the protocol features that were negotiated. Returns 0,
 * -ENOTSUP for a request that is not known, -EBADMSG for a wrong size or version, or -EBADF for too many or too few descriptors.
 */
int vhost_message_check(const struct vhost_message *message, uint64_t protocol_features);

/* Takes a descriptor out: the caller's from then on. -1: there is none. */
int vhost_message_take_fd(struct vhost_message *message, size_t i);

/* Closes the descriptors that nobody took. */
void vhost_message_done(struct vhost_message *message);

#define VHOST_AUTO_MESSAGE __attribute__((cleanup(vhost_message_done))) struct vhost_message
