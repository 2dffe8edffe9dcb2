/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Connections: a front-end asks a back-end, which runs a device that copies what it reads to what it writes.
 *
 * The back-end runs on a thread of its own, as another process would.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver.h"
#include "server.h"

#define TIMEOUT_MS 60000
#define CONFIG_SIZE 16u
#define DEVICE_FEATURE 5

struct world {
        int fd;                         /* the back-end's end, until it has begun */
        sd_event *event;
        struct vhost_server *server;
        pthread_t thread;
        uint8_t config[CONFIG_SIZE];
        atomic_uint n_resets;
        char complaint[160];
        int stop_fd;
        struct vhost_frontend frontend;
        struct vhost_driver_memory memory;
        struct vhost_driver driver;
        uint8_t *buffer;
};

static void get_config(void *userdata, uint32_t offset, uint8_t *to, uint32_t n) {
        struct world *world = userdata;

        memcpy(to, world->config + offset, n);
}

static int set_config(void *userdata, uint32_t offset, const uint8_t *from, uint32_t n, bool is_migration) {
        struct world *world = userdata;

        if (!is_migration && (offset != 0 || n != 1))
                return -EPERM;
        memcpy(world->config + offset, from, n);
        vhost_backend_config_changed(vhost_server_backend(world->server));
        return 0;
}

static void reset(void *userdata) {
        struct world *world = userdata;

        world->n_resets++;
}

static void handle(void *userdata, struct vhost_queue *queue) {
        struct iovec iov[8];
        struct vhost_chain chain;
        int r;

        do {
                while ((r = vhost_ring_take(&queue->ring, iov, G_N_ELEMENTS(iov), &chain)) > 0) {
                        size_t n = 0;

                        if (chain.n_out > 0 && chain.n_in > 0) {
                                n = MIN(iov[0].iov_len, iov[chain.n_out].iov_len);
                                memcpy(iov[chain.n_out].iov_base, iov[0].iov_base, n);
                        }
                        vhost_ring_put(&queue->ring, &chain, (uint32_t) n);
                }
                vhost_queue_flush(queue);
                if (r < 0)
                        vhost_queue_fail(queue);
        } while (r == 0 && vhost_ring_sleep(&queue->ring));
}

static const struct vhost_device device = {
        .features = VHOST_BIT(DEVICE_FEATURE),
        .n_queues = 2,
        .queue_size_max = 256,
        .config_size = CONFIG_SIZE,
        .get_config = get_config,
        .set_config = set_config,
        .reset = reset,
        .handle = handle,
};

static void on_closed(const char *complaint, void *userdata) {
        struct world *world = userdata;

        g_strlcpy(world->complaint, complaint ?: "", sizeof world->complaint);
}

static const struct vhost_server_listener listener = { .closed = on_closed };

static void *run(void *userdata) {
        struct world *world = userdata;

        g_assert_cmpint(sd_event_loop(world->event), ==, 0);
        return NULL;
}

static void world_begin(struct world *world) {
        int fds[2];

        memset(world, 0, sizeof *world);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(sd_event_new(&world->event), ==, 0);
        g_assert_cmpint(vhost_server_new(&world->server, world->event, fds[0], &device, &listener, world), ==, 0);
        g_assert_cmpint(vhost_frontend_open(&world->frontend, fds[1], TIMEOUT_MS), ==, 0);
        g_assert_cmpint(pthread_create(&world->thread, NULL, run, world), ==, 0);
        g_assert_cmpint(vhost_driver_memory_new(&world->memory, 1 << 20), ==, 0);
        g_assert_cmpint(vhost_driver_new(&world->driver, &world->memory, 0, 128, true), ==, 0);
        world->buffer = vhost_driver_memory_take(&world->memory, 4096);
}

/* Returns what the back-end complained of. */
static const char *world_close(struct world *world) {
        vhost_frontend_close(&world->frontend);
        pthread_join(world->thread, NULL);
        vhost_server_free(world->server);
        sd_event_unref(world->event);
        vhost_driver_done(&world->driver);
        vhost_driver_memory_done(&world->memory);
        return world->complaint;
}

static void world_end(struct world *world) {
        g_assert_cmpstr(world_close(world), ==, "");
}

static void negotiate(struct world *world) {
        uint64_t features, protocol_features;

        g_assert_cmpint(vhost_frontend_ask_u64(&world->frontend, VHOST_USER_GET_FEATURES, &features), ==, 0);
        g_assert_true(features & VHOST_BIT(DEVICE_FEATURE) && features & VHOST_BIT(VHOST_F_VERSION_1));
        g_assert_cmpint(vhost_frontend_ask_u64(&world->frontend, VHOST_USER_GET_PROTOCOL_FEATURES, &protocol_features), ==, 0);
        g_assert_cmpint(vhost_frontend_tell_u64(&world->frontend, VHOST_USER_SET_PROTOCOL_FEATURES, protocol_features), ==, 0);
        world->frontend.protocol_features = protocol_features;
        g_assert_cmpint(vhost_frontend_tell(&world->frontend, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0), ==, 0);
        features &= ~(VHOST_BIT(VHOST_F_LOG_ALL) | VHOST_BIT(VHOST_F_PACKED));
        g_assert_cmpint(vhost_frontend_tell_u64(&world->frontend, VHOST_USER_SET_FEATURES, features), ==, 0);
}

static void start(struct world *world, uint16_t base) {
        g_assert_cmpint(vhost_driver_start(&world->driver, &world->frontend, base, true), ==, 0);
}

static void put(struct world *world, char c) {
        memset(world->buffer, c, 10);
        memset(world->buffer + 10, 0, 10);
        vhost_driver_describe(&world->driver, 0, world->buffer, 10, false, false);
        vhost_driver_describe(&world->driver, 1, world->buffer + 10, 10, true, true);
        vhost_driver_put(&world->driver, 0);
        vhost_driver_publish(&world->driver);
}

static void expect(struct world *world, char c) {
        uint32_t head, length;

        g_assert_cmpint(vhost_driver_wait(&world->driver, TIMEOUT_MS, &head, &length), ==, 0);
        g_assert_cmpuint(length, ==, 10);
        g_assert_cmpint(world->buffer[19], ==, c);
}

static void exchange(struct world *world, char c) {
        put(world, c);
        g_assert_cmpint(vhost_driver_kick(&world->driver), ==, 0);
        expect(world, c);
}

static int get_base(struct world *world, uint32_t index) {
        const struct vhost_vring_state state = { .index = index };
        VHOST_AUTO_MESSAGE reply = {};
        int r = vhost_frontend_ask(&world->frontend, VHOST_USER_GET_VRING_BASE, &state, sizeof state, &reply);

        return r < 0 ? r : (int) reply.payload.state.num;
}

static int set_enable(struct world *world, uint32_t index, uint32_t on) {
        const struct vhost_vring_state state = { index, on };

        return vhost_frontend_tell(&world->frontend, VHOST_USER_SET_VRING_ENABLE, &state, sizeof state, NULL, 0);
}

static void test_life(void) {
        struct world w;

        world_begin(&w);
        negotiate(&w);
        g_assert_cmpint(vhost_driver_memory_lend(&w.memory, &w.frontend), ==, 0);
        start(&w, 0);
        for (int i = 0; i < 300; i++)
                exchange(&w, (char) ('a' + i % 26));
        g_assert_cmpint(get_base(&w, 0), ==, 300);
        g_assert_cmpint(get_base(&w, 1), ==, 0);
        start(&w, 300);
        exchange(&w, 'z');
        world_end(&w);
}

/* Not before it is kicked; not while it is disabled; and then at once, without another kick. */
static void test_states(void) {
        struct world w;
        uint32_t head, length;

        world_begin(&w);
        negotiate(&w);
        g_assert_cmpint(set_enable(&w, 1, 1), ==, 0);           /* of a ring that nobody set up */
        g_assert_cmpint(vhost_driver_memory_lend(&w.memory, &w.frontend), ==, 0);
        start(&w, 0);
        put(&w, 'x');
        g_assert_cmpint(set_enable(&w, 0, 0), ==, 0);
        g_assert_cmpint(set_enable(&w, 0, 1), ==, 0);
        g_assert_false(vhost_driver_take(&w.driver, &head, &length));   /* not started */
        g_assert_cmpint(vhost_driver_kick(&w.driver), ==, 0);
        expect(&w, 'x');
        g_assert_cmpint(set_enable(&w, 0, 0), ==, 0);
        put(&w, 'y');
        g_assert_cmpint(vhost_driver_kick(&w.driver), ==, 0);
        g_assert_cmpint(set_enable(&w, 0, 0), ==, 0);           /* a round trip: it would have been done by now */
        g_assert_false(vhost_driver_take(&w.driver, &head, &length));
        g_assert_cmpint(set_enable(&w, 0, 1), ==, 0);
        expect(&w, 'y');
        world_end(&w);
}

/* Memory comes and goes while the ring runs. */
static void test_memory(void) {
        struct world w;
        struct vhost_driver_memory more;
        union vhost_payload payload = {};
        uint64_t n;

        world_begin(&w);
        negotiate(&w);
        start(&w, 0);                                           /* there is no memory yet: nothing happens */
        put(&w, 'a');
        g_assert_cmpint(vhost_driver_kick(&w.driver), ==, 0);
        g_assert_cmpint(vhost_driver_memory_lend(&w.memory, &w.frontend), ==, 0);
        expect(&w, 'a');
        g_assert_cmpint(vhost_driver_memory_lend(&w.memory, &w.frontend), ==, -EREMOTEIO);      /* twice */
        g_assert_cmpint(vhost_frontend_ask_u64(&w.frontend, VHOST_USER_GET_MAX_MEM_SLOTS, &n), ==, 0);
        g_assert_cmpuint(n, ==, VHOST_SLOTS_MAX);

        g_assert_cmpint(vhost_driver_memory_new(&more, 4096), ==, 0);
        payload.slot.region = (struct vhost_region) { 0x40000000, 4096, 0x10000, 0 };
        for (int i = 0; i < 200; i++) {                         /* more often than there are slots */
                g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_ADD_MEM_REG, &payload, 40, &more.fd, 1), ==, 0);
                exchange(&w, 'b');
                g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_REM_MEM_REG, &payload, 40, &more.fd, i % 2), ==, 0);
        }
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_REM_MEM_REG, &payload, 40, NULL, 0), ==, -EREMOTEIO);
        payload.slot.region = vhost_driver_memory_region(&w.memory);
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_REM_MEM_REG, &payload, 40, NULL, 0), ==, 0);
        put(&w, 'c');
        g_assert_cmpint(vhost_driver_kick(&w.driver), ==, 0);   /* its memory has gone: nothing happens */
        g_assert_cmpint(set_enable(&w, 1, 1), ==, 0);
        g_assert_cmpint(vhost_driver_memory_lend(&w.memory, &w.frontend), ==, 0);
        expect(&w, 'c');
        vhost_driver_memory_done(&more);
        world_end(&w);
}

static void test_config(void) {
        struct world w;
        union vhost_payload payload = {};
        VHOST_AUTO_MESSAGE reply = {};
        struct vhost_frontend requests;
        int fds[2];

        world_begin(&w);
        negotiate(&w);
        w.config[3] = 33;
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &fds[0], 1), ==, 0);
        close(fds[0]);
        g_assert_cmpint(vhost_frontend_open(&requests, fds[1], TIMEOUT_MS), ==, 0);

        payload.config.offset = 2;
        payload.config.size = 200;                              /* beyond its end there are zeros */
        g_assert_cmpint(vhost_frontend_ask(&w.frontend, VHOST_USER_GET_CONFIG, &payload, 212, &reply), ==, 0);
        g_assert_true(reply.size == 212 && reply.payload.config.bytes[1] == 33 && reply.payload.config.bytes[199] == 0);
        payload.config.offset = 100;                            /* past 256: an error is a reply of no bytes */
        g_assert_cmpint(vhost_frontend_ask(&w.frontend, VHOST_USER_GET_CONFIG, &payload, 212, &reply), ==, 0);
        g_assert_cmpuint(reply.size, ==, 0);
        payload.config.offset = 0;
        payload.config.size = 1;                                /* other than the bytes that come */
        g_assert_cmpint(vhost_frontend_ask(&w.frontend, VHOST_USER_GET_CONFIG, &payload, 14, &reply), ==, 0);
        g_assert_cmpuint(reply.size, ==, 0);

        payload.config.bytes[0] = 9;
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_CONFIG, &payload, 13, NULL, 0), ==, 0);
        g_assert_cmpuint(w.config[0], ==, 9);
        g_assert_cmpint(poll(&(struct pollfd) { .fd = fds[1], .events = POLLIN }, 1, 0), ==, 0);        /* the device is suspended: not yet */
        g_assert_cmpint(vhost_driver_memory_lend(&w.memory, &w.frontend), ==, 0);
        start(&w, 0);
        exchange(&w, 'a');
        g_assert_cmpint(vhost_frontend_receive(&requests, &reply), ==, 0);
        g_assert_cmpuint(reply.request, ==, VHOST_BACKEND_CONFIG_CHANGE);
        payload.config.offset = 1;                              /* read-only, but for a migration */
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_CONFIG, &payload, 13, NULL, 0), ==, -EREMOTEIO);
        payload.config.flags = VHOST_CONFIG_F_MIGRATION;
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_CONFIG, &payload, 13, NULL, 0), ==, 0);
        payload.config.offset = CONFIG_SIZE;
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_CONFIG, &payload, 13, NULL, 0), ==, -EREMOTEIO);
        vhost_frontend_close(&requests);
        world_end(&w);
}

/* Refused, with the connection as it was. */
static void test_refused(void) {
        struct vhost_vring_state bad_index = { 2, 1 }, bad_size = { 0, 100 }, big = { 0, 512 };
        struct vhost_vring_address address = { .index = 0, .descriptor = 8 };
        int pipes[2];
        struct world w;
        uint64_t value = 0, status;

        world_begin(&w);
        negotiate(&w);
        g_assert_cmpint(vhost_frontend_tell_u64(&w.frontend, VHOST_USER_SET_FEATURES, VHOST_BIT(63)), ==, -EREMOTEIO);
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_VRING_ENABLE, &bad_index, 8, NULL, 0), ==, -EREMOTEIO);
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_VRING_NUM, &bad_size, 8, NULL, 0), ==, -EREMOTEIO);
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_VRING_NUM, &big, 8, NULL, 0), ==, -EREMOTEIO);
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_VRING_ADDR, &address, sizeof address, NULL, 0), ==, -EREMOTEIO);
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, 999, NULL, 0, NULL, 0), ==, -EREMOTEIO);       /* of a later version */
        g_assert_cmpint(pipe(pipes), ==, 0);
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_VRING_CALL, &value, 8, &pipes[1], 1), ==, -EREMOTEIO);
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_VRING_KICK, &value, 8, NULL, 0), ==, -EREMOTEIO);
        g_assert_cmpint(vhost_frontend_tell_u64(&w.frontend, VHOST_USER_SET_STATUS, 0x100), ==, -EREMOTEIO);
        g_assert_cmpint(vhost_frontend_tell_u64(&w.frontend, VHOST_USER_SET_STATUS, 7), ==, 0);
        g_assert_cmpint(vhost_frontend_ask_u64(&w.frontend, VHOST_USER_GET_STATUS, &status), ==, 0);
        g_assert_cmpuint(status, ==, 7);
        close(pipes[0]);
        close(pipes[1]);
        world_end(&w);
}

/* What ends a connection, and what is said of it. */
static void test_ended(void) {
        static const struct {
                uint32_t request, size;
                const char *complaint;
        } cases[] = {
                { VHOST_USER_SET_FEATURES, 4, "request 2 (SET_FEATURES) of 4 bytes with 0 descriptors: *" },
                { VHOST_USER_SET_INFLIGHT_FD, 20, "request 32 (SET_INFLIGHT_FD) of 20 bytes with 0 descriptors: *" },
                { VHOST_USER_GET_CONFIG, 8, "request 24 (GET_CONFIG) of 8 bytes*" },
                { 77, 0, "request 77 (unknown) of 0 bytes with 0 descriptors: *" },
        };
        const uint8_t zeros[32] = {};

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                struct vhost_message reply;
                struct world w;

                world_begin(&w);
                negotiate(&w);
                g_assert_cmpint(vhost_frontend_send(&w.frontend, cases[i].request, 0, zeros, cases[i].size, NULL, 0), ==, 0);
                g_assert_cmpint(vhost_frontend_receive(&w.frontend, &reply), ==, -ECONNRESET);
                g_assert_true(g_pattern_match_simple(cases[i].complaint, world_close(&w)));
                g_assert_cmpuint(w.n_resets, ==, 1);
        }
}

static void test_broken_ring(void) {
        struct world w;
        struct pollfd p;

        world_begin(&w);
        negotiate(&w);
        g_assert_cmpint(vhost_driver_memory_lend(&w.memory, &w.frontend), ==, 0);
        start(&w, 0);
        put(&w, 'a');
        w.driver.descriptors[0].address = 0;
        g_assert_cmpint(vhost_driver_kick(&w.driver), ==, 0);
        p = (struct pollfd) { .fd = w.driver.err_fd, .events = POLLIN };
        g_assert_cmpint(poll(&p, 1, TIMEOUT_MS), ==, 1);
        g_assert_cmpint(get_base(&w, 0), ==, 1);
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0), ==, 0);
        w.driver.available_idx = w.driver.used_idx = w.driver.kicked_idx = 0;
        w.driver.available[1] = w.driver.used[1] = 0;
        start(&w, 0);
        exchange(&w, 'b');
        world_end(&w);
}

/* A back-end that dies, and one that takes over: what was in flight is done, without a kick, and the rest too. */
static void test_inflight(void) {
        struct world w, next;
        union vhost_payload payload = {};
        VHOST_AUTO_MESSAGE reply = {};
        struct vhost_inflight inflight = VHOST_INFLIGHT_NONE;

        world_begin(&w);
        negotiate(&w);
        payload.inflight.n_queues = 1;
        payload.inflight.queue_size = 128;
        g_assert_cmpint(vhost_frontend_ask(&w.frontend, VHOST_USER_GET_INFLIGHT_FD, &payload, 24, &reply), ==, 0);
        g_assert_true(reply.n_fds == 1 && reply.size == 24);
        payload.inflight = reply.payload.inflight;
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_INFLIGHT_FD, &payload, 24, reply.fds, 1), ==, 0);
        g_assert_cmpint(vhost_driver_memory_lend(&w.memory, &w.frontend), ==, 0);
        start(&w, 0);
        exchange(&w, 'a');

        world_begin(&next);
        negotiate(&next);
        g_assert_cmpint(vhost_inflight_open(&inflight, reply.fds[0], 0, payload.inflight.mmap_size, 1, 128, false), ==, 0);
        vhost_inflight_taken(vhost_inflight_queue(&inflight, 0), 0, 5);         /* as one leaves it that was killed right then */
        put(&w, 'b');
        g_assert_cmpint(vhost_frontend_tell(&next.frontend, VHOST_USER_SET_INFLIGHT_FD, &payload, 20, reply.fds, 1), ==, 0);
        g_assert_cmpint(vhost_driver_memory_lend(&w.memory, &next.frontend), ==, 0);
        g_assert_cmpint(vhost_driver_start(&w.driver, &next.frontend, 1, true), ==, 0);
        expect(&w, 'b');
        vhost_inflight_close(&inflight);
        world_end(&next);
        world_end(&w);
}

/* Rings without a kick are looked at anyway; and a new call descriptor is told of what was used before. */
static void test_without_kick(void) {
        const uint64_t none = VHOST_VRING_NO_FD, index = 0;
        struct world w;
        struct pollfd p;
        uint64_t n;
        int call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        world_begin(&w);
        negotiate(&w);
        g_assert_cmpint(vhost_driver_memory_lend(&w.memory, &w.frontend), ==, 0);
        start(&w, 0);
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_VRING_KICK, &none, sizeof none, NULL, 0), ==, 0);
        put(&w, 'p');
        expect(&w, 'p');
        g_assert_cmpint(vhost_frontend_tell(&w.frontend, VHOST_USER_SET_VRING_CALL, &index, sizeof index, &call_fd, 1), ==, 0);
        p = (struct pollfd) { .fd = call_fd, .events = POLLIN };
        g_assert_cmpint(poll(&p, 1, TIMEOUT_MS), ==, 1);
        g_assert_cmpint(read(call_fd, &n, sizeof n), ==, sizeof n);
        close(call_fd);
        world_end(&w);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/backend/life-of-a-ring", test_life);
        g_test_add_func("/backend/states-of-a-ring", test_states);
        g_test_add_func("/backend/memory-under-a-ring", test_memory);
        g_test_add_func("/backend/configuration-space", test_config);
        g_test_add_func("/backend/refused-requests", test_refused);
        g_test_add_func("/backend/requests-that-end-the-connection", test_ended);
        g_test_add_func("/backend/broken-ring-and-reset", test_broken_ring);
        g_test_add_func("/backend/taking-over-what-is-in-flight", test_inflight);
        g_test_add_func("/backend/ring-without-kicks", test_without_kick);
        return g_test_run();
}
