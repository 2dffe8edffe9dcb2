/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clauses P: packed rings. */

#include <linux/virtio_blk.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "clauses.h"
#include "inflight-packed.h"

#define READ_1 VIRTIO_BLK_T_IN, 0, 512, true

static bool begin(struct session *s) {
        s->want_packed = true;
        return session_start(s) == 0;
}

static bool begin_with_event_index(struct session *s) {
        s->want_packed = true;
        if (session_connect(s) < 0)
                return false;
        if (!(s->features & VHOST_BIT(VHOST_F_EVENT_IDX)))
                session_not_offered(s, "EVENT_IDX");
        if (s->verdict != VERDICT_PASSED || session_negotiate(s, 0) < 0 || session_start(s) < 0)
                return false;
        s->driver.has_event_idx = true;
        return true;
}

/* Asks for a ring's places; false, and said why. */
static bool get_base(struct session *s, uint32_t *ret_base) {
        const struct vhost_vring_state state = { 0, 0 };
        VHOST_AUTO_MESSAGE reply = {};

        if (vhost_frontend_ask(&s->frontend, VHOST_USER_GET_VRING_BASE, &state, sizeof state, &reply) < 0) {
                session_fail(s, "no reply to GET_VRING_BASE");
                return false;
        }
        *ret_base = reply.payload.state.num;
        return true;
}

/* Chains of two and of three descriptors: they come to lie over the ring's end in every way. */
static void requests(struct session *s) {
        MUST(s, begin(s), " ");
        for (unsigned i = 0; i < 4 * RING_SIZE; i++) {
                int status = i % 5 == 0 ? block_do(s, VIRTIO_BLK_T_FLUSH, 0, 0, false) : block_do(s, READ_1);

                MUST(s, status == 0, "request %u has status %d", i + 1, status);
        }
}

static void base(struct session *s) {
        uint32_t n;

        MUST(s, begin(s), " ");
        for (unsigned i = 0; i < 25; i++)       /* 75 descriptors: 11 beyond the ring's end */
                MUST(s, block_do(s, READ_1) == 0, "a read fails");
        for (int i = 0; i < 2; i++) {
                MUST(s, get_base(s, &n), " ");
                MUST(s, n == (11u | 11u << 16), "11 descriptors into the second time round, GET_VRING_BASE tells 0x%08x", n);
        }
}

static void base_is_kept(struct session *s) {
        uint32_t n;

        s->want_packed = true;
        MUST(s, session_connect(s) == 0 && session_negotiate(s, 0) == 0, " ");
        MUST(s, session_vring(s, VHOST_USER_SET_VRING_BASE, 0x80050005) == 0, "SET_VRING_BASE is refused");
        MUST(s, get_base(s, &n), " ");
        MUST(s, n == 0x80050005, "GET_VRING_BASE tells 0x%08x, and not the base that was set", n);
}

static void goes_on(struct session *s) {
        uint32_t n;

        MUST(s, begin(s), " ");
        for (unsigned i = 0; i < 25; i++)
                MUST(s, block_do(s, READ_1) == 0, "a read fails");
        MUST(s, get_base(s, &n), " ");
        block_describe(s, READ_1);
        vhost_driver_put(&s->driver, 0);
        vhost_driver_publish(&s->driver);
        MUST(s, !block_comes(s), "a ring that was stopped goes on");
        MUST(s, vhost_driver_start(&s->driver, &s->frontend, n, true) == 0, "it cannot be started again");
        MUST(s, vhost_driver_kick(&s->driver) == 0 && block_wait(s) == 0, "started again from its base, it does not go on");
}

/* A request whose notification was seen, so that none of it comes later. */
static bool notified_once(struct session *s) {
        struct pollfd p = { .fd = s->driver.call_fd, .events = POLLIN };
        uint32_t head, length;
        eventfd_t n;

        vhost_driver_ask(&s->driver);
        eventfd_read(s->driver.call_fd, &n);
        block_describe(s, READ_1);
        if (block_send(s) < 0 || poll(&p, 1, s->timeout_ms) != 1)
                return false;
        eventfd_read(s->driver.call_fd, &n);
        return vhost_driver_take(&s->driver, &head, &length);
}

static void interrupts_off(struct session *s) {
        struct pollfd p;
        uint32_t head, length;

        MUST(s, begin(s), " ");
        MUST(s, notified_once(s), "not notified of a request's answer");
        s->driver.packed->driver_event->flags = VHOST_PACKED_EVENT_DISABLE;
        block_describe(s, READ_1);
        MUST(s, block_send(s) == 0, "cannot kick");
        p = (struct pollfd) { .fd = s->driver.call_fd, .events = POLLIN };
        MUST(s, poll(&p, 1, s->quiet_ms) == 0, "notified, though events are disabled");
        MUST(s, vhost_driver_take(&s->driver, &head, &length), "not answered within %d ms", s->quiet_ms);
}

static void event_place(struct session *s) {
        struct vhost_packed_event *event;
        struct pollfd p;

        MUST(s, begin_with_event_index(s), " ");
        for (unsigned i = 0; i < 20; i++)       /* the third answer from here on is beyond the ring's end */
                MUST(s, notified_once(s), "not notified of a request's answer");
        event = s->driver.packed->driver_event;
        event->place = (uint16_t) vhost_packed_word(vhost_packed_after(s->driver.packed->next_used, 6, RING_SIZE));
        p = (struct pollfd) { .fd = s->driver.call_fd, .events = POLLIN };
        for (int i = 0; i < 3; i++) {
                block_describe(s, READ_1);
                MUST(s, block_send(s) == 0, "cannot kick");
                if (i < 2)
                        MUST(s, poll(&p, 1, s->quiet_ms) == 0, "notified of an answer before the one at the place that was asked for");
                else
                        MUST(s, poll(&p, 1, s->timeout_ms) == 1, "not notified of the answer at the place that was asked for");
                MUST(s, vhost_driver_take(&s->driver, &(uint32_t) { 0 }, &(uint32_t) { 0 }), "a request is not answered");
        }
}

static void indirect(struct session *s) {
        struct vhost_packed_descriptor *table;

        MUST(s, begin(s), " ");
        OFFERED(s, s->features & VHOST_BIT(VHOST_F_INDIRECT), "INDIRECT_DESC");
        table = (struct vhost_packed_descriptor *) (void *) (s->buffer + 2048);
        block_describe(s, READ_1);
        for (int i = 0; i < 3; i++)             /* what is reserved is ignored: ids, and all flags but one */
                table[i] = (struct vhost_packed_descriptor) { s->driver.descriptors[i].address, s->driver.descriptors[i].length, 999,
                                                              (uint16_t) (s->driver.descriptors[i].flags & VHOST_DESCRIPTOR_WRITE) };
        vhost_driver_describe(&s->driver, 0, table, 3 * sizeof *table, false, true);
        s->driver.descriptors[0].flags = VHOST_DESCRIPTOR_INDIRECT;
        MUST(s, block_send(s) == 0 && block_wait(s) == 0, "a request in an indirect table is not answered");
}

/* A GET_ID of its own at each third index of the table. */
static void describe_id(struct session *s, uint16_t i) {
        uint8_t *at = s->buffer + DATA + 64 * i;

        memset(at, 0, 64);
        ((struct virtio_blk_outhdr *) (void *) at)->type = VIRTIO_BLK_T_GET_ID;
        vhost_driver_describe(&s->driver, i, at, 16, false, false);
        vhost_driver_describe(&s->driver, (uint16_t) (i + 1), at + 16, 20, true, false);
        vhost_driver_describe(&s->driver, (uint16_t) (i + 2), at + 40, 1, true, true);
        vhost_driver_put(&s->driver, i);
}

static void many(struct session *s) {
        uint32_t head, length;
        uint64_t seen = 0;

        MUST(s, begin(s), " ");
        for (int round = 0; round < 10; round++, seen = 0) {
                for (uint16_t i = 0; i < 21; i++)
                        describe_id(s, (uint16_t) (3 * i));
                vhost_driver_publish(&s->driver);
                MUST(s, vhost_driver_kick(&s->driver) == 0, "cannot kick");
                for (int i = 0; i < 21; i++) {
                        MUST(s, vhost_driver_wait(&s->driver, s->timeout_ms, &head, &length) == 0, "of 21 requests, %d are answered", i);
                        MUST(s, head < 63 && head % 3 == 0 && !(seen & UINT64_C(1) << head), "id %u is answered, which was not asked for", head);
                        seen |= UINT64_C(1) << head;
                }
        }
}

static void inflight_tracked(struct session *s) {
        VHOST_AUTO_MESSAGE reply = {};
        struct vhost_inflight inflight = VHOST_INFLIGHT_NONE;
        struct vhost_inflight_packed *queue;
        union vhost_payload payload;
        int fd;

        s->want_packed = true;
        fd = session_begin_inflight(s, &payload, &reply);
        if (fd < 0)
                return;
        MUST(s, vhost_inflight_open(&inflight, fd, payload.inflight.mmap_offset, payload.inflight.mmap_size, 1, RING_SIZE, true) == 0,
             "its region of %llu bytes is too small", (unsigned long long) payload.inflight.mmap_size);
        queue = vhost_inflight_packed_queue(&inflight, 0);
        if (session_start(s) == 0 && block_do(s, READ_1) == 0) {
                if (queue->version != 1 || queue->n_entries != RING_SIZE)
                        session_fail(s, "the region has version %u and %u entries", queue->version, queue->n_entries);
                else if (queue->entries[0].inflight != 0 || queue->places.used_idx != 3 || queue->places.used_wrap != 1)
                        session_fail(s, "after a request of 3 descriptors, the region has inflight %u, used_idx %u and used_wrap_counter %u",
                                     queue->entries[0].inflight, queue->places.used_idx, queue->places.used_wrap);
        } else
                session_fail(s, "a read fails");
        vhost_inflight_close(&inflight);
}

/* The region as one has left it that took three requests, of table indexes 10, 20 and 30, and was killed when it had just answered the last. */
static void leave(struct session *s, struct vhost_inflight_packed *queue) {
        queue->version = 1;
        queue->n_entries = RING_SIZE;
        for (uint16_t i = 0; i < RING_SIZE; i++)
                queue->entries[i].next = (uint16_t) (i + 1);
        for (uint16_t i = 0; i < 9; i++) {
                const struct vhost_descriptor *d = &s->driver.descriptors[10 * (i / 3 + 1) + i % 3];
                struct vhost_inflight_packed_entry *entry = &queue->entries[i];

                entry->address = d->address;
                entry->length = d->length;
                entry->flags = (uint16_t) (d->flags | vhost_packed_available(true));
                entry->id = (uint16_t) (10 * (i / 3 + 1));
                if (i % 3 == 0) {
                        entry->inflight = 1;
                        entry->last = (uint16_t) (i + 2);
                        entry->n = 3;
                        entry->counter = 6 + i / 3u;
                }
        }
        queue->free_head = 6;
        queue->old_free_head = 9;
        queue->places.used_idx = 3;
        queue->places.used_wrap = queue->places.old_used_wrap = 1;
        s->driver.packed->ring[0].id = 30;
        s->driver.packed->ring[0].flags = vhost_packed_used(true);
}

static void inflight_resumed(struct session *s) {
        VHOST_AUTO_MESSAGE reply = {};
        struct vhost_inflight inflight = VHOST_INFLIGHT_NONE;
        union vhost_payload payload;
        uint32_t heads[3], length;
        int fd;

        s->want_packed = true;
        fd = session_begin_inflight(s, &payload, &reply);
        if (fd < 0)
                return;
        MUST(s, vhost_inflight_open(&inflight, fd, payload.inflight.mmap_offset, payload.inflight.mmap_size, 1, RING_SIZE, true) == 0, "too small");
        MUST(s, session_make_driver(s) == 0, " ");
        for (uint16_t i = 10; i <= 30; i = (uint16_t) (i + 10))
                describe_id(s, i);
        vhost_driver_publish(&s->driver);
        leave(s, vhost_inflight_packed_queue(&inflight, 0));
        vhost_inflight_close(&inflight);
        MUST(s, vhost_driver_memory_lend(&s->memory, &s->frontend) == 0 &&
                        vhost_driver_start(&s->driver, &s->frontend, VHOST_PACKED_BASE, true) == 0, "the ring cannot be started");
        for (int i = 0; i < 3; i++)
                MUST(s, vhost_driver_wait(&s->driver, s->timeout_ms, &heads[i], &length) == 0, "of 2 requests in flight, %d are answered", i - 1);
        MUST(s, heads[0] == 30 && heads[1] + heads[2] == 30 && (heads[1] == 10 || heads[1] == 20), "requests 10 and 20 are answered as %u and %u",
             heads[1], heads[2]);
        MUST(s, !block_comes(s), "something is answered that was not in flight");
}

#define SPOILT(name, statement)                                         \
        static void spoil_##name(struct session *s) {                   \
                statement;                                              \
        }                                                               \
        static void name(struct session *s) {                           \
                MUST(s, begin(s), " ");                                 \
                block_spoilt(s, spoil_##name);                          \
        }

#define RING s->driver.packed->ring
#define FIRST_FLAGS s->driver.packed->first_flags
#define ENDLESS ((struct vhost_packed_descriptor) { VHOST_DRIVER_GUEST, 1, 0, VHOST_PACKED_NEXT | VHOST_PACKED_WRITE | vhost_packed_available(true) })
#define INDIRECT (VHOST_PACKED_INDIRECT | vhost_packed_available(true))

/* The request is at 3 to 5; the flags of its first descriptor are written last. */
SPOILT(endless, for (unsigned i = 4; i < RING_SIZE + 3; i++) RING[i % RING_SIZE] = ENDLESS)
SPOILT(nowhere, RING[4].address = 0xdead0000)
SPOILT(write_first, FIRST_FLAGS |= VHOST_PACKED_WRITE; RING[4].flags &= (uint16_t) ~VHOST_PACKED_WRITE)
SPOILT(indirect_and_next, FIRST_FLAGS |= VHOST_PACKED_INDIRECT)
SPOILT(indirect_odd, FIRST_FLAGS = INDIRECT; RING[3].length = 47)
SPOILT(indirect_nowhere, FIRST_FLAGS = INDIRECT; RING[3].address = 0xdead0000; RING[3].length = 48)

static void base_beyond(struct session *s) {
        s->want_packed = true;
        MUST(s, session_connect(s) == 0 && session_negotiate(s, 0) == 0 && session_make_driver(s) == 0, " ");
        MUST(s, vhost_driver_memory_lend(&s->memory, &s->frontend) == 0, "memory is refused");
        vhost_driver_start(&s->driver, &s->frontend, 0xffffffff, true);
        block_describe(s, READ_1);
        block_send(s);
        MUST(s, session_is_alive(s), " ");
}

const struct clause clauses_packed[] = {
        { "P-1", "MUST", "chains are followed, over the ring's end too", requests, false },
        { "P-2", "MUST", "GET_VRING_BASE tells both places and wrap counters, as often as it is asked", base, false },
        { "P-3", "MUST", "GET_VRING_BASE of a ring that never ran tells what was set", base_is_kept, false },
        { "P-4", "MUST", "GET_VRING_BASE stops the ring; from its base it goes on", goes_on, false },
        { "P-5", "SHOULD", "that events are disabled is respected", interrupts_off, false },
        { "P-6", "MUST", "with EVENT_IDX, it notifies of the answer at the driver's place, and not before", event_place, false },
        { "P-7", "MUST", "indirect tables are followed, in which only WRITE has a meaning", indirect, false },
        { "P-8", "MUST", "of many requests, each is answered once, by its buffer id", many, false },
        { "P-9", "MUST", "what is in flight is noted in the region", inflight_tracked, false },
        { "P-10", "MUST", "what was in flight, and nothing else, is done again, without a kick", inflight_resumed, false },
        { "P-11", "MUST", "a chain without an end", endless, false },
        { "P-12", "MUST", "a buffer outside of memory", nowhere, false },
        { "P-13", "MUST", "a buffer to read behind one to write", write_first, false },
        { "P-14", "MUST", "an indirect table with a next descriptor", indirect_and_next, false },
        { "P-15", "MUST", "an indirect table of an odd size", indirect_odd, false },
        { "P-16", "MUST", "an indirect table outside of memory", indirect_nowhere, false },
        { "P-17", "MUST", "a base beyond the ring", base_beyond, false },
        {},
};
