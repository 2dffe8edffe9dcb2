/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Requests about the device: features, the configuration space, its status, and what outlives the connection. */

#include <errno.h>
#include <string.h>

#include "backend-private.h"

#define RING_FEATURES                                                                                                                     \
        (VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | VHOST_BIT(VHOST_F_INDIRECT) | VHOST_BIT(VHOST_F_EVENT_IDX) |                          \
         VHOST_BIT(VHOST_F_VERSION_1) | VHOST_BIT(VHOST_F_PACKED) | VHOST_BIT(VHOST_F_LOG_ALL))

#define PROTOCOL_FEATURES                                                                                                                 \
        (VHOST_BIT(VHOST_PROTOCOL_F_MQ) | VHOST_BIT(VHOST_PROTOCOL_F_LOG_SHMFD) | VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK) |                  \
         VHOST_BIT(VHOST_PROTOCOL_F_INFLIGHT_SHMFD) | VHOST_BIT(VHOST_PROTOCOL_F_RESET_DEVICE) |                                           \
         VHOST_BIT(VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VHOST_BIT(VHOST_PROTOCOL_F_STATUS) | VHOST_BIT(VHOST_PROTOCOL_F_DEVICE_STATE))

#define CONFIG_FEATURES (VHOST_BIT(VHOST_PROTOCOL_F_CONFIG) | VHOST_BIT(VHOST_PROTOCOL_F_BACKEND_REQ))
#define INBAND_FEATURES (VHOST_BIT(VHOST_PROTOCOL_F_INBAND_NOTIFICATIONS) | VHOST_BIT(VHOST_PROTOCOL_F_BACKEND_REQ))

static int reply_u64(struct vhost_message *reply, uint64_t value) {
        reply->payload.u64 = value;
        reply->size = sizeof value;
        return 0;
}

static uint64_t offered(const struct vhost_backend *backend) {
        return backend->device->features | RING_FEATURES;
}

static uint64_t offered_protocol(const struct vhost_backend *backend) {
        const struct vhost_device *device = backend->device;

        return PROTOCOL_FEATURES | (device->config_size > 0 ? CONFIG_FEATURES : 0) | (device->has_inband ? INBAND_FEATURES : 0) |
               (device->xen ? VHOST_BIT(VHOST_PROTOCOL_F_XEN_MMAP) : 0);
}

int vhost_do_nothing(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        return 0;
}

/*
 * "Can be used on the back-end as a session start flag": a connection outlives a device that is unplugged in QEMU, and the next one begins on it without
 * having taken its memory and its rings back. What was negotiated before SET_OWNER is the new session's.
 */
int vhost_do_set_owner(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        if (backend->is_owned) {
                vhost_queues_reset(backend);
                vhost_memory_clear(&backend->memory);
                vhost_log_close(&backend->log);
                vhost_do_reset_device(backend, message, reply);
        }
        backend->is_owned = true;
        return 0;
}

int vhost_do_get_features(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        return reply_u64(reply, offered(backend));
}

int vhost_do_set_features(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        if (message->payload.u64 & ~offered(backend))
                return -EOPNOTSUPP;
        backend->features = message->payload.u64;
        if (backend->device->negotiated)
                backend->device->negotiated(backend->userdata, backend->features);
        return 0;
}

int vhost_do_get_protocol_features(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        return reply_u64(reply, offered_protocol(backend));
}

int vhost_do_set_protocol_features(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        const uint64_t features = message->payload.u64,
                       needed = VHOST_BIT(VHOST_PROTOCOL_F_BACKEND_REQ) | VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK);

        if (features & ~offered_protocol(backend))
                return -EOPNOTSUPP;
        /* "In-band notifications": an error without the other two */
        if (features & VHOST_BIT(VHOST_PROTOCOL_F_INBAND_NOTIFICATIONS) && (features & needed) != needed)
                return -EINVAL;
        backend->protocol_features = features;
        return 0;
}

int vhost_do_get_queue_num(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        return reply_u64(reply, backend->device->n_queues);
}

int vhost_do_set_backend_req_fd(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        int r = vhost_requests_open(backend, message->fds[0]);

        if (r >= 0)
                vhost_message_take_fd(message, 0);
        return r;
}

/* "Virtio device config space": of size bytes, all within it. */
static int check_config(const struct vhost_backend *backend, const struct vhost_message *message) {
        uint32_t offset = message->payload.config.offset, size = message->payload.config.size, end;

        if (size == 0 || size != message->size - VHOST_CONFIG_HEADER)
                return -EINVAL;
        if (__builtin_add_overflow(offset, size, &end) || end > VHOST_CONFIG_MAX)
                return -ERANGE;
        return 0;
}

int vhost_do_get_config(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        uint32_t offset = message->payload.config.offset, size = message->payload.config.size, has = backend->device->config_size, n;
        int r;

        r = check_config(backend, message);
        if (r < 0)
                return r;
        /* A front-end that knows of later fields asks for more than this device has: they read as zeros. */
        n = offset >= has ? 0 : has - offset < size ? has - offset : size;
        reply->payload.config.offset = offset;
        reply->payload.config.size = size;
        reply->payload.config.flags = message->payload.config.flags;
        if (n > 0)
                backend->device->get_config(backend->userdata, offset, reply->payload.config.bytes, n);
        reply->size = VHOST_CONFIG_HEADER + size;
        return 0;
}

int vhost_do_set_config(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        uint32_t offset = message->payload.config.offset, size = message->payload.config.size;
        int r;

        r = check_config(backend, message);
        if (r < 0)
                return r;
        if (message->payload.config.flags & ~VHOST_CONFIG_F_MIGRATION)
                return -EINVAL;
        if (!backend->device->set_config)
                return -EPERM;
        if (offset + size > backend->device->config_size)       /* cannot wrap: checked */
                return -ERANGE;
        return backend->device->set_config(backend->userdata, offset, message->payload.config.bytes, size,
                                           message->payload.config.flags & VHOST_CONFIG_F_MIGRATION);
}

int vhost_do_get_inflight_fd(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        uint16_t n_queues = message->payload.inflight.n_queues, size = message->payload.inflight.queue_size;
        bool is_packed = vhost_backend_is_packed(backend);
        int fd;

        if (n_queues == 0 || n_queues > backend->device->n_queues || size == 0 || size > VHOST_RING_SIZE_MAX)
                return -EINVAL;
        fd = vhost_inflight_make(n_queues, size, is_packed);
        if (fd < 0)
                return fd;
        reply->payload.inflight.mmap_size = vhost_inflight_bytes(n_queues, size, is_packed);
        reply->payload.inflight.mmap_offset = 0;
        reply->payload.inflight.n_queues = n_queues;
        reply->payload.inflight.queue_size = size;
        reply->size = message->size;    /* with the padding that this front-end's compiler has put there, or without */
        reply->fds[0] = fd;
        reply->n_fds = 1;
        return 0;
}

int vhost_do_set_inflight_fd(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        struct vhost_inflight inflight = VHOST_INFLIGHT_NONE;
        int r;

        if (message->payload.inflight.n_queues > backend->device->n_queues)
                return -EINVAL;
        r = vhost_inflight_open(&inflight, message->fds[0], message->payload.inflight.mmap_offset, message->payload.inflight.mmap_size,
                                message->payload.inflight.n_queues, message->payload.inflight.queue_size, vhost_backend_is_packed(backend));
        if (r < 0)
                return r;
        vhost_inflight_close(&backend->inflight);
        backend->inflight = inflight;
        return 0;
}

int vhost_do_disable(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        vhost_queues_disable(backend);
        return 0;
}

int vhost_do_reset_device(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        vhost_queues_disable(backend);
        vhost_inflight_close(&backend->inflight);       /* what was in flight before a reset was ended by it */
        backend->status = 0;
        if (backend->device->reset)
                backend->device->reset(backend->userdata);
        return 0;
}

/* A status of 0 is how VIRTIO resets a device (§2.1.2). */
int vhost_do_set_status(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        if (message->payload.u64 > UINT8_MAX)
                return -EINVAL;
        if (message->payload.u64 == 0)
                return vhost_do_reset_device(backend, message, reply);
        backend->status = (uint8_t) message->payload.u64;
        return 0;
}

int vhost_do_get_status(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        return reply_u64(reply, backend->status);
}
