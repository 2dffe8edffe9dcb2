/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clauses about notifications that are messages: INBAND_NOTIFICATIONS. */

#include <linux/virtio_blk.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clauses.h"

#define NEEDED (VHOST_BIT(VHOST_PROTOCOL_F_BACKEND_REQ) | VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK))
#define INBAND VHOST_BIT(VHOST_PROTOCOL_F_INBAND_NOTIFICATIONS)

/* Connects, and negotiates, with notifications as messages. Returns whether they are offered and taken. */
static bool begin(struct session *s) {
        if (session_connect(s) < 0)
                return false;
        if ((s->protocol_features & (INBAND | NEEDED)) != (INBAND | NEEDED)) {
                session_not_offered(s, "INBAND_NOTIFICATIONS");
                return false;
        }
        s->more_protocol_features = INBAND;
        return session_negotiate(s, VHOST_BIT(VHOST_F_EVENT_IDX)) == 0;
}

/* Starts the ring without any of its three descriptors. Opens the channel that the back-end's requests come by. */
static bool start(struct session *s, struct vhost_frontend *requests) {
        const struct vhost_vring_state size = { 0, RING_SIZE }, base = { 0, 0 }, on = { 0, 1 };
        static const uint32_t events[] = { VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_ERR, VHOST_USER_SET_VRING_KICK };
        const uint64_t none = VHOST_VRING_NO_FD;
        struct vhost_vring_address address;
        int ends[2], r;

        if (session_make_driver(s) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return false;
        vhost_frontend_open(requests, ends[0], s->timeout_ms);
        r = vhost_frontend_tell(&s->frontend, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &ends[1], 1);
        close(ends[1]);
        address = vhost_driver_address(&s->driver);
        if (r >= 0)
                r = vhost_driver_memory_lend(&s->memory, &s->frontend);
        if (r >= 0)
                r = vhost_frontend_tell(&s->frontend, VHOST_USER_SET_VRING_NUM, &size, sizeof size, NULL, 0);
        if (r >= 0)
                r = vhost_frontend_tell(&s->frontend, VHOST_USER_SET_VRING_BASE, &base, sizeof base, NULL, 0);
        if (r >= 0)
                r = vhost_frontend_tell(&s->frontend, VHOST_USER_SET_VRING_ADDR, &address, sizeof address, NULL, 0);
        for (size_t i = 0; r >= 0 && i < sizeof events / sizeof *events; i++)
                r = vhost_frontend_tell(&s->frontend, events[i], &none, sizeof none, NULL, 0);
        if (r >= 0)
                r = vhost_frontend_tell(&s->frontend, VHOST_USER_SET_VRING_ENABLE, &on, sizeof on, NULL, 0);
        if (r < 0)
                session_fail(s, "a ring without descriptors is refused");
        return r >= 0;
}

static bool put(struct session *s) {
        const struct vhost_vring_state state = { 0, 0 };

        block_describe(s, VIRTIO_BLK_T_IN, 0, 512, true);
        vhost_driver_put(&s->driver, 0);
        vhost_driver_publish(&s->driver);
        return vhost_frontend_tell(&s->frontend, VHOST_USER_VRING_KICK, &state, sizeof state, NULL, 0) == 0;
}

/* Waits for a request of the back-end's about ring 0, and answers it if it wants that. */
static bool comes(struct session *s, struct vhost_frontend *requests, uint32_t request) {
        VHOST_AUTO_MESSAGE message = {};
        const uint64_t done = 0;

        if (vhost_frontend_receive(requests, &message) < 0) {
                session_fail(s, "no request of the back-end's");
                return false;
        }
        if (message.flags & VHOST_FLAG_NEED_REPLY)
                vhost_frontend_send(requests, message.request, VHOST_FLAG_REPLY, &done, sizeof done, NULL, 0);
        if (message.request != request || message.size != sizeof(struct vhost_vring_state) || message.payload.state.index != 0 ||
            message.payload.state.num != 0)
                session_fail(s, "request %u of ring %u comes, and not %u", message.request, message.payload.state.index, request);
        return s->verdict == VERDICT_PASSED;
}

static void kick_and_call(struct session *s) {
        struct vhost_frontend requests = VHOST_FRONTEND_NONE;
        uint32_t head, length;

        if (!begin(s) || !start(s, &requests)) {
                vhost_frontend_close(&requests);
                return;
        }
        for (int i = 0; i < 100 && s->verdict == VERDICT_PASSED; i++) {
                if (!put(s))
                        session_fail(s, "VRING_KICK is refused");
                else if (comes(s, &requests, VHOST_BACKEND_VRING_CALL) &&
                         (!vhost_driver_take(&s->driver, &head, &length) || s->buffer[4096] != VIRTIO_BLK_S_OK))
                        session_fail(s, "VRING_CALL %d comes without an answer in the ring", i + 1);
        }
        vhost_frontend_close(&requests);
}

static void without_kick(struct session *s) {
        struct vhost_frontend requests = VHOST_FRONTEND_NONE;

        if (begin(s) && start(s, &requests)) {
                block_describe(s, VIRTIO_BLK_T_IN, 0, 512, true);
                vhost_driver_put(&s->driver, 0);
                vhost_driver_publish(&s->driver);
                if (block_comes(s))
                        session_fail(s, "it is processed without a kick");
        }
        vhost_frontend_close(&requests);
}

static void error(struct session *s) {
        struct vhost_frontend requests = VHOST_FRONTEND_NONE;

        if (begin(s) && start(s, &requests)) {
                const struct vhost_vring_state state = { 0, 0 };

                vhost_driver_put(&s->driver, RING_SIZE + 1);
                vhost_driver_publish(&s->driver);
                vhost_frontend_tell(&s->frontend, VHOST_USER_VRING_KICK, &state, sizeof state, NULL, 0);
                comes(s, &requests, VHOST_BACKEND_VRING_ERR);
        }
        vhost_frontend_close(&requests);
}

static void no_such_ring(struct session *s) {
        struct vhost_vring_state state = { 300, 0 };

        if (!begin(s))
                return;
        MUST(s, session_is_refused(s, VHOST_USER_VRING_KICK, &state, sizeof state, NULL, 0), "a kick of a ring that there is not is taken");
        MUST(s, session_is_alive(s), " ");
}

static void without_the_others(struct session *s) {
        const uint64_t features = INBAND;
        uint64_t value;

        if (!begin(s))
                return;
        session_close(s);
        MUST(s, session_connect(s) == 0, " ");
        MUST(s, vhost_frontend_send(&s->frontend, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &features, sizeof features, NULL, 0) == 0, "cannot send");
        MUST(s, vhost_frontend_ask_u64(&s->frontend, VHOST_USER_GET_FEATURES, &value) < 0, "the connection goes on");
        s->more_protocol_features = 0;
        MUST(s, session_is_alive(s), " ");
}

const struct clause clauses_inband[] = {
        { "N-1", "MUST", "a ring without descriptors is kicked and notified by messages", kick_and_call, false },
        { "N-2", "MUST", "such a ring is not processed before VRING_KICK", without_kick, false },
        { "N-3", "SHOULD", "an error in such a ring is told by VRING_ERR", error, false },
        { "N-4", "MUST", "VRING_KICK of a ring that there is not is refused, and does no harm", no_such_ring, false },
        { "N-5", "SHOULD", "INBAND_NOTIFICATIONS without BACKEND_REQ and REPLY_ACK ends the connection", without_the_others, false },
        {},
};
