/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A device's state: saved to a pipe, loaded from one, and whatever a front-end may send instead. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frontend.h"
#include "server.h"

#define TIMEOUT_MS 60000

struct world {
        char state[VHOST_STATE_MAX];
        size_t n;
        sd_event *event;
        struct vhost_server *server;
        pthread_t thread;
        struct vhost_frontend frontend;
};

static size_t get_state(void *userdata, uint8_t *to) {
        struct world *world = userdata;

        memcpy(to, world->state, world->n);
        return world->n;
}

static int set_state(void *userdata, const uint8_t *untrusted_from, size_t n) {
        struct world *world = userdata;

        if (n == 0 || untrusted_from[0] != 's')
                return -EINVAL;
        memcpy(world->state, untrusted_from, n);
        world->n = n;
        return 0;
}

static void handle(void *userdata, struct vhost_queue *queue) {
}

static const struct vhost_device device = { .n_queues = 1, .get_state = get_state, .set_state = set_state, .handle = handle };

static void *run(void *userdata) {
        struct world *world = userdata;

        g_assert_cmpint(sd_event_loop(world->event), ==, 0);
        return NULL;
}

static void world_begin(struct world *world) {
        const uint64_t features = VHOST_BIT(VHOST_PROTOCOL_F_DEVICE_STATE) | VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK);
        int fds[2];

        *world = (struct world) {};
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(sd_event_new(&world->event), ==, 0);
        g_assert_cmpint(vhost_server_new(&world->server, world->event, fds[0], &device, NULL, world), ==, 0);
        g_assert_cmpint(vhost_frontend_open(&world->frontend, fds[1], TIMEOUT_MS), ==, 0);
        g_assert_cmpint(pthread_create(&world->thread, NULL, run, world), ==, 0);
        g_assert_cmpint(vhost_frontend_tell_u64(&world->frontend, VHOST_USER_SET_PROTOCOL_FEATURES, features), ==, 0);
        world->frontend.protocol_features = features;
}

static void world_end(struct world *world) {
        vhost_frontend_close(&world->frontend);
        pthread_join(world->thread, NULL);
        vhost_server_free(world->server);
        sd_event_unref(world->event);
}

/* Returns whether it was taken. */
static bool transfer(struct world *world, uint32_t direction, uint32_t phase, int fd) {
        const union vhost_payload payload = { .state_transfer = { .direction = direction, .phase = phase } };
        VHOST_AUTO_MESSAGE reply = {};

        g_assert_cmpint(vhost_frontend_send(&world->frontend, VHOST_USER_SET_DEVICE_STATE_FD, 0, &payload, 8, &fd, 1), ==, 0);
        g_assert_cmpint(vhost_frontend_receive(&world->frontend, &reply), ==, 0);
        g_assert_true(reply.size == 8 && reply.n_fds == 0 && reply.payload.u64 & VHOST_STATE_NO_FD);
        return reply.payload.u64 == VHOST_STATE_NO_FD;
}

static bool is_good(struct world *world) {
        uint64_t result;

        g_assert_cmpint(vhost_frontend_ask_u64(&world->frontend, VHOST_USER_CHECK_DEVICE_STATE, &result), ==, 0);
        return result == 0;
}

static void test_save(void) {
        char got[VHOST_STATE_MAX + 1];
        struct world w;
        int ends[2];

        world_begin(&w);
        for (size_t n = 0; n <= VHOST_STATE_MAX; n += VHOST_STATE_MAX / 2) {
                memset(w.state, 's', n);
                w.n = n;
                g_assert_cmpint(pipe(ends), ==, 0);
                g_assert_true(transfer(&w, 0, 0, ends[1]));
                close(ends[1]);
                g_assert_cmpint(read(ends[0], got, sizeof got), ==, n);
                g_assert_cmpint(memcmp(got, w.state, n), ==, 0);
                g_assert_cmpint(read(ends[0], got, sizeof got), ==, 0);  /* its end */
                g_assert_true(is_good(&w));
                close(ends[0]);
        }
        world_end(&w);
}

/* What is loaded, and how that ends. */
static bool load(struct world *world, const char *state, size_t n, bool to_its_end) {
        int ends[2];
        bool good;

        g_assert_cmpint(pipe(ends), ==, 0);
        g_assert_true(transfer(world, 1, 0, ends[0]));
        g_assert_cmpint(write(ends[1], state, n), ==, n);
        if (to_its_end)
                close(ends[1]);
        else                                                    /* the back-end has the same open file: it waits, if it relies on it that it does not */
                g_assert_cmpint(fcntl(ends[0], F_SETFL, 0), ==, 0);
        good = is_good(world);
        if (!to_its_end)
                close(ends[1]);
        close(ends[0]);
        return good;
}

static void test_load(void) {
        char large[VHOST_STATE_MAX + 1];
        struct world w;

        memset(large, 's', sizeof large);
        world_begin(&w);
        g_assert_true(load(&w, "state", 5, true));
        g_assert_cmpuint(w.n, ==, 5);
        g_assert_true(load(&w, large, VHOST_STATE_MAX, true));
        g_assert_false(load(&w, large, VHOST_STATE_MAX + 1, true));
        g_assert_false(load(&w, "nonsense", 8, true));
        g_assert_false(load(&w, "", 0, true));
        g_assert_false(load(&w, "state", 5, false));            /* nobody waits for the rest */
        g_assert_true(load(&w, "state", 5, true));
        world_end(&w);
}

static void test_refused(void) {
        char path[] = "/tmp/test-state-XXXXXX";
        int fd = mkstemp(path), ends[2];
        struct world w;

        world_begin(&w);
        w.n = 4;
        g_assert_false(transfer(&w, 0, 0, fd));                 /* of a file, a write might wait */
        g_assert_cmpint(pipe(ends), ==, 0);
        g_assert_false(transfer(&w, 2, 0, ends[1]));
        g_assert_false(transfer(&w, 0, 1, ends[1]));
        g_assert_false(is_good(&w));
        close(ends[0]);
        g_assert_false(transfer(&w, 0, 0, ends[1]));            /* nobody reads: an error, and not our end */
        close(ends[1]);
        close(fd);
        unlink(path);
        world_end(&w);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/state/saved", test_save);
        g_test_add_func("/state/loaded", test_load);
        g_test_add_func("/state/refused", test_refused);
        return g_test_run();
}
