/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What clauses are made of. */

#include "session.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void session_fail(struct session *session, const char *format, ...) {
        va_list args;

        if (session->verdict != VERDICT_PASSED)
                return;                 /* the first reason is the one */
        session->verdict = VERDICT_FAILED;
        va_start(args, format);
        vsnprintf(session->why, sizeof session->why, format, args);
        va_end(args);
}

void session_not_offered(struct session *session, const char *what) {
        if (session->verdict != VERDICT_PASSED)
                return;
        session->verdict = VERDICT_NOT_OFFERED;
        snprintf(session->why, sizeof session->why, "%s", what);
}

static int check(struct session *session, const char *what, int r) {
        if (r < 0)
                session_fail(session, "%s: %s", what, r == -EREMOTEIO ? "refused" : strerror(-r));
        return r;
}

bool session_has(const struct session *session, enum vhost_protocol_feature feature) {
        return session->protocol_features & VHOST_BIT(feature);
}

int session_connect(struct session *session) {
        int r;

        r = check(session, "connecting", vhost_frontend_connect(&session->frontend, session->path, session->timeout_ms));
        if (r >= 0)
                r = check(session, "GET_FEATURES", vhost_frontend_ask_u64(&session->frontend, VHOST_USER_GET_FEATURES, &session->features));
        if (r >= 0 && session->features & VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES))
                r = check(session, "GET_PROTOCOL_FEATURES",
                          vhost_frontend_ask_u64(&session->frontend, VHOST_USER_GET_PROTOCOL_FEATURES, &session->protocol_features));
        if (r >= 0 && session->want_packed && !(session->features & VHOST_BIT(VHOST_F_PACKED))) {
                session_not_offered(session, "RING_PACKED");
                return -EOPNOTSUPP;
        }
        return r;
}

/* Protocol features whose messages this program knows: others are left alone. */
#define KNOWN                                                                                                                             \
        (VHOST_BIT(VHOST_PROTOCOL_F_MQ) | VHOST_BIT(VHOST_PROTOCOL_F_LOG_SHMFD) | VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK) |                  \
         VHOST_BIT(VHOST_PROTOCOL_F_BACKEND_REQ) | VHOST_BIT(VHOST_PROTOCOL_F_CONFIG) | VHOST_BIT(VHOST_PROTOCOL_F_INFLIGHT_SHMFD) |       \
         VHOST_BIT(VHOST_PROTOCOL_F_RESET_DEVICE) | VHOST_BIT(VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VHOST_BIT(VHOST_PROTOCOL_F_STATUS) | \
         VHOST_BIT(VHOST_PROTOCOL_F_DEVICE_STATE))

static int get_capacity(struct session *session) {
        union vhost_payload payload = { .config = { .offset = 0, .size = 8 } };
        VHOST_AUTO_MESSAGE reply = {};
        int r;

        if (!session_has(session, VHOST_PROTOCOL_F_CONFIG))
                return 0;
        r = check(session, "GET_CONFIG",
                  vhost_frontend_ask(&session->frontend, VHOST_USER_GET_CONFIG, &payload, VHOST_CONFIG_HEADER + 8, &reply));
        if (r >= 0)
                memcpy(&session->capacity, reply.payload.config.bytes, sizeof session->capacity);
        return r;
}

int session_negotiate(struct session *session, uint64_t without) {
        uint64_t known = session->protocol_features & (KNOWN | session->more_protocol_features);
        int r;

        without |= VHOST_BIT(VHOST_F_LOG_ALL) | (session->want_packed ? 0 : VHOST_BIT(VHOST_F_PACKED));

        if (session->features & VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) {
                r = check(session, "SET_PROTOCOL_FEATURES",
                          vhost_frontend_tell_u64(&session->frontend, VHOST_USER_SET_PROTOCOL_FEATURES, known));
                if (r < 0)
                        return r;
                session->frontend.protocol_features = known;
        }
        r = check(session, "SET_OWNER", vhost_frontend_tell(&session->frontend, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0));
        if (r >= 0)
                r = check(session, "SET_FEATURES",
                          vhost_frontend_tell_u64(&session->frontend, VHOST_USER_SET_FEATURES, session->features & ~without));
        return r < 0 ? r : get_capacity(session);
}

int session_make_driver(struct session *session) {
        int r;

        r = check(session, "making memory", vhost_driver_memory_new(&session->memory, SESSION_MEMORY));
        if (r >= 0)
                r = check(session, "making a ring",
                          (session->want_packed ? vhost_driver_new_packed : vhost_driver_new)(&session->driver, &session->memory, 0, RING_SIZE, false));
        if (r < 0)
                return r;
        session->has_driver = true;
        session->buffer = vhost_driver_memory_take(&session->memory, DATA + DATA_MAX);
        return 0;
}

int session_start(struct session *session) {
        int r;

        if (session->frontend.channel.fd < 0) {
                r = session_connect(session);
                if (r >= 0)
                        r = session_negotiate(session, VHOST_BIT(VHOST_F_EVENT_IDX));
                if (r < 0)
                        return r;
        }
        r = session_make_driver(session);
        if (r < 0)
                return r;
        r = check(session, "lending memory", vhost_driver_memory_lend(&session->memory, &session->frontend));
        if (r >= 0)
                r = check(session, "starting the ring", vhost_driver_start(&session->driver, &session->frontend, vhost_driver_base(&session->driver),
                                                                          session->features & VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES)));
        return r;
}

void session_forget_driver(struct session *session) {
        if (session->has_driver)
                vhost_driver_done(&session->driver);
        if (session->memory.base)
                vhost_driver_memory_done(&session->memory);
        session->has_driver = false;
        session->memory = (struct vhost_driver_memory) { .fd = -1 };
}

void session_close(struct session *session) {
        vhost_frontend_close(&session->frontend);
        session_forget_driver(session);
}

bool session_is_alive(struct session *session) {
        int status;

        session_close(session);
        if (session_start(session) < 0)
                return false;
        status = block_do(session, VIRTIO_BLK_T_IN, 0, 512, true);
        if (status != VIRTIO_BLK_S_OK)
                session_fail(session, "a read after that has status %d", status);
        return status == VIRTIO_BLK_S_OK;
}

bool session_is_refused(struct session *session, uint32_t request, const void *payload, uint32_t size, const int *fds, size_t n_fds) {
        VHOST_AUTO_MESSAGE reply = {};
        uint64_t features;
        int r;

        r = vhost_frontend_send(&session->frontend, request, VHOST_FLAG_NEED_REPLY, payload, size, fds, n_fds);
        if (r >= 0 && session->frontend.protocol_features & VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK))
                r = vhost_frontend_receive(&session->frontend, &reply);
        else if (r >= 0)                /* nobody tells: then at least it must not have gone on */
                r = vhost_frontend_ask_u64(&session->frontend, VHOST_USER_GET_FEATURES, &features);
        if (r == -ETIMEDOUT)
                session_fail(session, "no answer, and the connection is not closed");
        if (r < 0)
                return r != -ETIMEDOUT;
        return reply.size == 8 && reply.payload.u64 != 0;
}

int session_begin_inflight(struct session *session, union vhost_payload *payload, struct vhost_message *reply) {
        if (session_connect(session) < 0)
                return -EIO;
        if (!session_has(session, VHOST_PROTOCOL_F_INFLIGHT_SHMFD)) {
                session_not_offered(session, "INFLIGHT_SHMFD");
                return -EOPNOTSUPP;
        }
        if (session_negotiate(session, VHOST_BIT(VHOST_F_EVENT_IDX)) < 0)
                return -EIO;
        *payload = (union vhost_payload) { .inflight = { .n_queues = 1, .queue_size = RING_SIZE } };
        if (vhost_frontend_ask(&session->frontend, VHOST_USER_GET_INFLIGHT_FD, payload, 24, reply) < 0 || reply->n_fds != 1) {
                session_fail(session, "no reply with a descriptor to GET_INFLIGHT_FD");
                return -EPROTO;
        }
        payload->inflight = reply->payload.inflight;
        if (vhost_frontend_tell(&session->frontend, VHOST_USER_SET_INFLIGHT_FD, payload, 24, reply->fds, 1) < 0) {
                session_fail(session, "its own region is refused by SET_INFLIGHT_FD");
                return -EPROTO;
        }
        return reply->fds[0];
}

int session_vring(struct session *session, uint32_t request, uint32_t num) {
        const struct vhost_vring_state state = { 0, num };

        return vhost_frontend_tell(&session->frontend, request, &state, sizeof state, NULL, 0);
}

int session_get_base(struct session *session) {
        const struct vhost_vring_state state = { 0, 0 };
        VHOST_AUTO_MESSAGE reply = {};
        int r = vhost_frontend_ask(&session->frontend, VHOST_USER_GET_VRING_BASE, &state, sizeof state, &reply);

        if (check(session, "GET_VRING_BASE", r) < 0)
                return r;
        return (int) (reply.payload.state.num & 0xffff);
}

void block_describe(struct session *session, uint32_t type, uint64_t sector, uint32_t n_data, bool to_write) {
        struct virtio_blk_outhdr *header = (struct virtio_blk_outhdr *) (void *) session->buffer;

        *header = (struct virtio_blk_outhdr) { .type = type, .sector = sector };
        session->buffer[4096] = 0xff;
        vhost_driver_describe(&session->driver, 0, header, sizeof *header, false, false);
        vhost_driver_describe(&session->driver, n_data > 0 ? 2 : 1, session->buffer + 4096, 1, true, true);
        if (n_data > 0)
                vhost_driver_describe(&session->driver, 1, session->buffer + DATA, n_data, to_write, false);
}

int block_send(struct session *session) {
        vhost_driver_put(&session->driver, 0);
        vhost_driver_publish(&session->driver);
        return vhost_driver_kick(&session->driver);
}

int block_wait(struct session *session) {
        uint32_t head, length;
        int r = vhost_driver_wait(&session->driver, session->timeout_ms, &head, &length);

        if (r < 0)
                return r;
        return head == 0 ? session->buffer[4096] : -EPROTO;
}

int block_do(struct session *session, uint32_t type, uint64_t sector, uint32_t n_data, bool to_write) {
        int r;

        block_describe(session, type, sector, n_data, to_write);
        r = block_send(session);
        return r < 0 ? r : block_wait(session);
}

bool block_comes(struct session *session) {
        uint32_t head, length;

        return vhost_driver_wait(&session->driver, session->quiet_ms, &head, &length) == 0;
}

void block_spoilt(struct session *session, void (*spoil)(struct session *session)) {
        uint32_t head, length;

        MUST(session, block_do(session, VIRTIO_BLK_T_IN, 0, 512, true) == 0, "a read fails");
        block_describe(session, VIRTIO_BLK_T_IN, 0, 512, true);
        vhost_driver_put(&session->driver, 0);
        spoil(session);
        vhost_driver_publish(&session->driver);
        MUST(session, vhost_driver_kick(&session->driver) == 0, "cannot kick");
        if (vhost_driver_wait(&session->driver, session->quiet_ms, &head, &length) == 0 && session->buffer[4096] == VIRTIO_BLK_S_OK)
                session_fail(session, "it succeeds");
        MUST(session, session_is_alive(session), " ");
}
