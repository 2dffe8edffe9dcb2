/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clauses C, D, I and L: the configuration space, reset and status, what is in flight, and connections. */

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clauses.h"
#include "inflight.h"

#define READ_1 VIRTIO_BLK_T_IN, 0, 512, true

static bool begin_config(struct session *s) {
        if (session_connect(s) < 0 || session_negotiate(s, 0) < 0)
                return false;
        if (!session_has(s, VHOST_PROTOCOL_F_CONFIG))
                session_not_offered(s, "CONFIG");
        return s->verdict == VERDICT_PASSED;
}

static void config_size(struct session *s) {
        if (!begin_config(s))
                return;
        for (uint32_t n = 1; n <= 60; n += 59) {
                union vhost_payload payload = { .config = { .size = n } };
                VHOST_AUTO_MESSAGE reply = {};

                MUST(s, vhost_frontend_ask(&s->frontend, VHOST_USER_GET_CONFIG, &payload, VHOST_CONFIG_HEADER + n, &reply) == 0,
                     "no reply to GET_CONFIG of %u bytes", n);
                MUST(s, reply.size == VHOST_CONFIG_HEADER + n && reply.payload.config.size == n, "asked for %u bytes, it replies with %u", n,
                     reply.size - VHOST_CONFIG_HEADER);
        }
        MUST(s, s->capacity > 0, "its capacity is 0");
}

static void config_beyond(struct session *s) {
        union vhost_payload payload = { .config = { .offset = 250, .size = 100 } };
        VHOST_AUTO_MESSAGE reply = {};
        int r;

        if (!begin_config(s))
                return;
        r = vhost_frontend_ask(&s->frontend, VHOST_USER_GET_CONFIG, &payload, VHOST_CONFIG_HEADER + 100, &reply);
        MUST(s, r == 0 ? reply.size == 0 : r == -ECONNRESET, "100 bytes from 250 on are %s, of a space of 256",
             r == 0 ? "replied to" : "neither refused nor the end");
        MUST(s, session_is_alive(s), " ");
}

static void config_read_only(struct session *s) {
        union vhost_payload payload = { .config = { .offset = 0, .size = 8 } };

        if (!begin_config(s))
                return;
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_REPLY_ACK), "REPLY_ACK");
        MUST(s, session_is_refused(s, VHOST_USER_SET_CONFIG, &payload, VHOST_CONFIG_HEADER + 8, NULL, 0), "SET_CONFIG of the capacity is answered as a success");
}

static void config_write_cache(struct session *s) {
        if (!begin_config(s))
                return;
        OFFERED(s, s->features & (1u << VIRTIO_BLK_F_CONFIG_WCE), "CONFIG_WCE");
        for (uint8_t on = 0; on <= 1; on++) {
                union vhost_payload payload = { .config = { .offset = offsetof(struct virtio_blk_config, wce), .size = 1 } };
                VHOST_AUTO_MESSAGE reply = {};

                payload.config.bytes[0] = on;
                MUST(s, vhost_frontend_tell(&s->frontend, VHOST_USER_SET_CONFIG, &payload, VHOST_CONFIG_HEADER + 1, NULL, 0) == 0,
                     "writeback cannot be set to %u", on);
                MUST(s, vhost_frontend_ask(&s->frontend, VHOST_USER_GET_CONFIG, &payload, VHOST_CONFIG_HEADER + 1, &reply) == 0, "no reply");
                MUST(s, reply.payload.config.bytes[0] == on, "set to %u, writeback reads as %u", on, reply.payload.config.bytes[0]);
        }
}

static void reset(struct session *s) {
        MUST(s, session_start(s) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_RESET_DEVICE), "RESET_DEVICE");
        MUST(s, block_do(s, READ_1) == 0, "a read fails");
        MUST(s, vhost_frontend_tell(&s->frontend, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0) == 0, "RESET_DEVICE is refused");
        block_describe(s, READ_1);
        MUST(s, block_send(s) == 0 && !block_comes(s), "the ring goes on after RESET_DEVICE");
        MUST(s, session_is_alive(s), " ");
}

static void status(struct session *s) {
        uint64_t n;

        MUST(s, session_connect(s) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_STATUS), "STATUS");
        MUST(s, session_negotiate(s, 0) == 0, " ");
        for (uint64_t v = 3; v <= 15; v += 4) {
                MUST(s, vhost_frontend_tell_u64(&s->frontend, VHOST_USER_SET_STATUS, v) == 0, "status %llu is refused", (unsigned long long) v);
                MUST(s, vhost_frontend_ask_u64(&s->frontend, VHOST_USER_GET_STATUS, &n) == 0 && n == v, "set to %llu, the status is %llu",
                     (unsigned long long) v, (unsigned long long) n);
        }
        MUST(s, vhost_frontend_tell_u64(&s->frontend, VHOST_USER_SET_STATUS, 0) == 0, "status 0 is refused");
        MUST(s, vhost_frontend_ask_u64(&s->frontend, VHOST_USER_GET_STATUS, &n) == 0 && n == 0, "after a reset, the status is %llu",
             (unsigned long long) n);
}

static void inflight_tracked(struct session *s) {
        VHOST_AUTO_MESSAGE reply = {};
        struct vhost_inflight inflight = VHOST_INFLIGHT_NONE;
        struct vhost_inflight_queue *queue;
        union vhost_payload payload;
        int fd;

        fd = session_begin_inflight(s, &payload, &reply);
        if (fd < 0)
                return;
        MUST(s, payload.inflight.mmap_size >= sizeof(struct vhost_inflight_queue) + RING_SIZE * sizeof(struct vhost_inflight_entry),
             "its region of %llu bytes is too small", (unsigned long long) payload.inflight.mmap_size);
        MUST(s, vhost_inflight_open(&inflight, fd, payload.inflight.mmap_offset, payload.inflight.mmap_size, 1, 1, false) == 0,
             "its region cannot be mapped");
        queue = inflight.mapping.start;
        if (session_start(s) == 0 && block_do(s, READ_1) == 0) {
                if (queue->version != 1 || queue->n_entries != RING_SIZE)
                        session_fail(s, "the region has version %u and %u entries", queue->version, queue->n_entries);
                else if (queue->entries[0].inflight != 0 || queue->used_idx != 1)
                        session_fail(s, "after a request, the region has inflight %u and used_idx %u", queue->entries[0].inflight, queue->used_idx);
        } else
                session_fail(s, "a read fails");
        vhost_inflight_close(&inflight);
}

/* Starts a ring as a back-end that was killed has left it: two requests in flight; a third answered, but not noted. */
static void start_after_death(struct session *s) {
        VHOST_AUTO_MESSAGE reply = {};
        struct vhost_inflight inflight = VHOST_INFLIGHT_NONE;
        struct vhost_inflight_queue *queue;
        union vhost_payload payload;
        int fd;

        fd = session_begin_inflight(s, &payload, &reply);
        if (fd < 0)
                return;
        MUST(s, vhost_inflight_open(&inflight, fd, payload.inflight.mmap_offset, payload.inflight.mmap_size, 1, 1, false) == 0, "cannot map");
        queue = inflight.mapping.start;
        queue->version = 1;
        queue->n_entries = RING_SIZE;
        queue->entries[10] = (struct vhost_inflight_entry) { .inflight = 1, .counter = 8 };
        queue->entries[20] = (struct vhost_inflight_entry) { .inflight = 1, .counter = 7 };
        queue->entries[30] = (struct vhost_inflight_entry) { .inflight = 1, .counter = 6 };
        queue->last_batch_head = 30;
        vhost_inflight_close(&inflight);

        MUST(s, vhost_driver_memory_new(&s->memory, SESSION_MEMORY) == 0 && vhost_driver_new(&s->driver, &s->memory, 0, RING_SIZE, false) == 0, "memory");
        s->has_driver = true;
        s->buffer = vhost_driver_memory_take(&s->memory, DATA + DATA_MAX);
        for (uint16_t i = 10; i <= 30; i = (uint16_t) (i + 10)) {
                memset(s->buffer, 0, 16);
                ((struct virtio_blk_outhdr *) (void *) s->buffer)->type = VIRTIO_BLK_T_IN;
                vhost_driver_describe(&s->driver, i, s->buffer, 16, false, false);
                vhost_driver_describe(&s->driver, (uint16_t) (i + 1), s->buffer + DATA, 512, true, false);
                vhost_driver_describe(&s->driver, (uint16_t) (i + 2), s->buffer + 4096, 1, true, true);
                vhost_driver_put(&s->driver, i);
        }
        vhost_driver_publish(&s->driver);
        s->driver.used[1] = s->driver.used_idx = 1;     /* the one of entry 30 */
        MUST(s, vhost_driver_memory_lend(&s->memory, &s->frontend) == 0 && vhost_driver_start(&s->driver, &s->frontend, 1, true) == 0,
             "the ring cannot be started");
}

static void inflight_resumed(struct session *s) {
        uint32_t heads[2], length;

        start_after_death(s);
        if (s->verdict != VERDICT_PASSED)
                return;
        for (int i = 0; i < 2; i++)
                MUST(s, vhost_driver_wait(&s->driver, s->timeout_ms, &heads[i], &length) == 0, "of 2 requests in flight, %d are answered", i);
        MUST(s, heads[0] + heads[1] == 30, "requests 20 and 10 are answered as %u and %u", heads[0], heads[1]);
        MUST(s, !block_comes(s), "something is answered that was not in flight");
}

/* As when a guest is moved right after its back-end died: whoever goes on with the ring does not get the region. */
static void inflight_before_base(struct session *s) {
        uint32_t head, length;
        int n;

        start_after_death(s);
        if (s->verdict != VERDICT_PASSED)
                return;
        n = session_get_base(s);
        MUST(s, n == 3, "with 2 requests in flight behind the first, GET_VRING_BASE tells %d", n);
        for (int i = 0; i < 2; i++)
                MUST(s, vhost_driver_take(&s->driver, &head, &length), "when GET_VRING_BASE is answered, of 2 requests in flight %d have been", i);
}

/* Sends one end of a pipe. Whether it is taken, and the front-end's own. */
static bool transfer(struct session *s, uint32_t direction, int fd) {
        const union vhost_payload payload = { .state_transfer = { .direction = direction } };
        VHOST_AUTO_MESSAGE reply = {};

        if (vhost_frontend_send(&s->frontend, VHOST_USER_SET_DEVICE_STATE_FD, 0, &payload, 8, &fd, 1) < 0 ||
            vhost_frontend_receive(&s->frontend, &reply) < 0)
                return false;
        return reply.size == 8 && reply.payload.u64 == VHOST_STATE_NO_FD && reply.n_fds == 0;
}

/* All that comes, up to its end. */
static ssize_t read_state(struct session *s, int fd, uint8_t *state, size_t max) {
        size_t n = 0;

        for (;;) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                ssize_t k = poll(&p, 1, s->timeout_ms) == 1 ? read(fd, state + n, max - n) : -1;

                if (k <= 0)
                        return k < 0 ? -1 : (ssize_t) n;
                n += (size_t) k;
        }
}

static void device_state(struct session *s) {
        uint8_t state[65536];
        int ends[2];
        uint64_t result;
        ssize_t n;

        MUST(s, session_connect(s) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_DEVICE_STATE), "DEVICE_STATE");
        MUST(s, session_negotiate(s, 0) == 0 && pipe2(ends, O_CLOEXEC) == 0, " ");
        MUST(s, transfer(s, 0, ends[1]), "it does not write its state to a pipe");
        close(ends[1]);
        n = read_state(s, ends[0], state, sizeof state);
        close(ends[0]);
        MUST(s, n >= 0, "its state has no end");
        MUST(s, vhost_frontend_ask_u64(&s->frontend, VHOST_USER_CHECK_DEVICE_STATE, &result) == 0 && result == 0, "saving failed");
        session_close(s);
        MUST(s, session_connect(s) == 0 && session_negotiate(s, 0) == 0 && pipe2(ends, O_CLOEXEC) == 0, " ");
        MUST(s, transfer(s, 1, ends[0]), "it does not read its state from a pipe");
        close(ends[0]);
        MUST(s, write(ends[1], state, (size_t) n) == n, "it does not read its state");
        close(ends[1]);
        MUST(s, vhost_frontend_ask_u64(&s->frontend, VHOST_USER_CHECK_DEVICE_STATE, &result) == 0 && result == 0, "loading failed");
        MUST(s, session_start(s) == 0 && block_do(s, READ_1) == 0, "a read fails after that");
}

static void reconnect(struct session *s) {
        for (int i = 0; i < 20; i++) {
                MUST(s, session_start(s) == 0, " ");
                MUST(s, block_do(s, READ_1) == 0, "a read fails on connection %d", i + 1);
                session_close(s);       /* without stopping anything */
        }
}

/* What QEMU does with one chardev when a device is unplugged, and plugged again: memory and rings are not taken back. */
static void begin_again(struct session *s) {
        for (int i = 0; i < 3; i++) {
                MUST(s, session_start(s) == 0, " ");
                MUST(s, block_do(s, READ_1) == 0, "a read fails in session %d", i + 1);
                session_forget_driver(s);
                MUST(s, session_negotiate(s, VHOST_BIT(VHOST_F_EVENT_IDX)) == 0, " ");
        }
}

const struct clause clauses_device[] = {
        { "C-1", "MUST", "GET_CONFIG replies with as many bytes as it was asked for", config_size, false },
        { "C-2", "MUST", "GET_CONFIG beyond the space has an empty reply, or ends the connection", config_beyond, false },
        { "C-3", "MUST", "SET_CONFIG of a read-only field is refused", config_read_only, false },
        { "C-4", "MUST", "writeback can be set, and read back", config_write_cache, false },
        { "D-1", "MUST", "RESET_DEVICE stops rings", reset, false },
        { "D-2", "MUST", "GET_STATUS tells what was set; 0 resets", status, false },
        { "D-3", "MUST", "its state is written to a pipe up to its end, and read from one", device_state, false },
        { "I-1", "MUST", "what is in flight is noted in the region", inflight_tracked, false },
        { "I-2", "MUST", "what was in flight, and nothing else, is done again, without a kick", inflight_resumed, false },
        { "I-3", "MUST", "what was in flight is answered before GET_VRING_BASE is", inflight_before_base, false },
        { "L-1", "MUST", "front-ends may come and go without stopping their rings", reconnect, false },
        { "L-2", "SHOULD", "SET_OWNER begins another session on the same connection", begin_again, false },
        {},
};
