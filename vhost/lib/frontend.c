/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The front-end's side of a connection. */

#include "frontend.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int vhost_frontend_open(struct vhost_frontend *frontend, int fd, int timeout_ms) {
        *frontend = (struct vhost_frontend) { .channel = VHOST_CHANNEL_NONE, .timeout_ms = timeout_ms };
        return vhost_channel_open(&frontend->channel, fd);
}

int vhost_frontend_connect(struct vhost_frontend *frontend, const char *path, int timeout_ms) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd, r;

        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        r = connect(fd, (const struct sockaddr *) &address, sizeof address) < 0 ? -errno : vhost_frontend_open(frontend, fd, timeout_ms);
        if (r < 0)
                close(fd);
        return r;
}

void vhost_frontend_close(struct vhost_frontend *frontend) {
        vhost_channel_close(&frontend->channel);
}

static int64_t now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int wait_for(const struct vhost_frontend *frontend, short events, int64_t deadline) {
        struct pollfd p = { .fd = frontend->channel.fd, .events = events };
        int64_t left = deadline - now_ms();
        int n = poll(&p, 1, left > 0 ? (int) left : 0);

        if (n < 0 && errno != EINTR)
                return -errno;
        return n == 0 ? -ETIMEDOUT : 0;
}

static void note(struct vhost_frontend_said *said, const void *bytes, size_t n) {
        size_t room = sizeof said->bytes - said->n;

        memcpy(said->bytes + said->n, bytes, n < room ? n : room);
        said->n += n < room ? n : room;
}

int vhost_frontend_send_bytes(struct vhost_frontend *frontend, const void *data, size_t size, const int *fds, size_t n_fds) {
        int64_t deadline = now_ms() + frontend->timeout_ms;
        const uint8_t *p = data;

        frontend->sent.n = 0;
        note(&frontend->sent, data, size);
        while (size > 0) {
                union {
                        char bytes[CMSG_SPACE(32 * sizeof(int))];
                        struct cmsghdr align;
                } control = {};
                struct iovec iov = { (void *) p, size };
                struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
                ssize_t n;
                int r;

                if (n_fds > 32)
                        return -EINVAL;
                if (n_fds > 0) {
                        header.msg_control = &control;
                        header.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                        control.align = (struct cmsghdr) {
                                .cmsg_len = CMSG_LEN(n_fds * sizeof(int)),
                                .cmsg_level = SOL_SOCKET,
                                .cmsg_type = SCM_RIGHTS,
                        };
                        memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(int));
                }
                n = sendmsg(frontend->channel.fd, &header, MSG_NOSIGNAL);
                if (n < 0 && errno == EAGAIN) {
                        r = wait_for(frontend, POLLOUT, deadline);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (n < 0 && errno != EINTR)
                        return errno == EPIPE ? -ECONNRESET : -errno;
                if (n > 0) {
                        p += n;
                        size -= (size_t) n;
                        n_fds = 0;
                }
        }
        return 0;
}

int vhost_frontend_send(struct vhost_frontend *frontend, uint32_t request, uint32_t flags, const void *payload, uint32_t size, const int *fds,
                        size_t n_fds) {
        uint8_t bytes[VHOST_HEADER_SIZE + sizeof(union vhost_payload)];
        const uint32_t header[3] = { request, VHOST_FLAG_VERSION | flags, size };

        if (size > sizeof(union vhost_payload))
                return -EINVAL;
        memcpy(bytes, header, sizeof header);
        if (size > 0)
                memcpy(bytes + sizeof header, payload, size);
        return vhost_frontend_send_bytes(frontend, bytes, sizeof header + size, fds, n_fds);
}

int vhost_frontend_receive(struct vhost_frontend *frontend, struct vhost_message *ret_message) {
        int64_t deadline = now_ms() + frontend->timeout_ms;
        int r;

        for (;;) {
                r = vhost_channel_receive(&frontend->channel, ret_message);
                if (r == VHOST_CHANNEL_END)
                        return -ECONNRESET;
                if (r == 0) {
                        const uint32_t header[3] = { ret_message->request, ret_message->flags, ret_message->size };

                        frontend->received.n = 0;
                        note(&frontend->received, header, sizeof header);
                        note(&frontend->received, &ret_message->payload, ret_message->size);
                }
                if (r != VHOST_CHANNEL_WAIT)
                        return r;
                r = wait_for(frontend, POLLIN, deadline);
                if (r < 0)
                        return r;
        }
}

/* The reply to a request. */
static int receive_reply(struct vhost_frontend *frontend, uint32_t request, struct vhost_message *ret_reply) {
        int r = vhost_frontend_receive(frontend, ret_reply);

        if (r < 0)
                return r;
        if (ret_reply->request == request && ret_reply->flags & VHOST_FLAG_REPLY &&
            (ret_reply->flags & VHOST_FLAG_VERSION_MASK) == VHOST_FLAG_VERSION)
                return 0;
        vhost_message_done(ret_reply);
        return -EPROTO;
}

int vhost_frontend_ask(struct vhost_frontend *frontend, uint32_t request, const void *payload, uint32_t size, struct vhost_message *ret_reply) {
        int r = vhost_frontend_send(frontend, request, 0, payload, size, NULL, 0);

        return r < 0 ? r : receive_reply(frontend, request, ret_reply);
}

int vhost_frontend_ask_u64(struct vhost_frontend *frontend, uint32_t request, uint64_t *ret_value) {
        VHOST_AUTO_MESSAGE reply = {};
        int r = vhost_frontend_ask(frontend, request, NULL, 0, &reply);

        if (r < 0)
                return r;
        if (reply.size != sizeof reply.payload.u64)
                return -EPROTO;
        *ret_value = reply.payload.u64;
        return 0;
}

int vhost_frontend_tell(struct vhost_frontend *frontend, uint32_t request, const void *payload, uint32_t size, const int *fds, size_t n_fds) {
        bool ack = frontend->protocol_features & VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK);
        VHOST_AUTO_MESSAGE reply = {};
        int r;

        r = vhost_frontend_send(frontend, request, ack ? VHOST_FLAG_NEED_REPLY : 0, payload, size, fds, n_fds);
        if (r < 0 || !ack)
                return r;
        r = receive_reply(frontend, request, &reply);
        if (r < 0)
                return r;
        if (reply.size != sizeof reply.payload.u64)
                return -EPROTO;
        return reply.payload.u64 == 0 ? 0 : -EREMOTEIO;
}

int vhost_frontend_tell_u64(struct vhost_frontend *frontend, uint32_t request, uint64_t value) {
        return vhost_frontend_tell(frontend, request, &value, sizeof value, NULL, 0);
}
