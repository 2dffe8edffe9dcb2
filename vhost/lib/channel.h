/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A channel: messages over a unix stream socket, in whatever pieces they come.
 *
 * Never blocks. It reads exactly one message and not a byte of the next, so that descriptors, which the kernel ties to bytes, are those of
 * that message. At most one message waits to be sent: who sends another first sees that one out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

enum vhost_channel_outcome {            /* positive results */
        VHOST_CHANNEL_WAIT = 1,         /* the socket has to become readable, or writable, first */
        VHOST_CHANNEL_END,              /* the peer has closed, between two messages */
};

struct vhost_channel {
        int fd;                         /* the channel's; -1: none */
        uint8_t in[VHOST_HEADER_SIZE + sizeof(union vhost_payload)];
        size_t n_in;
        int in_fds[VHOST_FDS_MAX];
        size_t n_in_fds;
        uint8_t out[VHOST_HEADER_SIZE + sizeof(union vhost_payload)];
        size_t n_out, n_sent;
        int out_fd;                     /* goes with the first byte; -1: none */
};

#define VHOST_CHANNEL_NONE { .fd = -1, .out_fd = -1 }

/* Takes a connected socket over, if this succeeds, and makes it non-blocking; else the errno is fcntl(2)'s. */
int vhost_channel_open(struct vhost_channel *channel, int fd);
void vhost_channel_close(struct vhost_channel *channel);

/*
 * Returns 0 and a message, which is not checked beyond that it fits, or an outcome. -EBADMSG: a payload that is larger than any; -EBADF: more
 * descriptors than any message has; -EMFILE: this process may have no more of them; -ECONNRESET: the peer went in the middle of a message. After an error the channel can only be closed.
 */
int vhost_channel_receive(struct vhost_channel *channel, struct vhost_message *ret_message);

/* Sends a message with at most one descriptor, of which it keeps a copy of its own. 0, or VHOST_CHANNEL_WAIT: flush it. -EBUSY: one waits. */
int vhost_channel_send(struct vhost_channel *channel, const struct vhost_message *message);
int vhost_channel_flush(struct vhost_channel *channel);

static inline bool vhost_channel_must_flush(const struct vhost_channel *channel) {
        return channel->n_sent < channel->n_out;
}
