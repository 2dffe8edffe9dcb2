/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Queues: what the front-end says of each, when one may run, and how it begins and ends. */

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backend-private.h"
#include "now.h"

#define POLL_NSEC (200 * 1000)          /* how often a ring without kicks is looked at: a fraction of a disk's time */

static void close_fd(int *fd) {
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

void vhost_queues_init(struct vhost_backend *backend) {
        for (uint16_t i = 0; i < backend->device->n_queues; i++) {
                struct vhost_queue *queue = &backend->queues[i];

                *queue = (struct vhost_queue) { .backend = backend, .index = i, .kick_fd = -1, .call_fd = -1, .err_fd = -1 };
                pthread_mutex_init(&queue->lock, NULL);
        }
}

void vhost_queues_disable(struct vhost_backend *backend) {
        for (uint16_t i = 0; i < backend->device->n_queues; i++) {
                backend->queues[i].is_enabled = false;
                backend->queues[i].is_started = false;
                close_fd(&backend->queues[i].kick_fd);
        }
}

void vhost_queues_reset(struct vhost_backend *backend) {
        vhost_queues_disable(backend);
        for (uint16_t i = 0; i < backend->device->n_queues; i++) {
                struct vhost_queue *queue = &backend->queues[i];

                close_fd(&queue->call_fd);
                close_fd(&queue->err_fd);
                queue->call_inband = queue->err_inband = false;
                queue->call_waits = queue->err_waits = false;
                queue->size = 0;
                queue->base = 0;
                queue->has_address = false;
        }
}

static bool may_run(const struct vhost_queue *queue) {
        if (queue->kick_fd < 0 || queue->size == 0 || !queue->has_address)
                return false;
        return queue->is_enabled || !(queue->backend->features & VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES));
}

/* A region that is for rings of another kind, or smaller ones, is no place to note anything in. */
static bool can_track(const struct vhost_queue *queue) {
        const struct vhost_inflight *inflight = &queue->backend->inflight;

        if (queue->index >= inflight->n_queues)
                return true;            /* nothing is tracked */
        return queue->size <= inflight->queue_size && inflight->is_packed == vhost_backend_is_packed(queue->backend);
}

static void start(struct vhost_queue *queue) {
        struct vhost_backend *backend = queue->backend;
        const struct vhost_ring_setup setup = {
                .memory = &backend->memory,
                .log = backend->features & VHOST_BIT(VHOST_F_LOG_ALL) && backend->log.size > 0 ? &backend->log : NULL,
                .inflight = vhost_inflight_queue(&backend->inflight, queue->index),
                .inflight_packed = vhost_inflight_packed_queue(&backend->inflight, queue->index),
                .address = queue->address,
                .features = backend->features,
                .size = queue->size,
                .base = queue->base,
        };
        int r;

        r = can_track(queue) ? vhost_ring_init(&queue->ring, &setup) : -EINVAL;
        if (r < 0) {
                /* Not the end of the connection: memory may still be on its way, and each change tries again. */
                if (r != -EFAULT)
                        vhost_queue_fail(queue);
                return;
        }
        queue->at_once = queue->is_started || queue->ring.has_run;
        if (queue->at_once)
                queue->is_started = true;
        queue->state = VHOST_QUEUE_RUNS;
        backend->device->start(backend->userdata, queue);
}

void vhost_queues_start(struct vhost_backend *backend) {
        for (uint16_t i = 0; i < backend->device->n_queues; i++)
                if (backend->queues[i].state == VHOST_QUEUE_IDLE && may_run(&backend->queues[i]))
                        start(&backend->queues[i]);
}

bool vhost_queues_quiet(struct vhost_backend *backend, struct vhost_queue *only) {
        bool quiet = true;

        for (uint16_t i = 0; i < backend->device->n_queues; i++) {
                struct vhost_queue *queue = &backend->queues[i];

                if (only && queue != only)
                        continue;
                if (queue->state == VHOST_QUEUE_RUNS) {
                        queue->state = VHOST_QUEUE_ENDS;
                        backend->device->stop(backend->userdata, queue);
                }
                quiet &= queue->state == VHOST_QUEUE_IDLE;
        }
        return quiet;
}

void vhost_queue_stopped(struct vhost_queue *queue) {
        /* A device that was just busy had asked for no kicks: whoever goes on with the ring needs them. */
        vhost_ring_sleep(&queue->ring);
        queue->base = vhost_ring_base(&queue->ring);
        vhost_ring_done(&queue->ring);
        queue->state = VHOST_QUEUE_IDLE;
}

struct vhost_queue *vhost_queue_named(struct vhost_backend *backend, const struct vhost_message *message) {
        uint64_t untrusted_index = message->payload.state.index;

        switch (message->request) {
        case VHOST_USER_SET_VRING_KICK:
        case VHOST_USER_SET_VRING_CALL:
        case VHOST_USER_SET_VRING_ERR:
                if (message->payload.u64 & ~(uint64_t) VHOST_VRING_BITS)
                        return NULL;
                untrusted_index = message->payload.u64 & VHOST_VRING_INDEX_MASK;
        }
        return untrusted_index < backend->device->n_queues ? &backend->queues[untrusted_index] : NULL;
}

int vhost_do_set_vring_num(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        struct vhost_queue *queue = vhost_queue_named(backend, message);
        uint32_t max = backend->device->queue_size_max > 0 ? backend->device->queue_size_max : VHOST_RING_SIZE_MAX;
        uint32_t size = message->payload.state.num;

        if (!queue || size == 0 || size > max || (size & (size - 1)) != 0)
                return -EINVAL;
        if (queue->is_started)
                return -EBUSY;
        queue->size = (uint16_t) size;
        return 0;
}

int vhost_do_set_vring_addr(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        struct vhost_queue *queue = vhost_queue_named(backend, message);
        const struct vhost_vring_address *address = &message->payload.address;

        if (!queue || address->flags & ~VHOST_VRING_F_LOG || address->descriptor % 16 != 0 || address->available % 2 != 0 ||
            address->used % 4 != 0)
                return -EINVAL;
        queue->address = *address;
        queue->has_address = true;
        return 0;
}

int vhost_do_set_vring_base(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        struct vhost_queue *queue = vhost_queue_named(backend, message);

        if (!queue || (message->payload.state.num > UINT16_MAX && !vhost_backend_is_packed(backend)))
                return -EINVAL;
        if (queue->is_started)
                return -EBUSY;
        queue->base = message->payload.state.num;
        return 0;
}

int vhost_do_get_vring_base(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        struct vhost_queue *queue = vhost_queue_named(backend, message);

        if (!queue)
                return -EINVAL;
        /* Stopped. The kick goes too: else one that was on its way would start it again, behind the front-end's back. */
        queue->is_started = false;
        close_fd(&queue->kick_fd);
        reply->payload.state = (struct vhost_vring_state) { .index = queue->index, .num = queue->base };
        reply->size = sizeof reply->payload.state;
        return 0;
}

/*
 * The descriptor of one of the three, or -1 if there is to be none. An eventfd is no file, pipe or socket: in those, a write could block, go to
 * somebody's data, or end us with a signal.
 */
static int take_event(struct vhost_message *message, int *ret_fd) {
        bool none = message->payload.u64 & VHOST_VRING_NO_FD;
        struct stat st;
        int flags;

        if (none != (message->n_fds == 0))
                return -EINVAL;
        if (none) {
                *ret_fd = -1;
                return 0;
        }
        if (fstat(message->fds[0], &st) < 0)
                return -errno;
        if ((st.st_mode & S_IFMT) != 0)
                return -EINVAL;
        flags = fcntl(message->fds[0], F_GETFL);
        if (flags < 0 || fcntl(message->fds[0], F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        *ret_fd = vhost_message_take_fd(message, 0);
        return 0;
}

/* A ring without kicks: an event of ours that VRING_KICK sets, or a timer. */
static int make_kick(const struct vhost_backend *backend) {
        const struct itimerspec spec = { .it_interval = { .tv_nsec = POLL_NSEC }, .it_value = { .tv_nsec = POLL_NSEC } };
        bool is_inband = vhost_backend_has(backend, VHOST_PROTOCOL_F_INBAND_NOTIFICATIONS);
        int fd = is_inband ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

        if (fd < 0 || is_inband)
                return fd < 0 ? -errno : fd;
        timerfd_settime(fd, 0, &spec, NULL);
        return fd;
}

int vhost_do_set_vring_kick(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        struct vhost_queue *queue = vhost_queue_named(backend, message);
        int fd, r;

        if (!queue)
                return -EINVAL;
        r = take_event(message, &fd);
        if (r < 0)
                return r;
        if (fd < 0)
                fd = make_kick(backend);
        if (fd < 0)
                return fd;
        close_fd(&queue->kick_fd);
        queue->kick_fd = fd;
        return 0;
}

static void replace_event(struct vhost_queue *queue, int *event, bool *inband, int fd) {
        pthread_mutex_lock(&queue->lock);
        close_fd(event);
        *event = fd;
        *inband = fd < 0 && vhost_backend_has(queue->backend, VHOST_PROTOCOL_F_INBAND_NOTIFICATIONS);
        pthread_mutex_unlock(&queue->lock);
}

static void signal_event(struct vhost_queue *queue, const int *event, const bool *inband, atomic_bool *waits) {
        const uint64_t one = 1;

        pthread_mutex_lock(&queue->lock);
        if (*inband)
                vhost_inband_signal(queue, waits);
        /* Full is as good as signalled; and who gave us something else than an event has nobody to blame. */
        if (*event >= 0 && vhost_write_now(*event, &one, sizeof one) < 0)
                errno = 0;
        pthread_mutex_unlock(&queue->lock);
}

static void signal_call(struct vhost_queue *queue) {
        signal_event(queue, &queue->call_fd, &queue->call_inband, &queue->call_waits);
}

int vhost_do_set_vring_call(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        struct vhost_queue *queue = vhost_queue_named(backend, message);
        int fd, r;

        if (!queue)
                return -EINVAL;
        r = take_event(message, &fd);
        if (r < 0)
                return r;
        replace_event(queue, &queue->call_fd, &queue->call_inband, fd);
        if (queue->is_started)
                signal_call(queue);   /* what was used while the old one was there may not have been heard of */
        return 0;
}

int vhost_do_set_vring_err(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        struct vhost_queue *queue = vhost_queue_named(backend, message);
        int fd, r;

        if (!queue)
                return -EINVAL;
        r = take_event(message, &fd);
        if (r < 0)
                return r;
        replace_event(queue, &queue->err_fd, &queue->err_inband, fd);
        return 0;
}

int vhost_do_set_vring_enable(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        struct vhost_queue *queue = vhost_queue_named(backend, message);

        if (!queue || message->payload.state.num > 1)
                return -EINVAL;
        queue->is_enabled = message->payload.state.num;
        return 0;
}

void vhost_queue_clear_kick(struct vhost_queue *queue) {
        uint64_t n;

        if (!atomic_exchange(&queue->is_started, true))
                vhost_inband_wake(queue->backend);      /* no longer suspended: there may be a notice that waits for that */
        if (vhost_read_now(queue->kick_fd, &n, sizeof n) < 0)
                errno = 0;              /* somebody was faster, or there was none: the ring itself says what there is */
}

bool vhost_queue_flush(struct vhost_queue *queue) {
        if (!vhost_ring_publish(&queue->ring))
                return false;
        signal_call(queue);
        return true;
}

void vhost_queue_fail(struct vhost_queue *queue) {
        signal_event(queue, &queue->err_fd, &queue->err_inband, &queue->err_waits);
}
