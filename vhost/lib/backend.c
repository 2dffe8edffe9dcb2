/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The back-end's side of a connection: one request after the other, each once the queues that it concerns have ended. */

#include "backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "backend-private.h"

static const struct {
        vhost_handler *handler;
        enum vhost_quiet quiet;
} handlers[_VHOST_USER_N] = {
        [VHOST_USER_GET_FEATURES] = { vhost_do_get_features, QUIET_NONE },
        [VHOST_USER_SET_FEATURES] = { vhost_do_set_features, QUIET_ALL },
        [VHOST_USER_SET_OWNER] = { vhost_do_set_owner, QUIET_ALL },
        [VHOST_USER_RESET_OWNER] = { vhost_do_disable, QUIET_ALL },
        [VHOST_USER_SET_MEM_TABLE] = { vhost_do_set_mem_table, QUIET_ALL },
        [VHOST_USER_SET_LOG_BASE] = { vhost_do_set_log_base, QUIET_ALL },
        [VHOST_USER_SET_LOG_FD] = { vhost_do_nothing, QUIET_NONE },     /* "optional": the log itself tells everything */
        [VHOST_USER_SET_VRING_NUM] = { vhost_do_set_vring_num, QUIET_ONE },
        [VHOST_USER_SET_VRING_ADDR] = { vhost_do_set_vring_addr, QUIET_ONE },
        [VHOST_USER_SET_VRING_BASE] = { vhost_do_set_vring_base, QUIET_ONE },
        [VHOST_USER_GET_VRING_BASE] = { vhost_do_get_vring_base, QUIET_ONE },
        [VHOST_USER_SET_VRING_KICK] = { vhost_do_set_vring_kick, QUIET_ONE },
        [VHOST_USER_SET_VRING_CALL] = { vhost_do_set_vring_call, QUIET_NONE },
        [VHOST_USER_SET_VRING_ERR] = { vhost_do_set_vring_err, QUIET_NONE },
        [VHOST_USER_GET_PROTOCOL_FEATURES] = { vhost_do_get_protocol_features, QUIET_NONE },
        [VHOST_USER_SET_PROTOCOL_FEATURES] = { vhost_do_set_protocol_features, QUIET_NONE },
        [VHOST_USER_GET_QUEUE_NUM] = { vhost_do_get_queue_num, QUIET_NONE },
        [VHOST_USER_SET_VRING_ENABLE] = { vhost_do_set_vring_enable, QUIET_ONE },
        [VHOST_USER_SET_BACKEND_REQ_FD] = { vhost_do_set_backend_req_fd, QUIET_NONE },
        [VHOST_USER_GET_CONFIG] = { vhost_do_get_config, QUIET_NONE },
        [VHOST_USER_SET_CONFIG] = { vhost_do_set_config, QUIET_NONE },
        [VHOST_USER_GET_INFLIGHT_FD] = { vhost_do_get_inflight_fd, QUIET_NONE },
        [VHOST_USER_SET_INFLIGHT_FD] = { vhost_do_set_inflight_fd, QUIET_ALL },
        [VHOST_USER_RESET_DEVICE] = { vhost_do_reset_device, QUIET_ALL },
        [VHOST_USER_VRING_KICK] = { vhost_do_vring_kick, QUIET_NONE },
        [VHOST_USER_GET_MAX_MEM_SLOTS] = { vhost_do_get_max_mem_slots, QUIET_NONE },
        [VHOST_USER_ADD_MEM_REG] = { vhost_do_add_mem_reg, QUIET_ALL },
        [VHOST_USER_REM_MEM_REG] = { vhost_do_rem_mem_reg, QUIET_ALL },
        [VHOST_USER_SET_STATUS] = { vhost_do_set_status, QUIET_ALL },
        [VHOST_USER_GET_STATUS] = { vhost_do_get_status, QUIET_NONE },
        [VHOST_USER_SET_DEVICE_STATE_FD] = { vhost_do_set_device_state_fd, QUIET_NONE },
        [VHOST_USER_CHECK_DEVICE_STATE] = { vhost_do_check_device_state, QUIET_NONE },
};

int vhost_backend_new(struct vhost_backend **ret_backend, const struct vhost_device *device, void *userdata) {
        struct vhost_backend *backend;
        int r;

        if (device->n_queues == 0 || device->n_queues > VHOST_QUEUES_MAX || device->config_size > VHOST_CONFIG_MAX)
                return -EINVAL;
        backend = calloc(1, sizeof *backend + device->n_queues * sizeof *backend->queues);
        if (!backend)
                return -ENOMEM;
        backend->device = device;
        backend->userdata = userdata;
        backend->memory.xen = device->xen;
        backend->state_fd = -1;
        backend->channel = backend->requests = (struct vhost_channel) VHOST_CHANNEL_NONE;
        backend->log = (struct vhost_log) VHOST_LOG_NONE;
        backend->inflight = (struct vhost_inflight) VHOST_INFLIGHT_NONE;
        vhost_queues_init(backend);
        r = vhost_inband_init(backend);
        if (r < 0) {
                vhost_backend_free(backend);
                return r;
        }
        *ret_backend = backend;
        return 0;
}

/* Lets go of everything that came with the connection. No queue runs. */
static void forget(struct vhost_backend *backend) {
        vhost_queues_reset(backend);
        vhost_message_done(&backend->pending);
        backend->has_pending = backend->is_closing = backend->is_owned = backend->config_has_changed = false;
        vhost_channel_close(&backend->channel);
        vhost_requests_close(backend);
        vhost_memory_clear(&backend->memory);
        vhost_log_close(&backend->log);
        vhost_inflight_close(&backend->inflight);
        vhost_state_close(backend);
        backend->state_result = 0;
        backend->features = backend->protocol_features = 0;
        backend->status = 0;
}

struct vhost_backend *vhost_backend_free(struct vhost_backend *backend) {
        if (!backend)
                return NULL;
        forget(backend);
        vhost_inband_done(backend);
        for (uint16_t i = 0; i < backend->device->n_queues; i++)
                pthread_mutex_destroy(&backend->queues[i].lock);
        free(backend);
        return NULL;
}

int vhost_backend_open(struct vhost_backend *backend, int fd) {
        backend->complaint[0] = 0;
        return vhost_channel_open(&backend->channel, fd);
}

void vhost_backend_close(struct vhost_backend *backend) {
        backend->is_closing = true;
}

const char *vhost_backend_complaint(const struct vhost_backend *backend) {
        return backend->complaint[0] ? backend->complaint : NULL;
}

static void complain(struct vhost_backend *backend, const struct vhost_message *message, int r) {
        const struct vhost_request_kind *kind = message ? vhost_request_kind(message->request) : NULL;

        backend->is_closing = true;
        if (!message)
                snprintf(backend->complaint, sizeof backend->complaint, "what came is no message: %s", strerror(-r));
        else
                snprintf(backend->complaint, sizeof backend->complaint, "request %u (%s) of %u bytes with %zu descriptors: %s",
                         message->request, kind ? kind->name : "unknown", message->size, message->n_fds, strerror(-r));
}

/* Whether the front-end waits to hear how a request without a reply of its own went. */
static bool wants_ack(const struct vhost_backend *backend, const struct vhost_message *message) {
        return message->flags & VHOST_FLAG_NEED_REPLY && vhost_backend_has(backend, VHOST_PROTOCOL_F_REPLY_ACK);
}

static void answer(struct vhost_backend *backend, const struct vhost_message *message, const struct vhost_message *reply) {
        int r = vhost_channel_send(&backend->channel, reply);

        if (r < 0)
                complain(backend, message, r);
}

/* A request is done, or was refused: the reply, or the end of a connection whose front-end could not hear of it otherwise. */
static void finish(struct vhost_backend *backend, const struct vhost_message *message, struct vhost_message *reply, int r) {
        const struct vhost_request_kind *kind = vhost_request_kind(message->request);

        if (kind && kind->has_reply && r == 0)
                answer(backend, message, reply);
        else if (kind && kind->has_reply && message->request == VHOST_USER_GET_CONFIG) {
                reply->size = 0;        /* "uses zero length of payload to indicate an error" */
                answer(backend, message, reply);
        } else if (!(kind && kind->has_reply) && wants_ack(backend, message)) {
                reply->size = sizeof reply->payload.u64;
                reply->payload.u64 = r < 0 ? (uint64_t) -r : 0;
                answer(backend, message, reply);
        } else if (r < 0)
                complain(backend, message, r);
}

static void execute(struct vhost_backend *backend, struct vhost_message *message) {
        VHOST_AUTO_MESSAGE reply = { .request = message->request, .flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY };
        int r;

        r = handlers[message->request].handler(backend, message, &reply);
        finish(backend, message, &reply, r);
        if (!backend->is_closing && handlers[message->request].quiet != QUIET_NONE)
                vhost_queues_start(backend);
}

/* Whether the queues that a request concerns have ended. */
static bool is_quiet(struct vhost_backend *backend, const struct vhost_message *message) {
        switch (handlers[message->request].quiet) {
        case QUIET_NONE:
                return true;
        case QUIET_ONE: {
                struct vhost_queue *queue = vhost_queue_named(backend, message);

                return !queue || vhost_queues_quiet(backend, queue);
        }
        default:
                return vhost_queues_quiet(backend, NULL);
        }
}

/* A request as it comes. Consumes it. */
static void take(struct vhost_backend *backend, struct vhost_message *message) {
        const struct vhost_request_kind *kind = vhost_request_kind(message->request);
        struct vhost_message reply = { .request = message->request, .flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY };
        int r;

        r = vhost_message_check(message, backend->protocol_features);
        if (r == 0 && kind->is_gated && !vhost_backend_has(backend, kind->feature))
                r = -EPERM;
        if (r == -EBADMSG || r == -EBADF) {
                complain(backend, message, r);  /* there is no telling what else it got wrong */
                vhost_message_done(message);
        } else if (r < 0) {
                finish(backend, message, &reply, r);
                vhost_message_done(message);
        } else if (is_quiet(backend, message)) {
                execute(backend, message);
                vhost_message_done(message);
        } else {
                backend->pending = *message;
                backend->has_pending = true;
        }
}

static void go_on(struct vhost_backend *backend) {
        if (!backend->has_pending || !is_quiet(backend, &backend->pending))
                return;
        backend->has_pending = false;
        execute(backend, &backend->pending);
        vhost_message_done(&backend->pending);
}

static void flush(struct vhost_backend *backend) {
        int r = vhost_channel_flush(&backend->channel);

        if (r < 0)
                complain(backend, NULL, r);
        if (backend->config_has_changed)
                vhost_backend_config_changed(backend);
}

int vhost_backend_process(struct vhost_backend *backend) {
        vhost_inband_process(backend);
        if (backend->channel.fd < 0)
                return VHOST_BACKEND_CLOSED;
        for (unsigned n = 0; !backend->is_closing && n < VHOST_MESSAGES_AT_ONCE; n++) {
                struct vhost_message message;
                int r;

                flush(backend);
                vhost_inband_process(backend);          /* of a queue that has ended, before anybody hears that it has */
                go_on(backend);
                if (backend->is_closing || backend->has_pending || vhost_channel_must_flush(&backend->channel))
                        break;
                r = vhost_channel_receive(&backend->channel, &message);
                if (r == VHOST_CHANNEL_WAIT)
                        return 0;
                if (r == VHOST_CHANNEL_END)
                        backend->is_closing = true;
                else if (r < 0)
                        complain(backend, NULL, r);
                else
                        take(backend, &message);
        }
        if (!backend->is_closing || !vhost_queues_quiet(backend, NULL))
                return 0;
        forget(backend);
        if (backend->device->reset)
                backend->device->reset(backend->userdata);
        return VHOST_BACKEND_CLOSED;
}

int vhost_backend_inside_fd(const struct vhost_backend *backend) {
        return backend->inside_fd;
}

int vhost_backend_fd(const struct vhost_backend *backend) {
        return backend->channel.fd;
}

uint32_t vhost_backend_events(const struct vhost_backend *backend) {
        if (backend->is_closing || backend->has_pending)
                return 0;
        return vhost_channel_must_flush(&backend->channel) ? EPOLLOUT : EPOLLIN;
}

uint64_t vhost_backend_features(const struct vhost_backend *backend) {
        return backend->features;
}

/* "Suspended device state": then a front-end is not sent anything but replies. */
static bool is_suspended(const struct vhost_backend *backend) {
        for (uint16_t i = 0; i < backend->device->n_queues; i++)
                if (backend->queues[i].is_started)
                        return false;
        return true;
}

void vhost_backend_config_changed(struct vhost_backend *backend) {
        const struct vhost_message message = { .request = VHOST_BACKEND_CONFIG_CHANGE, .flags = VHOST_FLAG_VERSION };
        int r;

        backend->config_has_changed = false;
        if (backend->requests.fd < 0 || !vhost_backend_has(backend, VHOST_PROTOCOL_F_CONFIG))
                return;
        if (is_suspended(backend)) {
                backend->config_has_changed = true;
                return;
        }
        /* One that is on its way tells of this change too: the front-end reads the space after it. */
        r = vhost_channel_must_flush(&backend->requests) ? vhost_channel_flush(&backend->requests) :
                                                           vhost_channel_send(&backend->requests, &message);
        if (r == VHOST_CHANNEL_WAIT)
                backend->config_has_changed = true;
        else if (r < 0)
                vhost_requests_close(backend);  /* the front-end has closed its end: it does not want to hear */
}
