/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clauses R: the states of a ring, its notifications, its indexes. */

#include <errno.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clauses.h"

#define READ_1 VIRTIO_BLK_T_IN, 0, 512, true

static void no_kick(struct session *s) {
        MUST(s, session_start(s) == 0, " ");
        block_describe(s, READ_1);
        vhost_driver_put(&s->driver, 0);
        vhost_driver_publish(&s->driver);
        MUST(s, !block_comes(s), "a request was answered before any kick");
        MUST(s, vhost_driver_kick(&s->driver) == 0 && block_wait(s) == 0, "the request was not answered after the kick");
}

static void disabled(struct session *s) {
        MUST(s, session_start(s) == 0, " ");
        MUST(s, block_do(s, READ_1) == 0, "a read fails");
        MUST(s, session_vring(s, VHOST_USER_SET_VRING_ENABLE, 0) == 0, "the ring cannot be disabled");
        block_describe(s, READ_1);
        MUST(s, block_send(s) == 0 && !block_comes(s), "a disabled ring goes on");
        MUST(s, session_vring(s, VHOST_USER_SET_VRING_ENABLE, 1) == 0, "the ring cannot be enabled again");
        MUST(s, block_wait(s) == 0, "what was made available while it was disabled is not answered when it is enabled");
}

static void kick_first(struct session *s) {
        MUST(s, session_start(s) == 0, " ");
        MUST(s, session_vring(s, VHOST_USER_SET_VRING_ENABLE, 0) == 0, "the ring cannot be disabled");
        block_describe(s, READ_1);
        MUST(s, block_send(s) == 0, "cannot kick");
        MUST(s, session_vring(s, VHOST_USER_SET_VRING_ENABLE, 1) == 0, "the ring cannot be enabled");
        MUST(s, block_wait(s) == 0, "a kick that came before the ring was enabled is lost");
}

static void enabled_at_once(struct session *s) {
        MUST(s, session_connect(s) == 0, " ");
        s->features &= ~VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
        s->protocol_features = 0;
        MUST(s, session_negotiate(s, VHOST_BIT(VHOST_F_EVENT_IDX)) == 0 && session_start(s) == 0, " ");
        MUST(s, block_do(s, READ_1) == 0, "without bit 30 in SET_FEATURES the ring does not run");
}

static void base(struct session *s) {
        int n;

        MUST(s, session_start(s) == 0, " ");
        for (int i = 0; i < 5; i++)
                MUST(s, block_do(s, READ_1) == 0, "a read fails");
        n = session_get_base(s);
        MUST(s, n == 5, "after 5 requests, GET_VRING_BASE tells %d", n);
        n = session_get_base(s);
        MUST(s, n == 5, "when it is asked again, GET_VRING_BASE tells %d", n);
}

static void base_is_kept(struct session *s) {
        int n;

        MUST(s, session_connect(s) == 0 && session_negotiate(s, 0) == 0, " ");
        MUST(s, session_vring(s, VHOST_USER_SET_VRING_BASE, 1234) == 0, "SET_VRING_BASE is refused");
        n = session_get_base(s);
        MUST(s, n == 1234, "GET_VRING_BASE tells %d, and not the base that was set", n);
}

static void stopped(struct session *s) {
        MUST(s, session_start(s) == 0, " ");
        MUST(s, block_do(s, READ_1) == 0, "a read fails");
        MUST(s, session_get_base(s) == 1, "GET_VRING_BASE does not tell 1");
        block_describe(s, READ_1);
        vhost_driver_put(&s->driver, 0);
        vhost_driver_publish(&s->driver);
        MUST(s, !block_comes(s), "a ring that was stopped goes on");
        MUST(s, vhost_driver_start(&s->driver, &s->frontend, 1, s->features & VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) == 0,
             "it cannot be started again");
        MUST(s, vhost_driver_kick(&s->driver) == 0 && block_wait(s) == 0, "started again from its base, it does not go on");
}

static void call_changes(struct session *s) {
        const uint64_t index = 0;
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int r;

        MUST(s, session_start(s) == 0, " ");
        MUST(s, block_do(s, READ_1) == 0, "a read fails");
        r = vhost_frontend_tell(&s->frontend, VHOST_USER_SET_VRING_CALL, &index, sizeof index, &fd, 1);
        MUST(s, r == 0, "SET_VRING_CALL is refused while the ring runs");
        eventfd_read(fd, &(eventfd_t) { 0 });
        block_describe(s, READ_1);
        MUST(s, block_send(s) == 0, "cannot kick");
        MUST(s, poll(&p, 1, s->timeout_ms) == 1, "the new descriptor is not notified");
        close(fd);
}

/* A request whose notification was seen, so that none of it comes later. There may have been one before, for the descriptor itself. */
static bool notified_once(struct session *s) {
        struct pollfd p = { .fd = s->driver.call_fd, .events = POLLIN };
        uint32_t head, length;
        eventfd_t n;

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

        MUST(s, session_start(s) == 0, " ");
        MUST(s, notified_once(s), "not notified of a request's answer");
        s->driver.available[0] = 1;     /* VIRTQ_AVAIL_F_NO_INTERRUPT */
        block_describe(s, READ_1);
        MUST(s, block_send(s) == 0, "cannot kick");
        p = (struct pollfd) { .fd = s->driver.call_fd, .events = POLLIN };
        MUST(s, poll(&p, 1, s->quiet_ms) == 0, "notified, though NO_INTERRUPT is set");
        MUST(s, vhost_driver_take(&s->driver, &head, &length), "not answered within %d ms", s->quiet_ms);
}

static void event_index(struct session *s) {
        struct pollfd p;

        MUST(s, session_connect(s) == 0, " ");
        OFFERED(s, s->features & VHOST_BIT(VHOST_F_EVENT_IDX), "EVENT_IDX");
        MUST(s, session_negotiate(s, 0) == 0 && session_start(s) == 0, " ");
        s->driver.has_event_idx = true;
        MUST(s, notified_once(s), "not notified of a request's answer");
        s->driver.available[2 + RING_SIZE] = 2;         /* of interest is the third answer */
        p = (struct pollfd) { .fd = s->driver.call_fd, .events = POLLIN };
        block_describe(s, READ_1);
        MUST(s, block_send(s) == 0, "cannot kick");
        MUST(s, poll(&p, 1, s->quiet_ms) == 0, "notified of an answer before the one in used_event");
        vhost_driver_take(&s->driver, &(uint32_t) { 0 }, &(uint32_t) { 0 });
        block_describe(s, READ_1);
        MUST(s, block_send(s) == 0, "cannot kick");
        MUST(s, poll(&p, 1, s->timeout_ms) == 1, "not notified of the answer in used_event");
}

static void indirect(struct session *s) {
        struct vhost_descriptor *table;

        MUST(s, session_start(s) == 0, " ");
        OFFERED(s, s->features & VHOST_BIT(VHOST_F_INDIRECT), "INDIRECT_DESC");
        table = (struct vhost_descriptor *) (void *) (s->buffer + 2048);
        block_describe(s, READ_1);
        for (int i = 0; i < 3; i++)
                table[i] = s->driver.descriptors[i];
        vhost_driver_describe(&s->driver, 0, table, 3 * sizeof *table, false, true);
        s->driver.descriptors[0].flags = VHOST_DESCRIPTOR_INDIRECT;
        MUST(s, block_send(s) == 0 && block_wait(s) == 0, "a request in an indirect table is not answered");
}

static void wrap(struct session *s) {
        uint32_t head, length;

        MUST(s, session_start(s) == 0, " ");
        for (int round = 0; round < 2100; round++) {    /* of 32 requests: 67200, more than an index counts to */
                block_describe(s, VIRTIO_BLK_T_GET_ID, 0, 20, true);
                for (int i = 0; i < 32; i++)
                        vhost_driver_put(&s->driver, 0);
                vhost_driver_publish(&s->driver);
                MUST(s, vhost_driver_kick(&s->driver) == 0, "cannot kick");
                for (int i = 0; i < 32; i++)
                        MUST(s, vhost_driver_wait(&s->driver, s->timeout_ms, &head, &length) == 0, "no answer to request %d",
                             round * 32 + i);
        }
}

static void polled(struct session *s) {
        const uint64_t none = VHOST_VRING_NO_FD;

        MUST(s, session_start(s) == 0, " ");
        MUST(s, vhost_frontend_tell(&s->frontend, VHOST_USER_SET_VRING_KICK, &none, sizeof none, NULL, 0) == 0, "refused");
        block_describe(s, READ_1);
        vhost_driver_put(&s->driver, 0);
        vhost_driver_publish(&s->driver);
        MUST(s, block_wait(s) == 0, "a ring without a kick descriptor is not looked at");
}

static void second_queue(struct session *s) {
        struct vhost_driver first;
        uint64_t n;

        MUST(s, session_start(s) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_MQ), "MQ");
        MUST(s, vhost_frontend_ask_u64(&s->frontend, VHOST_USER_GET_QUEUE_NUM, &n) == 0, "no reply to GET_QUEUE_NUM");
        OFFERED(s, n >= 2, "a second queue");
        first = s->driver;
        MUST(s, vhost_driver_new(&s->driver, &s->memory, 1, RING_SIZE, false) == 0, "no memory");
        if (vhost_driver_start(&s->driver, &s->frontend, 0, true) < 0)
                session_fail(s, "the second queue cannot be started");
        else if (block_do(s, READ_1) != 0)
                session_fail(s, "a read on the second queue fails");
        vhost_driver_done(&s->driver);
        s->driver = first;
        MUST(s, s->verdict == VERDICT_PASSED && block_do(s, READ_1) == 0, "a read on the first queue fails then");
}

const struct clause clauses_rings[] = {
        { "R-1", "MUST", "a ring is not processed before it is kicked, and then it is", no_kick, false },
        { "R-2", "MUST", "a disabled ring has no effects; enabled, it goes on", disabled, false },
        { "R-3", "MUST", "a kick before the ring is enabled is not lost", kick_first, false },
        { "R-4", "MUST", "without bit 30 rings are enabled from the beginning", enabled_at_once, false },
        { "R-5", "MUST", "GET_VRING_BASE tells how far the ring was taken, as often as it is asked", base, false },
        { "R-6", "MUST", "GET_VRING_BASE of a ring that never ran tells what was set", base_is_kept, false },
        { "R-7", "MUST", "GET_VRING_BASE stops the ring; from its base it goes on", stopped, false },
        { "R-8", "MUST", "the call descriptor can be changed while the ring runs", call_changes, false },
        { "R-9", "SHOULD", "NO_INTERRUPT is respected", interrupts_off, false },
        { "R-10", "MUST", "with EVENT_IDX, it notifies of the answer in used_event, and not before", event_index, false },
        { "R-11", "MUST", "indirect descriptors are followed", indirect, false },
        { "R-12", "MUST", "indexes wrap at 65536", wrap, false },
        { "R-13", "MUST", "a ring without a kick descriptor is polled", polled, false },
        { "R-14", "MUST", "queues run independently", second_queue, false },
        {},
};
