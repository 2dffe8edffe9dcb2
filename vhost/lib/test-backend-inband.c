/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Notifications as messages: one is on its way at a time, whoever does not read or answer costs nobody anything, and none is lost.
 *
 * Front-end and back-end are on one thread: each step says who does what.
 */

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend.h"
#include "driver.h"

#define FEATURES (VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | VHOST_BIT(VHOST_F_VERSION_1))
#define PROTOCOL                                                                                                                              \
        (VHOST_BIT(VHOST_PROTOCOL_F_INBAND_NOTIFICATIONS) | VHOST_BIT(VHOST_PROTOCOL_F_BACKEND_REQ) | VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK) |  \
         VHOST_BIT(VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS))

struct world {
        struct vhost_backend *backend;
        struct vhost_frontend frontend, requests;
        struct vhost_driver_memory memory;
        struct vhost_driver drivers[2];
        struct vhost_queue *queues[2];
};

static void start(void *userdata, struct vhost_queue *queue) {
        struct world *w = userdata;

        w->queues[queue->index] = queue;
}

static void stop(void *userdata, struct vhost_queue *queue) {
        struct world *w = userdata;

        w->queues[queue->index] = NULL;
        vhost_queue_stopped(queue);
}

static const struct vhost_device device = { .n_queues = 2, .has_inband = true, .start = start, .stop = stop };

static void tell(struct world *w, uint32_t request, const void *payload, uint32_t size, const int *fds, size_t n_fds) {
        VHOST_AUTO_MESSAGE reply = {};

        g_assert_cmpint(vhost_frontend_send(&w->frontend, request, VHOST_FLAG_NEED_REPLY, payload, size, fds, n_fds), ==, 0);
        g_assert_cmpint(vhost_backend_process(w->backend), ==, 0);
        if (!(w->frontend.protocol_features & VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK)))
                return;
        g_assert_cmpint(vhost_frontend_receive(&w->frontend, &reply), ==, 0);
        g_assert_cmpuint(reply.payload.u64, ==, 0);
}

static void tell_u64(struct world *w, uint32_t request, uint64_t value) {
        tell(w, request, &value, sizeof value, NULL, 0);
}

static void tell_state(struct world *w, uint32_t request, uint32_t index, uint32_t num) {
        tell(w, request, &(struct vhost_vring_state) { index, num }, sizeof(struct vhost_vring_state), NULL, 0);
}

static void start_ring(struct world *w, uint32_t index) {
        struct vhost_vring_address address;

        g_assert_cmpint(vhost_driver_new(&w->drivers[index], &w->memory, (uint16_t) index, 16, false), ==, 0);
        address = vhost_driver_address(&w->drivers[index]);
        tell_state(w, VHOST_USER_SET_VRING_NUM, index, 16);
        tell_state(w, VHOST_USER_SET_VRING_BASE, index, 0);
        tell(w, VHOST_USER_SET_VRING_ADDR, &address, sizeof address, NULL, 0);
        tell_u64(w, VHOST_USER_SET_VRING_CALL, index | VHOST_VRING_NO_FD);
        tell_u64(w, VHOST_USER_SET_VRING_ERR, index | VHOST_VRING_NO_FD);
        tell_u64(w, VHOST_USER_SET_VRING_KICK, index | VHOST_VRING_NO_FD);
        tell_state(w, VHOST_USER_SET_VRING_ENABLE, index, 1);
        g_assert_nonnull(w->queues[index]);
}

static void world_begin(struct world *w) {
        union vhost_payload payload = {};
        int fds[2];

        *w = (struct world) {};
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(vhost_backend_new(&w->backend, &device, w), ==, 0);
        g_assert_cmpint(vhost_backend_open(w->backend, fds[0]), ==, 0);
        g_assert_cmpint(vhost_frontend_open(&w->frontend, fds[1], 0), ==, 0);
        tell_u64(w, VHOST_USER_SET_PROTOCOL_FEATURES, PROTOCOL);
        w->frontend.protocol_features = PROTOCOL;
        tell_u64(w, VHOST_USER_SET_FEATURES, FEATURES);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(vhost_frontend_open(&w->requests, fds[1], 0), ==, 0);
        tell(w, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &fds[0], 1);
        close(fds[0]);
        g_assert_cmpint(vhost_driver_memory_new(&w->memory, 1 << 20), ==, 0);
        payload.slot.region = vhost_driver_memory_region(&w->memory);
        tell(w, VHOST_USER_ADD_MEM_REG, &payload, sizeof payload.slot, &w->memory.fd, 1);
        start_ring(w, 0);
        start_ring(w, 1);
}

static void world_end(struct world *w) {
        vhost_frontend_close(&w->frontend);
        g_assert_cmpint(vhost_backend_process(w->backend), ==, VHOST_BACKEND_CLOSED);
        vhost_backend_free(w->backend);
        vhost_frontend_close(&w->requests);
        vhost_driver_done(&w->drivers[0]);
        vhost_driver_done(&w->drivers[1]);
        vhost_driver_memory_done(&w->memory);
}

static bool is_readable(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return poll(&p, 1, 0) == 1;
}

/* The driver puts a request and kicks; the device answers it. */
static void exchange(struct world *w, uint32_t index) {
        struct vhost_driver *driver = &w->drivers[index];
        struct vhost_queue *queue = w->queues[index];
        struct iovec iov[4];
        struct vhost_chain chain;

        vhost_driver_describe(driver, 0, w->memory.base, 16, false, true);
        vhost_driver_put(driver, 0);
        vhost_driver_publish(driver);
        g_assert_false(is_readable(queue->kick_fd));
        tell_state(w, VHOST_USER_VRING_KICK, index, 0);
        g_assert_true(is_readable(queue->kick_fd));
        vhost_queue_clear_kick(queue);
        g_assert_cmpint(vhost_ring_take(&queue->ring, iov, G_N_ELEMENTS(iov), &chain), ==, 1);
        vhost_ring_put(&queue->ring, &chain, 0);
        vhost_queue_flush(queue);
        g_assert_true(is_readable(vhost_backend_inside_fd(w->backend)));
        g_assert_cmpint(vhost_backend_process(w->backend), ==, 0);
}

static void expect(struct world *w, uint32_t request, uint32_t index) {
        VHOST_AUTO_MESSAGE message = {};

        g_assert_cmpint(vhost_frontend_receive(&w->requests, &message), ==, 0);
        g_assert_cmpuint(message.request, ==, request);
        g_assert_cmpuint(message.flags, ==, VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY);
        g_assert_cmpuint(message.payload.state.index, ==, index);
}

static void expect_nothing(struct world *w) {
        VHOST_AUTO_MESSAGE message = {};

        g_assert_cmpint(vhost_frontend_receive(&w->requests, &message), ==, -ETIMEDOUT);
}

static void answer(struct world *w, uint32_t request) {
        const uint64_t done = 0;

        g_assert_cmpint(vhost_frontend_send(&w->requests, request, VHOST_FLAG_REPLY, &done, sizeof done, NULL, 0), ==, 0);
        g_assert_true(is_readable(vhost_backend_inside_fd(w->backend)));
        g_assert_cmpint(vhost_backend_process(w->backend), ==, 0);
}

static void test_one_at_a_time(void) {
        struct world w;

        world_begin(&w);
        exchange(&w, 0);
        expect(&w, VHOST_BACKEND_VRING_CALL, 0);
        exchange(&w, 0);
        exchange(&w, 1);
        exchange(&w, 0);
        expect_nothing(&w);
        answer(&w, VHOST_BACKEND_VRING_CALL);
        expect(&w, VHOST_BACKEND_VRING_CALL, 0);        /* both in one */
        vhost_queue_fail(w.queues[0]);
        g_assert_cmpint(vhost_backend_process(w.backend), ==, 0);
        answer(&w, VHOST_BACKEND_VRING_CALL);
        expect(&w, VHOST_BACKEND_VRING_ERR, 0);
        answer(&w, VHOST_BACKEND_VRING_ERR);
        expect(&w, VHOST_BACKEND_VRING_CALL, 1);
        answer(&w, VHOST_BACKEND_VRING_CALL);
        expect_nothing(&w);
        g_assert_false(is_readable(vhost_backend_inside_fd(w.backend)));
        world_end(&w);
}

static void test_nobody_listens(void) {
        struct world w;
        int fds[2];

        world_begin(&w);
        vhost_frontend_close(&w.requests);
        exchange(&w, 0);
        exchange(&w, 1);
        g_assert_false(is_readable(vhost_backend_inside_fd(w.backend)));
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(vhost_frontend_open(&w.requests, fds[1], 0), ==, 0);
        exchange(&w, 0);
        tell(&w, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &fds[0], 1);
        close(fds[0]);
        expect(&w, VHOST_BACKEND_VRING_CALL, 0);
        world_end(&w);
}

static void test_descriptors_are_descriptors(void) {
        const uint64_t index = 0;
        struct world w;

        world_begin(&w);
        tell(&w, VHOST_USER_SET_VRING_CALL, &index, sizeof index, &w.drivers[0].call_fd, 1);
        g_assert_false(is_readable(w.drivers[0].call_fd));
        vhost_queue_fail(w.queues[1]);
        g_assert_cmpint(vhost_backend_process(w.backend), ==, 0);
        expect(&w, VHOST_BACKEND_VRING_ERR, 1);
        world_end(&w);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/inband/one-at-a-time-and-none-lost", test_one_at_a_time);
        g_test_add_func("/inband/a-front-end-that-does-not-listen", test_nobody_listens);
        g_test_add_func("/inband/rings-that-have-a-descriptor", test_descriptors_are_descriptors);
        return g_test_run();
}
