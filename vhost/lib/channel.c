/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A channel: partial reads and writes, and the descriptors that come with them. */

#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTROL_FDS 16u                 /* room for more than a message may have: so that too many are seen, and none are lost */

int vhost_channel_open(struct vhost_channel *channel, int fd) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        *channel = (struct vhost_channel) { .fd = fd, .out_fd = -1 };
        return 0;
}

void vhost_channel_close(struct vhost_channel *channel) {
        for (size_t i = 0; i < channel->n_in_fds; i++)
                close(channel->in_fds[i]);
        if (channel->out_fd >= 0)
                close(channel->out_fd);
        if (channel->fd >= 0)
                close(channel->fd);
        *channel = (struct vhost_channel) VHOST_CHANNEL_NONE;
}

/* Takes over every descriptor that the kernel has given us. If some are missing, and there was room for them, this process has as many as it may have. */
static int take_fds(struct vhost_channel *channel, struct msghdr *header) {
        size_t n_all = 0;
        int r = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
                size_t n;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                n_all += n;
                for (size_t i = 0; i < n; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
                        if (channel->n_in_fds < VHOST_FDS_MAX) {
                                channel->in_fds[channel->n_in_fds++] = fd;
                                continue;
                        }
                        close(fd);
                        r = -EBADF;
                }
        }
        if (header->msg_flags & MSG_CTRUNC)
                r = n_all < CONTROL_FDS ? -EMFILE : -EBADF;
        return r;
}

/* Reads until there are n bytes. 0, or an outcome. */
static int fill(struct vhost_channel *channel, size_t n) {
        while (channel->n_in < n) {
                union {
                        char bytes[CMSG_SPACE(CONTROL_FDS * sizeof(int))];
                        struct cmsghdr align;
                } control;
                struct iovec iov = { channel->in + channel->n_in, n - channel->n_in };
                struct msghdr header = {
                        .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof control,
                };
                ssize_t k = recvmsg(channel->fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
                int r;

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return errno == EAGAIN ? VHOST_CHANNEL_WAIT : -errno;
                r = take_fds(channel, &header);
                if (r < 0)
                        return r;
                if (k == 0)
                        return channel->n_in == 0 && channel->n_in_fds == 0 ? VHOST_CHANNEL_END : -ECONNRESET;
                channel->n_in += (size_t) k;
        }
        return 0;
}

int vhost_channel_receive(struct vhost_channel *channel, struct vhost_message *ret_message) {
        uint32_t untrusted_header[3];
        int r;

        r = fill(channel, VHOST_HEADER_SIZE);
        if (r != 0)
                return r;
        memcpy(untrusted_header, channel->in, sizeof untrusted_header);
        if (untrusted_header[2] > VHOST_PAYLOAD_MAX)
                return -EBADMSG;
        r = fill(channel, VHOST_HEADER_SIZE + untrusted_header[2]);
        if (r != 0)
                return r == VHOST_CHANNEL_END ? -ECONNRESET : r;

        *ret_message = (struct vhost_message) {
                .request = untrusted_header[0],
                .flags = untrusted_header[1],
                .size = untrusted_header[2],
                .n_fds = channel->n_in_fds,
        };
        memcpy(&ret_message->payload, channel->in + VHOST_HEADER_SIZE, ret_message->size);
        memcpy(ret_message->fds, channel->in_fds, channel->n_in_fds * sizeof(int));
        channel->n_in = channel->n_in_fds = 0;
        return 0;
}

int vhost_channel_flush(struct vhost_channel *channel) {
        while (vhost_channel_must_flush(channel)) {
                union {
                        char bytes[CMSG_SPACE(sizeof(int))];
                        struct cmsghdr align;
                } control = {};
                struct iovec iov = { channel->out + channel->n_sent, channel->n_out - channel->n_sent };
                struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
                ssize_t k;

                if (channel->out_fd >= 0) {
                        header.msg_control = &control;
                        header.msg_controllen = sizeof control.bytes;
                        control.align = (struct cmsghdr) {
                                .cmsg_len = CMSG_LEN(sizeof(int)),
                                .cmsg_level = SOL_SOCKET,
                                .cmsg_type = SCM_RIGHTS,
                        };
                        memcpy(CMSG_DATA(&control.align), &channel->out_fd, sizeof(int));
                }
                k = sendmsg(channel->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return errno == EAGAIN ? VHOST_CHANNEL_WAIT : -errno;
                channel->n_sent += (size_t) k;
                if (channel->out_fd >= 0) {
                        close(channel->out_fd);
                        channel->out_fd = -1;
                }
        }
        channel->n_out = channel->n_sent = 0;
        return 0;
}

int vhost_channel_send(struct vhost_channel *channel, const struct vhost_message *message) {
        const uint32_t header[3] = { message->request, message->flags, message->size };

        if (vhost_channel_must_flush(channel))
                return -EBUSY;
        if (message->size > VHOST_PAYLOAD_MAX || message->n_fds > 1)
                return -EINVAL;
        if (message->n_fds > 0) {
                channel->out_fd = fcntl(message->fds[0], F_DUPFD_CLOEXEC, 0);
                if (channel->out_fd < 0)
                        return -errno;
        }
        memcpy(channel->out, header, sizeof header);
        memcpy(channel->out + sizeof header, &message->payload, message->size);
        channel->n_out = sizeof header + message->size;
        channel->n_sent = 0;
        return vhost_channel_flush(channel);
}
