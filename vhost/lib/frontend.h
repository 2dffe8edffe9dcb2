/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The front-end's side of a connection: asks, and waits for the answer no longer than its deadline.
 *
 * For programs that drive a device themselves. It sends whatever it is told to, so that it can be used to see what a back-end makes of it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"

/* The beginning of a message, with its header: to show it when something goes wrong. */
struct vhost_frontend_said {
        size_t n;                       /* 0: there was none */
        uint8_t bytes[64];
};

struct vhost_frontend {
        struct vhost_channel channel;
        uint64_t protocol_features;     /* negotiated */
        int timeout_ms;                 /* for each answer */
        struct vhost_frontend_said sent, received;      /* the last ones; they stay when it is closed */
};

#define VHOST_FRONTEND_NONE { .channel = VHOST_CHANNEL_NONE }

/* Connects to a back-end that listens (-ENAMETOOLONG, or what connect(2) says), or takes over a connected socket, if that succeeds. */
int vhost_frontend_connect(struct vhost_frontend *frontend, const char *path, int timeout_ms);
int vhost_frontend_open(struct vhost_frontend *frontend, int fd, int timeout_ms);
void vhost_frontend_close(struct vhost_frontend *frontend);

/* Sends bytes, with descriptors, which stay the caller's. */
int vhost_frontend_send_bytes(struct vhost_frontend *frontend, const void *data, size_t size, const int *fds, size_t n_fds);

/* Sends a request. flags: beside the version. */
int vhost_frontend_send(struct vhost_frontend *frontend, uint32_t request, uint32_t flags, const void *payload, uint32_t size, const int *fds,
                        size_t n_fds);

/* Waits for a message. -ETIMEDOUT; -ECONNRESET: the back-end has closed. */
int vhost_frontend_receive(struct vhost_frontend *frontend, struct vhost_message *ret_message);

/* Sends a request that has a reply, and waits for it. -EPROTO: something else came. */
int vhost_frontend_ask(struct vhost_frontend *frontend, uint32_t request, const void *payload, uint32_t size, struct vhost_message *ret_reply);
int vhost_frontend_ask_u64(struct vhost_frontend *frontend, uint32_t request, uint64_t *ret_value);

/* Sends a request that has none: with REPLY_ACK, waits to hear how it went. -EREMOTEIO: it was refused. */
int vhost_frontend_tell(struct vhost_frontend *frontend, uint32_t request, const void *payload, uint32_t size, const int *fds, size_t n_fds);
int vhost_frontend_tell_u64(struct vhost_frontend *frontend, uint32_t request, uint64_t value);
