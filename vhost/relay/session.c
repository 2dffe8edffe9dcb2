/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sessions: the messages, in the order in which they are said. */

#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "now.h"

static const uint32_t of_whole[SESSION_WHOLE_N] = {
        VHOST_USER_SET_OWNER,   VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_USER_SET_FEATURES,
        VHOST_USER_SET_LOG_BASE, VHOST_USER_SET_LOG_FD,           VHOST_USER_SET_MEM_TABLE,
};

/* The kick begins a ring: by then it is complete. */
static const uint32_t of_ring[SESSION_RING_N] = {
        VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE,   VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_CALL,
        VHOST_USER_SET_VRING_ERR, VHOST_USER_SET_VRING_ENABLE, VHOST_USER_SET_VRING_KICK,
};

enum { FEATURES = 2, TABLE = 5 };       /* places in of_whole */
enum { NUM, BASE, ADDRESS, CALL, KICK = 6 };    /* places in of_ring */

void session_done(struct session *session) {
        for (size_t i = 0; i < SESSION_WHOLE_N; i++)
                vhost_message_done(&session->whole[i]);
        for (size_t ring = 0; ring < SESSION_RINGS_MAX; ring++)
                for (size_t i = 0; i < SESSION_RING_N; i++)
                        vhost_message_done(&session->rings[ring][i]);
        *session = (struct session) {};
}

/* Index of a ring: an array of messages; all three layouts begin with it, and in two its upper bits are flags. */
static int find(struct session *session, const struct vhost_message *message, struct vhost_message **ret_kept) {
        uint32_t ring = message->payload.state.index & VHOST_VRING_INDEX_MASK;

        *ret_kept = NULL;
        for (size_t i = 0; i < SESSION_WHOLE_N; i++)
                if (of_whole[i] == message->request)
                        *ret_kept = &session->whole[i];
        for (size_t i = 0; i < SESSION_RING_N; i++) {
                if (of_ring[i] != message->request)
                        continue;
                if (ring >= SESSION_RINGS_MAX)
                        return -EBADMSG;
                *ret_kept = &session->rings[ring][i];
        }
        return 0;
}

int session_keep(struct session *session, const struct vhost_message *message) {
        struct vhost_message *kept;
        int r;

        r = find(session, message, &kept);
        if (r < 0 || !kept)
                return r;
        if (message->request == VHOST_USER_SET_PROTOCOL_FEATURES)
                session->protocol_features = message->payload.u64;
        vhost_message_done(kept);
        *kept = *message;
        kept->flags = VHOST_FLAG_VERSION;
        for (kept->n_fds = 0; kept->n_fds < message->n_fds; kept->n_fds++) {
                kept->fds[kept->n_fds] = fcntl(message->fds[kept->n_fds], F_DUPFD_CLOEXEC, 3);
                if (kept->fds[kept->n_fds] < 0)
                        return -errno;
        }
        return 0;
}

bool session_ring_runs(const struct session *session, uint32_t ring) {
        return ring < SESSION_RINGS_MAX && session->rings[ring][KICK].request != 0;
}

const struct vhost_message *session_table(const struct session *session) {
        return &session->whole[TABLE];
}

const struct vhost_message *session_address(const struct session *session, uint32_t ring) {
        return &session->rings[ring][ADDRESS];
}

uint32_t session_ring_size(const struct session *session, uint32_t ring) {
        return session->rings[ring][NUM].payload.state.num;
}

int session_ring_at(struct session *session, uint32_t ring, uint32_t base) {
        const struct vhost_message message = {
                .request = VHOST_USER_SET_VRING_BASE,
                .flags = VHOST_FLAG_VERSION,
                .size = sizeof message.payload.state,
                .payload.state = { ring, base },
        };

        return session_keep(session, &message);
}

int session_ring_stopped(struct session *session, uint32_t ring, uint32_t base) {
        int r = session_ring_at(session, ring, base);

        if (r < 0)
                return r;
        vhost_message_done(&session->rings[ring][KICK]);
        session->rings[ring][KICK].request = 0;
        return 0;
}

/* Telling */

static int tell_one(const struct session *session, struct vhost_frontend *backend, const struct vhost_message *message) {
        VHOST_AUTO_MESSAGE reply = {};
        int r;

        if (message->request == 0)
                return 0;
        r = vhost_frontend_send(backend, message->request, 0, &message->payload, message->size, message->fds, message->n_fds);
        if (r < 0 || message->request != VHOST_USER_SET_LOG_BASE)
                return r;
        return vhost_frontend_receive(backend, &reply); /* the only one of these that has a reply */
}

int session_tell(const struct session *session, struct vhost_frontend *backend) {
        uint64_t offered, features = session->whole[FEATURES].payload.u64, protocol_offered = 0;
        int r;

        r = vhost_frontend_ask_u64(backend, VHOST_USER_GET_FEATURES, &offered);
        if (r >= 0 && session->protocol_features != 0)
                r = vhost_frontend_ask_u64(backend, VHOST_USER_GET_PROTOCOL_FEATURES, &protocol_offered);
        if (r < 0)
                return r;
        if (features & ~offered || session->protocol_features & ~protocol_offered)
                return -EPROTO;
        for (size_t i = 0; i < SESSION_WHOLE_N && r >= 0; i++)
                r = tell_one(session, backend, &session->whole[i]);
        for (size_t ring = 0; ring < SESSION_RINGS_MAX; ring++)
                for (size_t i = 0; i < SESSION_RING_N && r >= 0; i++)
                        r = tell_one(session, backend, &session->rings[ring][i]);
        return r;
}

static void wake(const struct vhost_message *message) {
        const uint64_t one = 1;

        /* It can fail only if there is more to be seen already than anybody has counted. */
        if (message->request != 0 && message->n_fds > 0 && vhost_write_now(message->fds[0], &one, sizeof one) < 0)
                return;
}

void session_wake(const struct session *session) {
        for (size_t ring = 0; ring < SESSION_RINGS_MAX; ring++) {
                wake(&session->rings[ring][CALL]);
                wake(&session->rings[ring][KICK]);
        }
}
