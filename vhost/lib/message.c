/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages: what each request looks like, and the check against it. */

#include "message.h"

#include <errno.h>
#include <unistd.h>

#define STATE .size_min = sizeof(struct vhost_vring_state), .size_max = sizeof(struct vhost_vring_state)
#define U64 .size_min = 8, .size_max = 8
#define XEN_MORE ((uint32_t) (sizeof(struct vhost_xen_region) - sizeof(struct vhost_region)))
#define GATE(f) .is_gated = true, .feature = VHOST_PROTOCOL_F_##f

static const struct vhost_request_kind kinds[_VHOST_USER_N] = {
        [VHOST_USER_GET_FEATURES] = { .name = "GET_FEATURES", .has_reply = true },
        [VHOST_USER_SET_FEATURES] = { .name = "SET_FEATURES", U64 },
        [VHOST_USER_SET_OWNER] = { .name = "SET_OWNER" },
        [VHOST_USER_RESET_OWNER] = { .name = "RESET_OWNER" },
        [VHOST_USER_SET_MEM_TABLE] = { .name = "SET_MEM_TABLE", .size_min = 8, .size_max = 8 + 32 * VHOST_REGIONS_MAX,
                                       .xen_max = XEN_MORE * VHOST_REGIONS_MAX, .fds_max = VHOST_REGIONS_MAX },
        [VHOST_USER_SET_LOG_BASE] = { .name = "SET_LOG_BASE", .size_min = 16, .size_max = 16, .fds_min = 1, .fds_max = 1,
                                      .has_reply = true, GATE(LOG_SHMFD) },
        [VHOST_USER_SET_LOG_FD] = { .name = "SET_LOG_FD", .size_max = 8, .fds_min = 1, .fds_max = 1 },
        [VHOST_USER_SET_VRING_NUM] = { .name = "SET_VRING_NUM", STATE },
        [VHOST_USER_SET_VRING_ADDR] = { .name = "SET_VRING_ADDR", .size_min = 40, .size_max = 40 },
        [VHOST_USER_SET_VRING_BASE] = { .name = "SET_VRING_BASE", STATE },
        [VHOST_USER_GET_VRING_BASE] = { .name = "GET_VRING_BASE", STATE, .has_reply = true },
        [VHOST_USER_SET_VRING_KICK] = { .name = "SET_VRING_KICK", U64, .fds_max = 1 },
        [VHOST_USER_SET_VRING_CALL] = { .name = "SET_VRING_CALL", U64, .fds_max = 1 },
        [VHOST_USER_SET_VRING_ERR] = { .name = "SET_VRING_ERR", U64, .fds_max = 1 },
        [VHOST_USER_GET_PROTOCOL_FEATURES] = { .name = "GET_PROTOCOL_FEATURES", .has_reply = true },
        [VHOST_USER_SET_PROTOCOL_FEATURES] = { .name = "SET_PROTOCOL_FEATURES", U64 },
        [VHOST_USER_GET_QUEUE_NUM] = { .name = "GET_QUEUE_NUM", .has_reply = true, GATE(MQ) },
        [VHOST_USER_SET_VRING_ENABLE] = { .name = "SET_VRING_ENABLE", STATE },
        [VHOST_USER_SET_BACKEND_REQ_FD] = { .name = "SET_BACKEND_REQ_FD", .size_max = 8, .fds_min = 1, .fds_max = 1, GATE(BACKEND_REQ) },
        [VHOST_USER_GET_CONFIG] = { .name = "GET_CONFIG", .size_min = VHOST_CONFIG_HEADER,
                                    .size_max = VHOST_CONFIG_HEADER + VHOST_CONFIG_MAX, .has_reply = true, GATE(CONFIG) },
        [VHOST_USER_SET_CONFIG] = { .name = "SET_CONFIG", .size_min = VHOST_CONFIG_HEADER,
                                    .size_max = VHOST_CONFIG_HEADER + VHOST_CONFIG_MAX, GATE(CONFIG) },
        [VHOST_USER_GET_INFLIGHT_FD] = { .name = "GET_INFLIGHT_FD", .size_min = VHOST_INFLIGHT_SIZE, .size_max = VHOST_INFLIGHT_SIZE + 4,
                                         .has_reply = true, GATE(INFLIGHT_SHMFD) },
        [VHOST_USER_SET_INFLIGHT_FD] = { .name = "SET_INFLIGHT_FD", .size_min = VHOST_INFLIGHT_SIZE, .size_max = VHOST_INFLIGHT_SIZE + 4,
                                         .fds_min = 1, .fds_max = 1, GATE(INFLIGHT_SHMFD) },
        [VHOST_USER_RESET_DEVICE] = { .name = "RESET_DEVICE", GATE(RESET_DEVICE) },
        [VHOST_USER_VRING_KICK] = { .name = "VRING_KICK", STATE, GATE(INBAND_NOTIFICATIONS) },
        [VHOST_USER_GET_MAX_MEM_SLOTS] = { .name = "GET_MAX_MEM_SLOTS", .has_reply = true, GATE(CONFIGURE_MEM_SLOTS) },
        [VHOST_USER_ADD_MEM_REG] = { .name = "ADD_MEM_REG", .size_min = 40, .size_max = 40, .xen_min = XEN_MORE, .xen_max = XEN_MORE,
                                     .fds_min = 1, .fds_max = 1, GATE(CONFIGURE_MEM_SLOTS) },
        /* "MAY accept messages with one file descriptor ... MUST close it": there are front-ends that send one. */
        [VHOST_USER_REM_MEM_REG] = { .name = "REM_MEM_REG", .size_min = 40, .size_max = 40, .xen_min = XEN_MORE, .xen_max = XEN_MORE,
                                     .fds_max = 1, GATE(CONFIGURE_MEM_SLOTS) },
        [VHOST_USER_SET_STATUS] = { .name = "SET_STATUS", U64, GATE(STATUS) },
        [VHOST_USER_GET_STATUS] = { .name = "GET_STATUS", .has_reply = true, GATE(STATUS) },
        [VHOST_USER_SET_DEVICE_STATE_FD] = { .name = "SET_DEVICE_STATE_FD", U64, .fds_min = 1, .fds_max = 1, .has_reply = true,
                                             GATE(DEVICE_STATE) },
        [VHOST_USER_CHECK_DEVICE_STATE] = { .name = "CHECK_DEVICE_STATE", .has_reply = true, GATE(DEVICE_STATE) },
};

const struct vhost_request_kind *vhost_request_kind(uint32_t request) {
        return request < _VHOST_USER_N && kinds[request].name ? &kinds[request] : NULL;
}

int vhost_message_check(const struct vhost_message *message, uint64_t protocol_features) {
        const struct vhost_request_kind *kind = vhost_request_kind(message->request);
        bool has_xen = protocol_features & VHOST_BIT(VHOST_PROTOCOL_F_XEN_MMAP);

        if ((message->flags & VHOST_FLAG_VERSION_MASK) != VHOST_FLAG_VERSION || message->flags & VHOST_FLAG_REPLY)
                return -EBADMSG;
        if (!kind)
                return -ENOTSUP;
        if (message->size < kind->size_min + (has_xen ? kind->xen_min : 0) || message->size > kind->size_max + (has_xen ? kind->xen_max : 0))
                return -EBADMSG;
        if (message->n_fds < kind->fds_min || message->n_fds > kind->fds_max)
                return -EBADF;
        return 0;
}

int vhost_message_take_fd(struct vhost_message *message, size_t i) {
        int fd;

        if (i >= message->n_fds)
                return -1;
        fd = message->fds[i];
        message->fds[i] = -1;
        return fd;
}

void vhost_message_done(struct vhost_message *message) {
        for (size_t i = 0; i < message->n_fds; i++)
                if (message->fds[i] >= 0)
                        close(message->fds[i]);
        message->n_fds = 0;
}
