/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * In-band notifications: kicks that are requests, and notifications that are requests of ours, where the front-end has given no descriptors.
 *
 * Devices see nothing of it: a kick goes to an event of ours that they wait for, and what they signal is noted, and sent on the back-end's thread.
 * One request of ours is on its way at a time: the next is sent when the front-end has answered it, so that nothing can pile up.
 */

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend-private.h"
#include "now.h"

int vhost_inband_init(struct vhost_backend *backend) {
        struct epoll_event event = { .events = EPOLLIN };

        backend->inband_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        backend->inside_fd = epoll_create1(EPOLL_CLOEXEC);
        if (backend->inband_fd < 0 || backend->inside_fd < 0)
                return -errno;
        return epoll_ctl(backend->inside_fd, EPOLL_CTL_ADD, backend->inband_fd, &event) < 0 ? -errno : 0;
}

void vhost_inband_done(struct vhost_backend *backend) {
        if (backend->inband_fd >= 0)
                close(backend->inband_fd);
        if (backend->inside_fd >= 0)
                close(backend->inside_fd);
}

int vhost_requests_open(struct vhost_backend *backend, int fd) {
        /* Of each change, once: a front-end that does not read must not keep us busy. */
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
        struct vhost_channel channel;
        int r;

        r = vhost_channel_open(&channel, fd);
        if (r < 0)
                return r;
        if (epoll_ctl(backend->inside_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                return -errno;
        vhost_requests_close(backend);
        backend->requests = channel;
        return 0;
}

void vhost_requests_close(struct vhost_backend *backend) {
        /* Closing is not enough, where the front-end has the same socket: it would go on waking us up. */
        if (backend->requests.fd >= 0)
                epoll_ctl(backend->inside_fd, EPOLL_CTL_DEL, backend->requests.fd, NULL);
        vhost_channel_close(&backend->requests);
        backend->awaits_answer = false;
}

void vhost_inband_wake(struct vhost_backend *backend) {
        const uint64_t one = 1;

        if (write(backend->inband_fd, &one, sizeof one) < 0)
                errno = 0;              /* full: it is set */
}

void vhost_inband_signal(struct vhost_queue *queue, atomic_bool *waits) {
        atomic_store(waits, true);
        vhost_inband_wake(queue->backend);
}

/* A front-end that has closed its end, or sends nonsense, is sent nothing more. */
static void take_answers(struct vhost_backend *backend) {
        for (unsigned n = 0; n < VHOST_MESSAGES_AT_ONCE; n++) {
                VHOST_AUTO_MESSAGE answer = {};
                int r = vhost_channel_receive(&backend->requests, &answer);

                if (r == VHOST_CHANNEL_WAIT)
                        return;
                if (r != 0) {
                        vhost_requests_close(backend);
                        return;
                }
                backend->awaits_answer = false;
        }
        vhost_inband_wake(backend);     /* there may be more, of which nobody will tell */
}

/* Sends what a queue has to say, if it has. */
static void say(struct vhost_backend *backend, struct vhost_queue *queue, uint32_t request, atomic_bool *waits) {
        bool has_ack = vhost_backend_has(backend, VHOST_PROTOCOL_F_REPLY_ACK);
        const struct vhost_message message = {
                .request = request,
                .flags = VHOST_FLAG_VERSION | (has_ack ? VHOST_FLAG_NEED_REPLY : 0),
                .size = sizeof message.payload.state,
                .payload.state = { .index = queue->index },
        };

        if (backend->requests.fd < 0 || backend->awaits_answer || vhost_channel_must_flush(&backend->requests) || !atomic_exchange(waits, false))
                return;
        backend->awaits_answer = has_ack;
        if (vhost_channel_send(&backend->requests, &message) < 0)
                vhost_requests_close(backend);
}

void vhost_inband_process(struct vhost_backend *backend) {
        struct epoll_event events[2];
        uint64_t n;

        /* What is asked for here is asked once, whatever of it can be done now. */
        epoll_wait(backend->inside_fd, events, 2, 0);
        if (read(backend->inband_fd, &n, sizeof n) < 0)
                errno = 0;
        if (backend->requests.fd < 0)
                return;
        take_answers(backend);
        if (backend->requests.fd >= 0 && vhost_channel_flush(&backend->requests) < 0)
                vhost_requests_close(backend);
        for (uint16_t i = 0; i < backend->device->n_queues; i++) {
                struct vhost_queue *queue = &backend->queues[i];

                say(backend, queue, VHOST_BACKEND_VRING_CALL, &queue->call_waits);
                say(backend, queue, VHOST_BACKEND_VRING_ERR, &queue->err_waits);
        }
}

int vhost_do_vring_kick(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        struct vhost_queue *queue = vhost_queue_named(backend, message);
        const uint64_t one = 1;

        if (!queue || message->payload.state.num != 0 || queue->kick_fd < 0)
                return -EINVAL;
        if (vhost_write_now(queue->kick_fd, &one, sizeof one) < 0)
                errno = 0;              /* full: it is set */
        return 0;
}
