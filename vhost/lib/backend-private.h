/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The parts of a back-end: backend.c runs it, backend-requests.c answers about the device, backend-queues.c has the rings, backend-memory.c memory, backend-state.c migration, backend-inband.c notifications as requests. */

#include "backend.h"

#define VHOST_MESSAGES_AT_ONCE 32u      /* more than any front-end has to say in a row, and soon done: then it is everybody else's turn */

struct vhost_backend {
        const struct vhost_device *device;
        void *userdata;
        void *server;                   /* server.c's */
        struct vhost_channel channel;
        struct vhost_channel requests;  /* of ours to the front-end: BACKEND_REQ */
        int inside_fd;                  /* an epoll of the following two: the channel above, and */
        int inband_fd;                  /* an event: a queue has something to be sent */
        bool awaits_answer;             /* to a notification that was sent */
        uint64_t features, protocol_features;   /* as negotiated */
        uint8_t status;                 /* VIRTIO's */
        int state_fd;                   /* that a state comes from: DEVICE_STATE; -1: none */
        int state_result;               /* of the transfer: negative errno */
        bool config_has_changed;        /* and could not be told yet */
        struct vhost_message pending;   /* waits for queues to end */
        bool has_pending, is_closing;
        bool is_owned;                  /* SET_OWNER came: another begins anew */
        char complaint[160];
        struct vhost_memory memory;
        struct vhost_log log;
        struct vhost_inflight inflight;
        struct vhost_queue queues[];
};

/* What a request needs of queues before it is done. */
enum vhost_quiet {
        QUIET_NONE,
        QUIET_ONE,                      /* the queue that it names */
        QUIET_ALL,
};

/* Does a request. The reply's payload and size are the handler's, for requests that have one. Negative errno: it failed. */
typedef int vhost_handler(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply);

vhost_handler vhost_do_get_features, vhost_do_set_features, vhost_do_nothing, vhost_do_set_owner, vhost_do_disable, vhost_do_get_protocol_features,
        vhost_do_set_protocol_features, vhost_do_get_queue_num, vhost_do_set_backend_req_fd, vhost_do_get_config, vhost_do_set_config,
        vhost_do_get_inflight_fd, vhost_do_set_inflight_fd, vhost_do_reset_device, vhost_do_set_status, vhost_do_get_status;
vhost_handler vhost_do_set_mem_table, vhost_do_add_mem_reg, vhost_do_rem_mem_reg, vhost_do_get_max_mem_slots, vhost_do_set_log_base;
vhost_handler vhost_do_set_vring_num, vhost_do_set_vring_addr, vhost_do_set_vring_base, vhost_do_get_vring_base, vhost_do_set_vring_kick,
        vhost_do_set_vring_call, vhost_do_set_vring_err, vhost_do_set_vring_enable;
vhost_handler vhost_do_vring_kick;
vhost_handler vhost_do_set_device_state_fd, vhost_do_check_device_state;

void vhost_state_close(struct vhost_backend *backend);

int vhost_inband_init(struct vhost_backend *backend);
void vhost_inband_done(struct vhost_backend *backend);
/* The channel of requests of ours: takes a socket over, if that succeeds, in place of the one before; and closes it. */
int vhost_requests_open(struct vhost_backend *backend, int fd);
void vhost_requests_close(struct vhost_backend *backend);

void vhost_inband_process(struct vhost_backend *backend);
void vhost_inband_signal(struct vhost_queue *queue, atomic_bool *waits);        /* on any thread, as is the next */
void vhost_inband_wake(struct vhost_backend *backend);  /* it has something to do */

static inline bool vhost_backend_has(const struct vhost_backend *backend, enum vhost_protocol_feature feature) {
        return backend->protocol_features & VHOST_BIT(feature);
}

static inline bool vhost_backend_is_packed(const struct vhost_backend *backend) {
        return backend->features & VHOST_BIT(VHOST_F_PACKED);
}

/* Queues */

void vhost_queues_init(struct vhost_backend *backend);
void vhost_queues_reset(struct vhost_backend *backend);         /* as at first; none runs */
void vhost_queues_disable(struct vhost_backend *backend);       /* and not started; what the front-end has said stays */
void vhost_queues_start(struct vhost_backend *backend);         /* those that may run and do not */

/* The queue that a request names, or NULL: it names none that there is. */
struct vhost_queue *vhost_queue_named(struct vhost_backend *backend, const struct vhost_message *message);

/* Ends queues: one, or if NULL all. Returns whether they have ended. */
bool vhost_queues_quiet(struct vhost_backend *backend, struct vhost_queue *only);
