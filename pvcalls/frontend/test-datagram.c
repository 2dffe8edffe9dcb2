/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Datagrams of the library, between a program and a backend that writes what it likes into the rings. */

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "error.h"
#include "private.h"

#define SIZE 4096u
#define FRAME sizeof(struct pvcalls_datagram)

struct fixture {
        struct pvcalls_direction in_indexes, out_indexes;
        uint8_t in_data[SIZE], out_data[SIZE];
        struct data_producer backend_in;
        struct data_consumer backend_out;
        struct xcp_pvcalls pvcalls;
        struct xcp_pvcalls_socket socket;
        uint8_t received[SIZE];
        struct sockaddr_in from;
        socklen_t n_from;
};

/* Notifications are suppressed, and nobody asks for them: there is no event channel. */
static void setup(struct fixture *fixture, gconstpointer data) {
        static struct ring ring;
        struct xcp_pvcalls_socket *socket = &fixture->socket;

        pthread_mutex_init(&fixture->pvcalls.lock, NULL);
        fixture->pvcalls.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        fixture->in_indexes.cons_event = fixture->out_indexes.prod_event = INT32_MAX;
        *socket = (struct xcp_pvcalls_socket) {
                .pvcalls = &fixture->pvcalls, .kind = SOCKET_CONNECTED, .datagrams = true, .family = AF_INET, .event_fd = -1, .ring = &ring,
        };
        data_consumer_init(&socket->in, &fixture->in_indexes, fixture->in_data, SIZE, true);
        data_producer_init(&socket->out, &fixture->out_indexes, fixture->out_data, SIZE, true);
        data_producer_init(&fixture->backend_in, &fixture->in_indexes, fixture->in_data, SIZE, true);
        data_consumer_init(&fixture->backend_out, &fixture->out_indexes, fixture->out_data, SIZE, true);
}

static void teardown(struct fixture *fixture, gconstpointer data) {
        close(fixture->pvcalls.wake);
        pthread_mutex_destroy(&fixture->pvcalls.lock);
}

/* The backend puts in n bytes. */
static void put(struct fixture *fixture, const void *bytes, size_t n) {
        struct iovec pieces[2];
        size_t room, first;

        g_assert_cmpint(data_producer_space(&fixture->backend_in, pieces, &room), ==, 0);
        g_assert_cmpuint(room, >=, n);
        first = n < pieces[0].iov_len ? n : pieces[0].iov_len;
        memcpy(pieces[0].iov_base, bytes, first);
        memcpy(pieces[1].iov_base, (const uint8_t *) bytes + first, n - first);
        data_producer_commit(&fixture->backend_in, n);
}

/* And all that there is goes to it. Returns its number. */
static size_t take(struct fixture *fixture, uint8_t bytes[SIZE]) {
        struct iovec pieces[2];
        size_t n;

        g_assert_cmpint(data_consumer_data(&fixture->backend_out, pieces, &n), ==, 0);
        memcpy(bytes, pieces[0].iov_base, pieces[0].iov_len);
        memcpy(bytes + pieces[0].iov_len, pieces[1].iov_base, pieces[1].iov_len);
        data_consumer_commit(&fixture->backend_out, n);
        return n;
}

static ssize_t receive(struct fixture *fixture, size_t size) {
        fixture->n_from = sizeof fixture->from;
        return xcp_pvcalls_receive_from(&fixture->socket, fixture->received, size, (struct sockaddr *) &fixture->from, &fixture->n_from);
}

static void test_back_and_forth_around_the_ring(struct fixture *fixture, gconstpointer data) {
        const struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x0a010203) };
        uint8_t sent[1400], bytes[SIZE];

        for (size_t i = 0; i < 40; i++) {
                size_t n = i * 35;

                memset(sent, (int) i, sizeof sent);
                g_assert_cmpint(xcp_pvcalls_send_to(&fixture->socket, sent, n, i % 2 ? (const struct sockaddr *) &to : NULL, sizeof to), ==, 0);
                g_assert_cmpuint(take(fixture, bytes), ==, (FRAME + n + 7) / 8 * 8);
                put(fixture, bytes, (FRAME + n + 7) / 8 * 8);
                g_assert_cmpint(receive(fixture, SIZE), ==, n);
                g_assert_cmpmem(fixture->received, n, sent, n);
                g_assert_cmpint(fixture->from.sin_port, ==, i % 2 ? to.sin_port : 0);
        }
        g_assert_cmpint(receive(fixture, SIZE), ==, -EAGAIN);
}

static void test_one_that_is_longer_than_the_buffer_for_it(struct fixture *fixture, gconstpointer data) {
        const struct { struct pvcalls_datagram header; uint8_t bytes[16]; } two[] = { { .header.length = 16 }, { .header.length = 15 } };

        put(fixture, two, sizeof two);
        memset(fixture->received, 7, sizeof fixture->received);
        g_assert_cmpint(receive(fixture, 4), ==, 16);
        g_assert_cmpint(fixture->received[3], ==, 0);
        g_assert_cmpint(fixture->received[4], ==, 7);
        g_assert_cmpint(receive(fixture, 4), ==, 15);
        g_assert_false(xcp_pvcalls_datagram_was_cut(&fixture->socket));         /* by the ring, it was not */
}

static void test_one_that_the_ring_has_cut(struct fixture *fixture, gconstpointer data) {
        const struct { struct pvcalls_datagram header; uint8_t bytes[16]; } two[] = {
                { .header.length = 16, .header.flags = PVCALLS_DATAGRAM_TRUNCATED }, { .header.length = 16, .header.flags = 2 },
        };

        put(fixture, two, sizeof two);
        g_assert_cmpint(receive(fixture, SIZE), ==, 16);
        g_assert_true(xcp_pvcalls_datagram_was_cut(&fixture->socket));
        g_assert_cmpint(receive(fixture, SIZE), ==, 16);
        g_assert_false(xcp_pvcalls_datagram_was_cut(&fixture->socket));         /* what a flag means that is not known, nobody knows */
}

static void test_errors_are_told_once(struct fixture *fixture, gconstpointer data) {
        struct pvcalls_datagram header = { .error = pvcalls_error_to_wire(-EACCES) };

        put(fixture, &header, sizeof header);
        g_assert_cmpint(receive(fixture, SIZE), ==, -EACCES);
        g_assert_cmpint(receive(fixture, SIZE), ==, -EAGAIN);
        for (size_t i = 0; i < 4; i++) {        /* those that cannot be, and one that would mean that there is nothing */
                header.error = (const int32_t[]) { 1, INT32_MIN, -5000, -11 }[i];
                put(fixture, &header, sizeof header);
                g_assert_cmpint(receive(fixture, SIZE), ==, -EIO);
        }
        g_assert_false(fixture->pvcalls.failed);
}

static void test_frames_that_cannot_be(struct fixture *fixture, gconstpointer data) {
        static const struct { uint32_t length; size_t n; } cases[] = {
                { 0, 8 }, { 0, FRAME - 1 }, { 1, FRAME }, { 1, FRAME + 1 }, { 9, FRAME + 8 }, { SIZE, SIZE }, { UINT32_MAX, SIZE },
                { UINT32_MAX - FRAME + 1, SIZE },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                uint8_t bytes[SIZE] = {};

                teardown(fixture, NULL);
                *fixture = (struct fixture) {};
                setup(fixture, NULL);
                memcpy(bytes, &cases[i].length, sizeof cases[i].length);
                put(fixture, bytes, cases[i].n);
                g_assert_cmpint(receive(fixture, SIZE), ==, -EIO);
                g_assert_true(fixture->pvcalls.failed);
                g_assert_cmpint(receive(fixture, SIZE), <, 0);
        }
}

static void test_addresses_that_cannot_be_are_nobody_s(struct fixture *fixture, gconstpointer data) {
        for (uint32_t i = 0; i < 4; i++) {
                struct pvcalls_datagram header = { .addr_len = (const uint32_t[]) { 1, 28, 29, UINT32_MAX }[i], .addr = { 9 } };

                put(fixture, &header, sizeof header);
                g_assert_cmpint(receive(fixture, SIZE), ==, 0);
                g_assert_cmpint(fixture->from.sin_family, ==, AF_UNSPEC);
                g_assert_cmpuint(fixture->n_from, ==, 0);
        }
}

static void test_a_full_ring(struct fixture *fixture, gconstpointer data) {
        uint8_t bytes[SIZE] = {};

        g_assert_cmpuint(xcp_pvcalls_datagram_max(&fixture->socket), ==, SIZE - FRAME);
        g_assert_cmpint(xcp_pvcalls_send_to(&fixture->socket, bytes, SIZE - FRAME + 1, NULL, 0), ==, -EMSGSIZE);
        g_assert_cmpint(xcp_pvcalls_send_to(&fixture->socket, bytes, 1000, NULL, 0), ==, 0);
        g_assert_cmpint(xcp_pvcalls_send_to(&fixture->socket, bytes, SIZE - FRAME, NULL, 0), ==, -EAGAIN);
        g_assert_cmpint(xcp_pvcalls_poll(&fixture->socket, POLLOUT), ==, 0);    /* there is more than half of it, and it is not enough */
        g_assert_cmpuint(take(fixture, bytes), ==, FRAME + 1000);
        g_assert_cmpint(xcp_pvcalls_poll(&fixture->socket, POLLOUT), ==, POLLOUT);
        g_assert_cmpint(xcp_pvcalls_send_to(&fixture->socket, bytes, SIZE - FRAME, NULL, 0), ==, 0);
}

static void test_no_stream(struct fixture *fixture, gconstpointer data) {
        struct iovec pieces[2];

        g_assert_cmpint(xcp_pvcalls_send(&fixture->socket, "x", 1), ==, -EOPNOTSUPP);
        g_assert_cmpint(xcp_pvcalls_receive(&fixture->socket, fixture->received, 1), ==, -EOPNOTSUPP);
        g_assert_cmpint(xcp_pvcalls_send_space(&fixture->socket, pieces), ==, -EOPNOTSUPP);
        g_assert_cmpint(xcp_pvcalls_shutdown(&fixture->socket, SHUT_WR), ==, -EOPNOTSUPP);
        g_assert_cmpint(xcp_pvcalls_listen(&fixture->socket, 1), <, 0);
        fixture->socket.datagrams = false;
        g_assert_cmpuint(xcp_pvcalls_datagram_max(&fixture->socket), ==, 0);
        g_assert_cmpint(xcp_pvcalls_send_to(&fixture->socket, "x", 1, NULL, 0), ==, -EOPNOTSUPP);
        g_assert_cmpint(receive(fixture, SIZE), ==, -EOPNOTSUPP);
}

#define ADD(path, test) g_test_add("/front-datagram/" path, struct fixture, NULL, setup, test, teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("back-and-forth", test_back_and_forth_around_the_ring);
        ADD("longer-than-the-buffer", test_one_that_is_longer_than_the_buffer_for_it);
        ADD("cut-by-the-ring", test_one_that_the_ring_has_cut);
        ADD("errors", test_errors_are_told_once);
        ADD("frames-that-cannot-be", test_frames_that_cannot_be);
        ADD("addresses-that-cannot-be", test_addresses_that_cannot_be_are_nobody_s);
        ADD("full-ring", test_a_full_ring);
        ADD("no-stream", test_no_stream);
        return g_test_run();
}
