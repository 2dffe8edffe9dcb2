/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Streams between a socket pair and rings in plain memory: data both ways, ends, errors, turns, and a guest that lies. */

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "joint.h"
#include "stream.h"

#define HALF 4096u

/* The guest's view of the rings, and the peer's end of the socket. */
struct rig {
        struct pvcalls_indexes *indexes;
        uint8_t *data;
        struct stream stream;
        struct data_producer out;
        struct data_consumer in;
        int peer;
};

static void rig_init(struct rig *rig, bool suppress) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), ==, 0);
        *rig = (struct rig) { .peer = fds[1], .indexes = aligned_alloc(4096, 4096), .data = g_malloc(2 * HALF) };
        memset((void *) rig->indexes, 0, 4096);
        stream_init(&rig->stream, rig->indexes, rig->data, HALF, suppress);
        data_consumer_init(&rig->in, &rig->indexes->in, rig->data, HALF, suppress);
        data_producer_init(&rig->out, &rig->indexes->out, rig->data + HALF, HALF, suppress);
        stream_open(&rig->stream, fds[0]);
}

static void rig_done(struct rig *rig) {
        close(rig->stream.fd);
        if (rig->peer >= 0)
                close(rig->peer);
        free(rig->indexes);
        g_free(rig->data);
}

static int run(struct rig *rig) {
        size_t moved;

        return stream_run(&rig->stream, STREAM_TURN, &moved);
}

static size_t guest_send(struct rig *rig, uint8_t first, size_t n) {
        struct iovec pieces[2];
        size_t room;

        g_assert_cmpint(data_producer_space(&rig->out, pieces, &room), ==, 0);
        n = MIN(n, room);
        for (size_t i = 0; i < n; i++)
                ((uint8_t *) pieces[i >= pieces[0].iov_len].iov_base)[i >= pieces[0].iov_len ? i - pieces[0].iov_len : i] =
                        (uint8_t) (first + i);
        data_producer_commit(&rig->out, n);
        return n;
}

static size_t guest_receive(struct rig *rig, uint8_t first, int32_t *ret_error) {
        struct iovec pieces[2];
        size_t n;

        g_assert_cmpint(data_consumer_next(&rig->in, pieces, &n, ret_error), ==, 0);
        for (size_t i = 0; i < n; i++)
                g_assert_cmpuint(((uint8_t *) pieces[i >= pieces[0].iov_len].iov_base)[i >= pieces[0].iov_len ? i - pieces[0].iov_len : i],
                                 ==, (uint8_t) (first + i));
        data_consumer_commit(&rig->in, n);
        return n;
}

static void test_both_ways_around_the_ring(void) {
        struct rig rig;
        uint8_t buffer[HALF], sent = 0, received = 0;
        int32_t error;

        rig_init(&rig, false);
        for (size_t n = 1; n < HALF; n += 97) {
                g_assert_cmpuint(guest_send(&rig, sent, n), ==, n);
                g_assert_cmpint(run(&rig) & STREAM_NOTIFY, ==, STREAM_NOTIFY);
                g_assert_cmpint(read(rig.peer, buffer, sizeof buffer), ==, n);
                for (size_t i = 0; i < n; i++)
                        g_assert_cmpuint(buffer[i], ==, (uint8_t) (sent + i));
                g_assert_cmpint(write(rig.peer, buffer, n), ==, n);
                stream_ready(&rig.stream, EPOLLIN);
                g_assert_cmpint(run(&rig) & STREAM_NOTIFY, ==, STREAM_NOTIFY);
                g_assert_cmpuint(guest_receive(&rig, received, &error), ==, n);
                g_assert_cmpint(error, ==, 0);
                sent = (uint8_t) (sent + n);
                received = (uint8_t) (received + n);
        }
        g_assert_cmpint(run(&rig), ==, 0);
        rig_done(&rig);
}

static void test_the_last_bytes_come_before_the_end(void) {
        struct rig rig;
        int32_t error;

        rig_init(&rig, false);
        g_assert_cmpint(write(rig.peer, "\1\2\3", 3), ==, 3);
        close(rig.peer);
        rig.peer = -1;
        stream_ready(&rig.stream, EPOLLIN | EPOLLRDHUP);
        g_assert_cmpint(run(&rig) & STREAM_NOTIFY, ==, STREAM_NOTIFY);
        g_assert_cmpuint(guest_receive(&rig, 1, &error), ==, 3);
        g_assert_cmpint(error, ==, 0);
        g_assert_cmpuint(guest_receive(&rig, 1, &error), ==, 0);
        g_assert_cmpint(error, ==, -107);
        g_assert_cmpint(data_producer_error(&rig.out), ==, 0);

        guest_send(&rig, 0, 10);        /* nobody is there any more */
        g_assert_cmpint(run(&rig) & STREAM_NOTIFY, ==, STREAM_NOTIFY);
        g_assert_cmpint(data_producer_error(&rig.out), ==, -32);
        g_assert_true(stream_is_drained(&rig.stream));
        g_assert_cmpint(run(&rig), ==, 0);
        rig_done(&rig);
}

/* The peer half-closes: what the guest sends still arrives. */
static void test_half_closed(void) {
        struct rig rig;
        uint8_t buffer[16];
        int32_t error;

        rig_init(&rig, false);
        shutdown(rig.peer, SHUT_WR);
        stream_ready(&rig.stream, EPOLLIN | EPOLLRDHUP);
        run(&rig);
        g_assert_cmpuint(guest_receive(&rig, 1, &error), ==, 0);
        g_assert_cmpint(error, ==, -107);
        guest_send(&rig, 0, 10);
        g_assert_cmpint(run(&rig) & STREAM_NOTIFY, ==, STREAM_NOTIFY);
        g_assert_cmpint(read(rig.peer, buffer, sizeof buffer), ==, 10);
        rig_done(&rig);
}

static void test_nothing_is_lost_when_both_are_full(void) {
        struct rig rig;
        size_t n_sent = 0, n_read = 0;
        uint8_t buffer[1000];
        ssize_t n;

        rig_init(&rig, true);
        for (int i = 0; i < 10000; i++) {       /* until the socket is full, and the ring as well */
                size_t put = guest_send(&rig, (uint8_t) n_sent, 1000);

                n_sent += put;
                run(&rig);
                if (put == 0 && !rig.stream.writable)
                        break;
        }
        g_assert_cmpuint(n_sent, >, HALF);
        g_assert_false(stream_is_drained(&rig.stream));
        while (n_read < n_sent) {
                n = read(rig.peer, buffer, sizeof buffer);
                if (n < 0) {
                        g_assert_cmpint(errno, ==, EAGAIN);
                        stream_ready(&rig.stream, EPOLLOUT);
                        run(&rig);
                        continue;
                }
                for (ssize_t i = 0; i < n; i++)
                        g_assert_cmpuint(buffer[i], ==, (uint8_t) (n_read + (size_t) i));
                n_read += (size_t) n;
        }
        g_assert_true(stream_is_drained(&rig.stream));
        rig_done(&rig);
}

static void test_a_turn_is_bounded(void) {
        struct rig rig;
        size_t moved;

        rig_init(&rig, false);
        guest_send(&rig, 0, 1000);
        g_assert_cmpint(stream_run(&rig.stream, 100, &moved) & STREAM_MORE, ==, STREAM_MORE);
        g_assert_cmpuint(moved, ==, 100);
        g_assert_cmpint(stream_run(&rig.stream, 900, &moved) & STREAM_NOTIFY, ==, STREAM_NOTIFY);
        g_assert_cmpuint(moved, ==, 900);
        rig_done(&rig);
}

static void test_a_released_one_only_sends(void) {
        struct rig rig;
        uint8_t buffer[16];

        rig_init(&rig, false);
        g_assert_cmpint(write(rig.peer, "in", 2), ==, 2);
        guest_send(&rig, 0, 3);
        rig.stream.draining = true;
        g_assert_false(stream_is_drained(&rig.stream));
        run(&rig);
        g_assert_true(stream_is_drained(&rig.stream));
        g_assert_cmpint(read(rig.peer, buffer, sizeof buffer), ==, 3);
        g_assert_cmpuint(rig.stream.n_received, ==, 0);
        rig_done(&rig);
}

static void test_lies(void) {
        static const uint32_t lies[] = { HALF + 1, 2 * HALF, 0x80000000, 0xffffffff };

        for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
                struct rig rig;

                rig_init(&rig, false);
                atomic_store(&rig.indexes->out.prod, lies[i]);
                g_assert_cmpint(run(&rig), ==, -EPROTO);
                rig_done(&rig);

                rig_init(&rig, false);
                atomic_store(&rig.indexes->in.cons, lies[i]);
                g_assert_cmpint(run(&rig), ==, lies[i] == 0xffffffff ? 0 : -EPROTO);    /* that one says only that a byte is left */
                rig_done(&rig);
        }
}

static void test_failing_ends_both_ways(void) {
        struct rig rig;
        int32_t error;

        rig_init(&rig, true);
        stream_fail(&rig.stream, -ECONNRESET);
        g_assert_cmpint(run(&rig) & STREAM_NOTIFY, ==, STREAM_NOTIFY);
        guest_receive(&rig, 0, &error);
        g_assert_cmpint(error, ==, -104);
        g_assert_cmpint(data_producer_error(&rig.out), ==, -104);
        stream_fail(&rig.stream, -EPIPE);       /* the first is what happened */
        g_assert_cmpint(data_producer_error(&rig.out), ==, -104);
        rig_done(&rig);
}

static void test_the_guest_ends_its_direction(void) {
        struct rig rig;
        uint8_t buffer[HALF];

        rig_init(&rig, false);
        g_assert_cmpint(stream_shutdown_out(&rig.stream, HALF + 1), ==, -EINVAL);
        g_assert_cmpint(stream_shutdown_out(&rig.stream, (uint32_t) -1), ==, -EINVAL);
        guest_send(&rig, 0, 10);
        g_assert_cmpint(stream_shutdown_out(&rig.stream, 10), ==, 0);
        guest_send(&rig, 10, 5);        /* against its word */
        g_assert_cmpint(stream_shutdown_out(&rig.stream, 15), ==, 0);
        g_assert_cmpint(run(&rig) & STREAM_NOTIFY, ==, STREAM_NOTIFY);
        g_assert_cmpint(read(rig.peer, buffer, sizeof buffer), ==, 10);
        g_assert_cmpint(read(rig.peer, buffer, sizeof buffer), ==, 0);
        g_assert_cmpint(data_producer_error(&rig.out), ==, -32);
        g_assert_true(stream_is_drained(&rig.stream));

        g_assert_cmpint(write(rig.peer, "\1", 1), ==, 1);       /* the other direction goes on, until the guest does not want it */
        stream_ready(&rig.stream, EPOLLIN);
        run(&rig);
        g_assert_cmpint(data_producer_error(&(struct data_producer) { .shared = &rig.indexes->in }), ==, 0);
        stream_shutdown_in(&rig.stream);
        g_assert_cmpint(run(&rig) & STREAM_NOTIFY, ==, STREAM_NOTIFY);
        g_assert_cmpint(data_producer_error(&(struct data_producer) { .shared = &rig.indexes->in }), ==, -107);
        rig_done(&rig);
}

/* A rig, and the rings of another guest that its stream is joined to. */
struct joined_rig {
        struct rig rig;
        struct pvcalls_indexes *indexes;
        uint8_t *data;
        struct joint joint;
        struct data_producer out;       /* the other guest's */
        struct data_consumer in;
};

static void joined_init(struct joined_rig *joined) {
        rig_init(&joined->rig, true);
        joined->indexes = aligned_alloc(4096, 4096);
        joined->data = g_malloc(HALF);
        memset((void *) joined->indexes, 0, 4096);
        joint_init(&joined->joint, joined->indexes, joined->data, HALF / 2, true);
        data_consumer_init(&joined->in, &joined->indexes->in, joined->data, HALF / 2, true);
        data_producer_init(&joined->out, &joined->indexes->out, joined->data + HALF / 2, HALF / 2, true);
        joined->rig.stream.joint = &joined->joint;
}

static void joined_done(struct joined_rig *joined) {
        rig_done(&joined->rig);
        free(joined->indexes);
        g_free(joined->data);
}

static uint8_t *byte_of(const struct iovec pieces[2], size_t i) {
        return i < pieces[0].iov_len ? (uint8_t *) pieces[0].iov_base + i : (uint8_t *) pieces[1].iov_base + (i - pieces[0].iov_len);
}

/* Takes what has come, and sends it back. */
static void joined_echo(struct joined_rig *joined, const struct iovec from[2], size_t n) {
        struct iovec to[2];
        size_t room;

        g_assert_cmpint(data_producer_space(&joined->out, to, &room), ==, 0);
        g_assert_cmpuint(room, >=, n);
        for (size_t i = 0; i < n; i++)
                *byte_of(to, i) = *byte_of(from, i);
        data_consumer_commit(&joined->in, n);
        data_producer_commit(&joined->out, n);
}

static void test_joined_around_both_rings(void) {
        struct joined_rig joined;
        struct iovec pieces[2];
        uint8_t first = 0;
        int32_t error;
        size_t n;

        joined_init(&joined);
        for (size_t size = 1; size < HALF / 2; size += 89) {
                guest_send(&joined.rig, first, size);
                run(&joined.rig);
                g_assert_cmpint(data_consumer_next(&joined.in, pieces, &n, &error), ==, 0);
                g_assert_cmpuint(n, ==, size);
                joined_echo(&joined, pieces, n);
                run(&joined.rig);
                g_assert_cmpuint(guest_receive(&joined.rig, first, &error), ==, size);
                first = (uint8_t) (first + size);
        }
        joined_done(&joined);
}

static void test_joined_to_one_that_lies(void) {
        struct joined_rig joined;

        joined_init(&joined);
        atomic_store(&joined.indexes->out.prod, HALF / 2 + 1);
        g_assert_cmpint(run(&joined.rig), >=, 0);       /* it is no fault of the first guest's */
        g_assert_true(joined.joint.lied);
        joined_done(&joined);

        joined_init(&joined);
        atomic_store(&joined.indexes->in.cons, 1);
        guest_send(&joined.rig, 0, 1);
        g_assert_cmpint(run(&joined.rig), >=, 0);
        g_assert_true(joined.joint.lied);
        joined_done(&joined);

        joined_init(&joined);
        atomic_store(&joined.rig.indexes->out.prod, HALF + 1);
        g_assert_cmpint(run(&joined.rig), ==, -EPROTO);
        g_assert_false(joined.joint.lied);
        joined_done(&joined);
}

static void test_joined_ends(void) {
        struct joined_rig joined;
        int32_t error;

        joined_init(&joined);
        joined.joint.out_ends = true;   /* the other guest's SHUTDOWN, with nothing before it */
        g_assert_cmpint(run(&joined.rig) & (STREAM_NOTIFY | STREAM_NOTIFY_OTHER), ==, STREAM_NOTIFY | STREAM_NOTIFY_OTHER);
        g_assert_cmpuint(guest_receive(&joined.rig, 0, &error), ==, 0);
        g_assert_cmpint(error, ==, -107);
        g_assert_cmpint(data_producer_error(&joined.out), ==, -32);
        g_assert_cmpint(stream_shutdown_out(&joined.rig.stream, 0), ==, 0);
        g_assert_cmpint(run(&joined.rig) & STREAM_NOTIFY_OTHER, ==, STREAM_NOTIFY_OTHER);
        g_assert_cmpint((int32_t) atomic_load(&joined.indexes->in.error), ==, -107);
        joined_done(&joined);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/stream/both-ways-around-the-ring", test_both_ways_around_the_ring);
        g_test_add_func("/stream/the-last-bytes-come-before-the-end", test_the_last_bytes_come_before_the_end);
        g_test_add_func("/stream/half-closed", test_half_closed);
        g_test_add_func("/stream/the-guest-ends-its-direction", test_the_guest_ends_its_direction);
        g_test_add_func("/stream/joined/around-both-rings", test_joined_around_both_rings);
        g_test_add_func("/stream/joined/to-one-that-lies", test_joined_to_one_that_lies);
        g_test_add_func("/stream/joined/ends", test_joined_ends);
        g_test_add_func("/stream/nothing-is-lost-when-both-are-full", test_nothing_is_lost_when_both_are_full);
        g_test_add_func("/stream/a-turn-is-bounded", test_a_turn_is_bounded);
        g_test_add_func("/stream/a-released-one-only-sends", test_a_released_one_only_sends);
        g_test_add_func("/stream/lies-of-the-guest", test_lies);
        g_test_add_func("/stream/failing-ends-both-ways", test_failing_ends_both_ways);
        return g_test_run();
}
