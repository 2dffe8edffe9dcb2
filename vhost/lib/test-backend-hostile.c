/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Front-ends that want the back-end to do nothing else any more: floods, and descriptors of which they have the same open file, and what they do to it;
 * and those that want it to look where nothing is: counts and sizes that do not fit what comes with them.
 *
 * Front-end and back-end are on one thread: each step says who does what. A back-end that waits is ended by an alarm.
 */

#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend-private.h"
#include "driver.h"

#define ALARM_SEC 100u
#define FLOOD 200u                      /* more than are looked at, and few enough for the socket to take them all */
#define FULL UINT64_C(0xfffffffffffffffe)       /* of an event: eventfd(2) */
#define FEATURES VHOST_BIT(VHOST_F_VERSION_1)
#define PROTOCOL                                                                                                                              \
        (VHOST_BIT(VHOST_PROTOCOL_F_INBAND_NOTIFICATIONS) | VHOST_BIT(VHOST_PROTOCOL_F_BACKEND_REQ) | VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK) |  \
         VHOST_BIT(VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VHOST_BIT(VHOST_PROTOCOL_F_INFLIGHT_SHMFD) | VHOST_BIT(VHOST_PROTOCOL_F_DEVICE_STATE))

struct world {
        struct vhost_backend *backend;
        struct vhost_frontend frontend, requests;
        int requests_fd;                /* the back-end's end of these, which the front-end has kept */
        struct vhost_queue *queue;
        unsigned n_resets;
};

static void start(void *userdata, struct vhost_queue *queue) {
        struct world *w = userdata;

        w->queue = queue;
}

static void stop(void *userdata, struct vhost_queue *queue) {
        struct world *w = userdata;

        w->queue = NULL;
        vhost_queue_stopped(queue);
}

static void reset(void *userdata) {
        struct world *w = userdata;

        w->n_resets++;
}

static const struct vhost_device device = { .n_queues = 1, .has_inband = true, .reset = reset, .start = start, .stop = stop };

static void process(struct world *w) {
        g_assert_cmpint(vhost_backend_process(w->backend), ==, 0);
}

static void tell(struct world *w, uint32_t request, const void *payload, uint32_t size, const int *fds, size_t n_fds) {
        g_assert_cmpint(vhost_frontend_send(&w->frontend, request, 0, payload, size, fds, n_fds), ==, 0);
        process(w);
}

static void world_begin(struct world *w) {
        const uint64_t protocol = PROTOCOL, features = FEATURES;
        int fds[2];

        *w = (struct world) {};
        alarm(ALARM_SEC);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(vhost_backend_new(&w->backend, &device, w), ==, 0);
        g_assert_cmpint(vhost_backend_open(w->backend, fds[0]), ==, 0);
        g_assert_cmpint(vhost_frontend_open(&w->frontend, fds[1], 0), ==, 0);
        tell(w, VHOST_USER_SET_PROTOCOL_FEATURES, &protocol, sizeof protocol, NULL, 0);
        tell(w, VHOST_USER_SET_FEATURES, &features, sizeof features, NULL, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(vhost_frontend_open(&w->requests, fds[1], 0), ==, 0);
        w->requests_fd = fds[0];
        tell(w, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &fds[0], 1);
        g_assert_cmpint(w->backend->requests.fd, >=, 0);
}

static void world_end(struct world *w) {
        vhost_frontend_close(&w->frontend);
        g_assert_cmpint(vhost_backend_process(w->backend), ==, VHOST_BACKEND_CLOSED);
        vhost_backend_free(w->backend);
        vhost_frontend_close(&w->requests);
        close(w->requests_fd);
        alarm(0);
}

static bool is_readable(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return poll(&p, 1, 0) == 1;
}

static void let_it_wait(int fd) {
        g_assert_cmpint(fcntl(fd, F_SETFL, 0), ==, 0);
}

static void test_flood(void) {
        struct world w;
        unsigned n = 1;

        world_begin(&w);
        for (unsigned i = 0; i <= FLOOD; i++)
                g_assert_cmpint(vhost_frontend_send(&w.frontend, VHOST_USER_SET_OWNER, 0, NULL, 0, NULL, 0), ==, 0);
        process(&w);
        g_assert_cmpuint(w.n_resets, <=, VHOST_MESSAGES_AT_ONCE);
        for (; is_readable(vhost_backend_fd(w.backend)); n++)
                process(&w);
        g_assert_cmpuint(w.n_resets, ==, FLOOD);                /* the first is where a session begins */
        g_assert_cmpuint(n, >=, FLOOD / VHOST_MESSAGES_AT_ONCE);
        world_end(&w);
}

static void test_flood_of_answers(void) {
        const uint64_t done = 0;
        struct world w;
        unsigned n = 0;

        world_begin(&w);
        for (unsigned i = 0; i < FLOOD; i++)
                g_assert_cmpint(vhost_frontend_send(&w.requests, VHOST_BACKEND_VRING_CALL, VHOST_FLAG_REPLY, &done, sizeof done, NULL, 0), ==, 0);
        for (; is_readable(vhost_backend_inside_fd(w.backend)); n++)
                process(&w);
        g_assert_cmpuint(n, >=, 2);
        g_assert_false(is_readable(w.requests_fd));
        world_end(&w);
}

/* The front-end has the same socket, so that it is still open. */
static void test_requests_that_outlive_the_connection(void) {
        struct world w;

        world_begin(&w);
        vhost_frontend_close(&w.frontend);
        g_assert_cmpint(vhost_backend_process(w.backend), ==, VHOST_BACKEND_CLOSED);
        g_assert_cmpint(write(w.requests.channel.fd, "x", 1), ==, 1);
        g_assert_false(is_readable(vhost_backend_inside_fd(w.backend)));
        vhost_backend_free(w.backend);
        vhost_frontend_close(&w.requests);
        close(w.requests_fd);
}

static void test_no_socket_for_requests(void) {
        const int none = memfd_create("no-socket", MFD_CLOEXEC);
        struct world w;

        world_begin(&w);
        g_assert_cmpint(vhost_frontend_send(&w.frontend, VHOST_USER_SET_BACKEND_REQ_FD, VHOST_FLAG_NEED_REPLY, NULL, 0, &none, 1), ==, 0);
        process(&w);
        g_assert_cmpint(fcntl(w.backend->requests.fd, F_GETFD), >=, 0);         /* the one before */
        close(none);
        world_end(&w);
}

static void test_requests_that_wait(void) {
        struct world w;

        world_begin(&w);
        let_it_wait(w.requests_fd);
        g_assert_cmpint(write(w.requests.channel.fd, "x", 1), ==, 1);           /* of twelve */
        process(&w);
        world_end(&w);
}

static void tell_ring(struct world *w, struct vhost_driver_memory *memory, struct vhost_driver *driver) {
        union vhost_payload payload = { .slot.region = vhost_driver_memory_region(memory) };
        const struct vhost_vring_state size = { 0, 16 };
        const struct vhost_vring_address address = vhost_driver_address(driver);
        const uint64_t index = 0;

        tell(w, VHOST_USER_ADD_MEM_REG, &payload, sizeof payload.slot, &memory->fd, 1);
        tell(w, VHOST_USER_SET_VRING_NUM, &size, sizeof size, NULL, 0);
        tell(w, VHOST_USER_SET_VRING_ADDR, &address, sizeof address, NULL, 0);
        tell(w, VHOST_USER_SET_VRING_CALL, &index, sizeof index, &driver->call_fd, 1);
        tell(w, VHOST_USER_SET_VRING_ERR, &index, sizeof index, &driver->err_fd, 1);
        tell(w, VHOST_USER_SET_VRING_KICK, &index, sizeof index, &driver->kick_fd, 1);
}

/* Whether the back-end says that it failed. */
static bool is_refused(struct world *w, uint32_t request, const void *payload, uint32_t size, const int *fds, size_t n_fds) {
        VHOST_AUTO_MESSAGE reply = {};

        g_assert_cmpint(vhost_frontend_send(&w->frontend, request, VHOST_FLAG_NEED_REPLY, payload, size, fds, n_fds), ==, 0);
        process(w);
        g_assert_cmpint(vhost_frontend_receive(&w->frontend, &reply), ==, 0);
        g_assert_true(reply.request == request && reply.size == sizeof reply.payload.u64);
        return reply.payload.u64 != 0;
}

static void test_memory_tables(void) {
        union vhost_payload payload = {};
        struct vhost_driver_memory memory;
        struct world w;
        int fds[2];

        world_begin(&w);
        g_assert_cmpint(vhost_driver_memory_new(&memory, 1 << 20), ==, 0);
        fds[0] = fds[1] = memory.fd;
        payload.memory.n_regions = 1;
        payload.memory.regions[0] = vhost_driver_memory_region(&memory);
        g_assert_false(is_refused(&w, VHOST_USER_SET_MEM_TABLE, &payload, 8 + 32, fds, 1));
        g_assert_true(is_refused(&w, VHOST_USER_SET_MEM_TABLE, &payload, 8 + 31, fds, 1));
        g_assert_true(is_refused(&w, VHOST_USER_SET_MEM_TABLE, &payload, 8 + 32, fds, 2));
        g_assert_true(is_refused(&w, VHOST_USER_SET_MEM_TABLE, &payload, 8 + 32, fds, 0));
        payload.memory.n_regions = VHOST_REGIONS_MAX + 1;
        g_assert_true(is_refused(&w, VHOST_USER_SET_MEM_TABLE, &payload, 8 + 32 * VHOST_REGIONS_MAX, fds, 2));
        payload.memory.n_regions = UINT32_MAX / 32 + 1;         /* as bytes, none */
        g_assert_true(is_refused(&w, VHOST_USER_SET_MEM_TABLE, &payload, 8, NULL, 0));
        vhost_driver_memory_done(&memory);
        world_end(&w);
}

static void test_not_negotiated(void) {
        const uint64_t status = 7;
        struct world w;

        world_begin(&w);
        g_assert_true(is_refused(&w, VHOST_USER_SET_STATUS, &status, sizeof status, NULL, 0));
        g_assert_cmpuint(w.backend->status, ==, 0);
        world_end(&w);
}

/* A kick that has been read before, and events that are full. */
static void test_events_that_wait(void) {
        const uint64_t full = FULL;
        struct vhost_driver_memory memory;
        struct vhost_driver driver;
        struct vhost_chain chain;
        struct iovec iov[4];
        struct world w;

        world_begin(&w);
        g_assert_cmpint(vhost_driver_memory_new(&memory, 1 << 20), ==, 0);
        g_assert_cmpint(vhost_driver_new(&driver, &memory, 0, 16, false), ==, 0);
        tell_ring(&w, &memory, &driver);
        g_assert_nonnull(w.queue);
        let_it_wait(driver.kick_fd);
        let_it_wait(driver.call_fd);
        let_it_wait(driver.err_fd);
        g_assert_cmpint(write(driver.call_fd, &full, sizeof full), ==, sizeof full);
        g_assert_cmpint(write(driver.err_fd, &full, sizeof full), ==, sizeof full);
        vhost_driver_describe(&driver, 0, memory.base, 16, false, true);
        vhost_driver_put(&driver, 0);
        vhost_driver_publish(&driver);
        vhost_queue_clear_kick(w.queue);
        g_assert_cmpint(vhost_ring_take(&w.queue->ring, iov, G_N_ELEMENTS(iov), &chain), ==, 1);
        vhost_ring_put(&w.queue->ring, &chain, 0);
        g_assert_true(vhost_queue_flush(w.queue));
        vhost_queue_fail(w.queue);
        world_end(&w);
        vhost_driver_done(&driver);
        vhost_driver_memory_done(&memory);
}

static bool is_tracking_refused(struct world *w, int fd, uint16_t n_queues, uint16_t queue_size, uint64_t size) {
        union vhost_payload payload = { .inflight = { .mmap_size = size, .n_queues = n_queues, .queue_size = queue_size } };

        return is_refused(w, VHOST_USER_SET_INFLIGHT_FD, &payload, 24, &fd, 1);
}

/* Regions that have not what they say, or not what a ring needs: then that does not run. */
static void test_inflight_regions(void) {
        const uint64_t size = vhost_inflight_bytes(1, 16, false), packed = FEATURES | VHOST_BIT(VHOST_F_PACKED), split = FEATURES;
        int fd = vhost_inflight_make(1, 16, false);
        struct vhost_driver_memory memory;
        struct vhost_driver driver;
        struct world w;

        world_begin(&w);
        g_assert_cmpint(vhost_driver_memory_new(&memory, 1 << 20), ==, 0);
        g_assert_cmpint(vhost_driver_new(&driver, &memory, 0, 16, false), ==, 0);
        g_assert_true(is_tracking_refused(&w, fd, 2, 4, size));         /* queues that there are not */
        g_assert_true(is_tracking_refused(&w, fd, 1, 16, size - 1));
        g_assert_true(is_tracking_refused(&w, fd, 1, 32, size));
        g_assert_true(is_tracking_refused(&w, fd, 1, 16, size + 4096)); /* bytes that its file has not */
        g_assert_false(is_tracking_refused(&w, fd, 1, 8, size));
        tell_ring(&w, &memory, &driver);
        g_assert_null(w.queue);                                         /* it is one of 16 */
        g_assert_true(is_readable(driver.err_fd));
        g_assert_false(is_tracking_refused(&w, fd, 1, 16, size));
        g_assert_nonnull(w.queue);
        tell(&w, VHOST_USER_SET_FEATURES, &packed, sizeof packed, NULL, 0);
        g_assert_null(w.queue);                                         /* and of the other kind */
        tell(&w, VHOST_USER_SET_FEATURES, &split, sizeof split, NULL, 0);
        g_assert_nonnull(w.queue);
        close(fd);
        world_end(&w);
        vhost_driver_done(&driver);
        vhost_driver_memory_done(&memory);
}

/* What has a reply of its own, and asks for what cannot be, is the end of the connection. */
static void test_too_large_a_region(void) {
        const union vhost_payload payload = { .inflight = { .n_queues = 1, .queue_size = VHOST_RING_SIZE_MAX + 1 } };
        struct world w;

        world_begin(&w);
        g_assert_cmpint(vhost_frontend_send(&w.frontend, VHOST_USER_GET_INFLIGHT_FD, 0, &payload, 24, NULL, 0), ==, 0);
        g_assert_cmpint(vhost_backend_process(w.backend), ==, VHOST_BACKEND_CLOSED);
        g_assert_nonnull(strstr(vhost_backend_complaint(w.backend), "GET_INFLIGHT_FD"));
        world_end(&w);
}

/* A device has a state only while its rings are stopped. */
static void test_state_of_a_ring_that_runs(void) {
        const union vhost_payload payload = {};
        struct vhost_driver_memory memory;
        struct vhost_driver driver;
        VHOST_AUTO_MESSAGE reply = {};
        struct world w;
        int ends[2];

        world_begin(&w);
        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        g_assert_cmpint(vhost_driver_memory_new(&memory, 1 << 20), ==, 0);
        g_assert_cmpint(vhost_driver_new(&driver, &memory, 0, 16, false), ==, 0);
        tell_ring(&w, &memory, &driver);
        vhost_queue_clear_kick(w.queue);
        tell(&w, VHOST_USER_SET_DEVICE_STATE_FD, &payload, 8, &ends[1], 1);
        g_assert_cmpint(vhost_frontend_receive(&w.frontend, &reply), ==, 0);
        g_assert_cmpuint(reply.payload.u64, !=, VHOST_STATE_NO_FD);
        close(ends[0]);
        close(ends[1]);
        world_end(&w);
        vhost_driver_done(&driver);
        vhost_driver_memory_done(&memory);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hostile/a-flood-of-requests-leaves-others-their-turn", test_flood);
        g_test_add_func("/hostile/a-flood-of-answers-too", test_flood_of_answers);
        g_test_add_func("/hostile/requests-that-outlive-the-connection", test_requests_that_outlive_the_connection);
        g_test_add_func("/hostile/no-socket-for-requests", test_no_socket_for_requests);
        g_test_add_func("/hostile/requests-that-wait", test_requests_that_wait);
        g_test_add_func("/hostile/events-that-wait", test_events_that_wait);
        g_test_add_func("/hostile/memory-tables", test_memory_tables);
        g_test_add_func("/hostile/what-was-not-negotiated", test_not_negotiated);
        g_test_add_func("/hostile/inflight-regions", test_inflight_regions);
        g_test_add_func("/hostile/too-large-an-inflight-region", test_too_large_a_region);
        g_test_add_func("/hostile/state-of-a-ring-that-runs", test_state_of_a_ring_that_runs);
        return g_test_run();
}
