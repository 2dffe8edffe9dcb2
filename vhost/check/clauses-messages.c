/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clauses M: messages. */

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <unistd.h>

#include "clauses.h"

static void reply_form(struct session *s) {
        VHOST_AUTO_MESSAGE reply = {};

        MUST(s, vhost_frontend_connect(&s->frontend, s->path, s->timeout_ms) == 0, "cannot connect");
        MUST(s, vhost_frontend_send(&s->frontend, VHOST_USER_GET_FEATURES, 0, NULL, 0, NULL, 0) == 0, "cannot send");
        MUST(s, vhost_frontend_receive(&s->frontend, &reply) == 0, "no reply to GET_FEATURES");
        MUST(s, reply.request == VHOST_USER_GET_FEATURES, "the reply is to request %u", reply.request);
        MUST(s, (reply.flags & 7) == (VHOST_FLAG_VERSION | VHOST_FLAG_REPLY), "the reply's flags are %#x", reply.flags);
        MUST(s, reply.size == 8 && reply.n_fds == 0, "the reply has %u bytes and %zu descriptors", reply.size, reply.n_fds);
}

static void early_protocol_features(struct session *s) {
        MUST(s, session_connect(s) == 0, " ");
        MUST(s, s->features & VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES), "bit 30 is not in its features, %#llx",
             (unsigned long long) s->features);
        MUST(s, s->features & VHOST_BIT(VHOST_F_VERSION_1), "VERSION_1 is not in its features, %#llx", (unsigned long long) s->features);
}

static void pieces(struct session *s) {
        const uint32_t bytes[3] = { VHOST_USER_GET_FEATURES, VHOST_FLAG_VERSION, 0 };
        VHOST_AUTO_MESSAGE reply = {};

        MUST(s, session_connect(s) == 0, " ");
        for (size_t i = 0; i < sizeof bytes; i++) {
                MUST(s, vhost_frontend_send_bytes(&s->frontend, (const uint8_t *) bytes + i, 1, NULL, 0) == 0, "closed after byte %zu", i);
                usleep(2000);           /* so that the pieces are read as such */
        }
        MUST(s, vhost_frontend_receive(&s->frontend, &reply) == 0, "no reply to a GET_FEATURES that came byte by byte");
}

static void together(struct session *s) {
        const uint32_t bytes[6] = { VHOST_USER_GET_FEATURES,          VHOST_FLAG_VERSION, 0,
                                    VHOST_USER_GET_PROTOCOL_FEATURES, VHOST_FLAG_VERSION, 0 };
        VHOST_AUTO_MESSAGE first = {}, second = {};

        MUST(s, session_connect(s) == 0, " ");
        MUST(s, vhost_frontend_send_bytes(&s->frontend, bytes, sizeof bytes, NULL, 0) == 0, "cannot send");
        MUST(s, vhost_frontend_receive(&s->frontend, &first) == 0 && first.request == VHOST_USER_GET_FEATURES, "no reply to the first");
        MUST(s, vhost_frontend_receive(&s->frontend, &second) == 0 && second.request == VHOST_USER_GET_PROTOCOL_FEATURES,
             "no reply to the second");
}

static void ack(struct session *s) {
        MUST(s, session_connect(s) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_REPLY_ACK), "REPLY_ACK");
        MUST(s, session_negotiate(s, 0) == 0, " ");     /* tells three requests, each with need_reply */
}

static void no_ack(struct session *s) {
        VHOST_AUTO_MESSAGE reply = {};

        MUST(s, session_connect(s) == 0 && session_negotiate(s, 0) == 0, " ");
        MUST(s, vhost_frontend_send(&s->frontend, VHOST_USER_SET_OWNER, 0, NULL, 0, NULL, 0) == 0, "cannot send");
        MUST(s, vhost_frontend_send(&s->frontend, VHOST_USER_GET_FEATURES, 0, NULL, 0, NULL, 0) == 0, "cannot send");
        MUST(s, vhost_frontend_receive(&s->frontend, &reply) == 0, "no reply to GET_FEATURES");
        MUST(s, reply.request == VHOST_USER_GET_FEATURES, "a reply to request %u, which nobody asked for", reply.request);
}

static void one_reply(struct session *s) {
        VHOST_AUTO_MESSAGE first = {}, second = {};

        MUST(s, session_connect(s) == 0 && session_negotiate(s, 0) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_REPLY_ACK), "REPLY_ACK");
        MUST(s, vhost_frontend_send(&s->frontend, VHOST_USER_GET_FEATURES, VHOST_FLAG_NEED_REPLY, NULL, 0, NULL, 0) == 0, "cannot send");
        MUST(s, vhost_frontend_send(&s->frontend, VHOST_USER_GET_PROTOCOL_FEATURES, 0, NULL, 0, NULL, 0) == 0, "cannot send");
        MUST(s, vhost_frontend_receive(&s->frontend, &first) == 0 && first.request == VHOST_USER_GET_FEATURES, "no reply");
        MUST(s, first.payload.u64 == s->features, "the reply is %#llx and not its features", (unsigned long long) first.payload.u64);
        MUST(s, vhost_frontend_receive(&s->frontend, &second) == 0 && second.request == VHOST_USER_GET_PROTOCOL_FEATURES,
             "the next reply is to request %u", second.request);
}

static void unknown(struct session *s) {
        MUST(s, session_connect(s) == 0 && session_negotiate(s, 0) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_REPLY_ACK), "REPLY_ACK");
        MUST(s, session_is_refused(s, 9999, NULL, 0, NULL, 0), "request 9999 succeeds");
        MUST(s, session_is_alive(s), " ");
}

static void wrong_size(struct session *s) {
        const uint8_t bytes[16] = {};

        MUST(s, session_connect(s) == 0 && session_negotiate(s, 0) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_REPLY_ACK), "REPLY_ACK");
        MUST(s, session_is_refused(s, VHOST_USER_SET_VRING_NUM, bytes, 4, NULL, 0), "SET_VRING_NUM with 4 bytes succeeds");
        MUST(s, session_is_alive(s), " ");
}

static void oversize(struct session *s) {
        const uint32_t bytes[3] = { VHOST_USER_SET_FEATURES, VHOST_FLAG_VERSION, UINT32_MAX };

        MUST(s, session_connect(s) == 0, " ");
        MUST(s, vhost_frontend_send_bytes(&s->frontend, bytes, sizeof bytes, NULL, 0) == 0, "cannot send");
        MUST(s, session_is_alive(s), " ");
}

static void cut_off(struct session *s) {
        const uint32_t bytes[4] = { VHOST_USER_SET_FEATURES, VHOST_FLAG_VERSION, 8, 0 };

        for (size_t n = 1; n <= sizeof bytes; n += 5) {
                session_close(s);
                MUST(s, session_connect(s) == 0, " ");
                MUST(s, vhost_frontend_send_bytes(&s->frontend, bytes, n, NULL, 0) == 0, "cannot send");
        }
        MUST(s, session_is_alive(s), " ");
}

static void surplus_fds(struct session *s) {
        int fds[20];

        MUST(s, session_connect(s) == 0 && session_negotiate(s, 0) == 0, " ");
        for (size_t i = 0; i < 20; i++)
                fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
        vhost_frontend_send(&s->frontend, VHOST_USER_SET_OWNER, 0, NULL, 0, fds, 20);
        for (size_t i = 0; i < 20; i++)
                close(fds[i]);
        MUST(s, session_is_alive(s), " ");
}

static void missing_fd(struct session *s) {
        const uint64_t index = 0;

        MUST(s, session_connect(s) == 0 && session_negotiate(s, 0) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_REPLY_ACK), "REPLY_ACK");
        MUST(s, session_is_refused(s, VHOST_USER_SET_VRING_KICK, &index, sizeof index, NULL, 0),
             "SET_VRING_KICK without the descriptor that it announces succeeds");
        MUST(s, session_is_alive(s), " ");
}

static void bad_features(struct session *s) {
        const uint64_t features = VHOST_BIT(62);

        MUST(s, session_connect(s) == 0 && session_negotiate(s, 0) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_REPLY_ACK), "REPLY_ACK");
        MUST(s, session_is_refused(s, VHOST_USER_SET_FEATURES, &features, sizeof features, NULL, 0), "feature 62, which it did not offer, is taken");
}

static void bad_index(struct session *s) {
        const struct vhost_vring_state state = { 200, 1 };

        MUST(s, session_connect(s) == 0 && session_negotiate(s, 0) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_REPLY_ACK), "REPLY_ACK");
        MUST(s, session_is_refused(s, VHOST_USER_SET_VRING_ENABLE, &state, sizeof state, NULL, 0), "ring 200 can be enabled");
        MUST(s, session_is_alive(s), " ");
}

static void bad_num(struct session *s) {
        MUST(s, session_connect(s) == 0 && session_negotiate(s, 0) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_REPLY_ACK), "REPLY_ACK");
        MUST(s, session_is_refused(s, VHOST_USER_SET_VRING_NUM, &(struct vhost_vring_state) { 0, 100000 }, 8, NULL, 0),
             "a ring may have 100000 entries");
        MUST(s, session_is_alive(s), " ");
}

static void queue_num(struct session *s) {
        uint64_t n;

        MUST(s, session_connect(s) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_MQ), "MQ");
        MUST(s, session_negotiate(s, 0) == 0, " ");
        MUST(s, vhost_frontend_ask_u64(&s->frontend, VHOST_USER_GET_QUEUE_NUM, &n) == 0, "no reply to GET_QUEUE_NUM");
        MUST(s, n >= 1 && n <= 256, "it has %llu queues", (unsigned long long) n);
}

static void flood(struct session *s) {
        MUST(s, session_connect(s) == 0, " ");
        for (int i = 0; i < 2000; i++)
                if (vhost_frontend_send(&s->frontend, VHOST_USER_SET_OWNER, 0, NULL, 0, NULL, 0) < 0)
                        break;
        MUST(s, session_is_alive(s), " ");
}

/* Tells of a ring, and of memory, step by step. Negative errno: there is no going on. Being refused is an answer like any other. */
static int tell_step(struct session *s, unsigned step) {
        const struct vhost_vring_address address = vhost_driver_address(&s->driver);
        const uint64_t index = 0;
        int r = 0;

        switch (step) {
        case 0:
                r = vhost_driver_memory_lend(&s->memory, &s->frontend);
                break;
        case 1:
                r = session_vring(s, VHOST_USER_SET_VRING_NUM, RING_SIZE);
                break;
        case 2:
                r = session_vring(s, VHOST_USER_SET_VRING_BASE, 0);
                break;
        case 3:
                r = vhost_frontend_tell(&s->frontend, VHOST_USER_SET_VRING_ADDR, &address, sizeof address, NULL, 0);
                break;
        case 4:
                r = vhost_frontend_tell(&s->frontend, VHOST_USER_SET_VRING_KICK, &index, sizeof index, &s->driver.kick_fd, 1);
                break;
        case 5:
                r = vhost_frontend_tell(&s->frontend, VHOST_USER_SET_VRING_CALL, &index, sizeof index, &s->driver.call_fd, 1);
                break;
        case 6:
                r = session_vring(s, VHOST_USER_SET_VRING_ENABLE, 1);
                break;
        case 7: {
                VHOST_AUTO_MESSAGE reply = {};
                const struct vhost_vring_state state = { 0, 0 };

                r = vhost_frontend_ask(&s->frontend, VHOST_USER_GET_VRING_BASE, &state, sizeof state, &reply);
        }
        }
        return r == -EREMOTEIO ? 0 : r;
}

#define STEPS 8u
#define ORDERS 40u

/* A request waits in the ring meanwhile, and is kicked: whenever the back-end thinks that it may run, it does. */
static void any_order(struct session *s) {
        uint32_t random = 1;

        for (unsigned n = 0; n < ORDERS; n++) {
                unsigned steps[STEPS];

                for (unsigned i = 0; i < STEPS; i++) {          /* shuffled as it is filled */
                        unsigned k = (random = random * 1103515245 + 12345) / 65536 % (i + 1);

                        steps[i] = steps[k];
                        steps[k] = i;
                }
                session_close(s);
                MUST(s, session_connect(s) == 0 && session_negotiate(s, VHOST_BIT(VHOST_F_EVENT_IDX)) == 0 && session_make_driver(s) == 0, " ");
                block_describe(s, VIRTIO_BLK_T_IN, 0, 512, true);
                MUST(s, block_send(s) == 0, "cannot kick");
                for (unsigned i = 0; i < STEPS; i++)
                        if (tell_step(s, steps[i]) < 0)
                                break;                          /* it may end the connection */
        }
        MUST(s, session_is_alive(s), " ");
}

const struct clause clauses_messages[] = {
        { "M-1", "MUST", "a reply has its request's number, version 1, the reply bit and its own size", reply_form, false },
        { "M-2", "MUST", "features and protocol features are told before any are set", early_protocol_features, false },
        { "M-3", "MUST", "a message that comes in pieces is understood", pieces, false },
        { "M-4", "MUST", "two messages that come together are both answered", together, false },
        { "M-5", "MUST", "need_reply is answered with zero when a request succeeds", ack, false },
        { "M-6", "MUST", "without need_reply there is no such answer", no_ack, false },
        { "M-7", "MUST", "a request with a reply of its own has one reply, need_reply or not", one_reply, false },
        { "M-8", "MUST", "an unknown request is refused, and does no harm", unknown, false },
        { "M-9", "MUST", "a payload of a wrong size is refused, and does no harm", wrong_size, false },
        { "M-10", "MUST", "a size of 4 GiB does no harm", oversize, false },
        { "M-11", "MUST", "a connection that ends within a message does no harm", cut_off, false },
        { "M-12", "MUST", "more descriptors than any message has do no harm", surplus_fds, false },
        { "M-13", "MUST", "a descriptor that is missing is refused, and does no harm", missing_fd, false },
        { "M-14", "SHOULD", "features that were not offered are refused", bad_features, false },
        { "M-15", "MUST", "a ring that there is not is refused, and does no harm", bad_index, false },
        { "M-16", "MUST", "a ring's size that cannot be is refused, and does no harm", bad_num, false },
        { "M-17", "MUST", "GET_QUEUE_NUM tells from 1 to 256", queue_num, false },
        { "M-18", "MUST", "a flood of requests does no harm", flood, false },
        { "M-19", "MUST", "what is told of memory and a ring, in any order, does no harm", any_order, false },
        {},
};
