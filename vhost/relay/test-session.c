/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sessions: what is said again to another back-end, and in which order. */

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session.h"

#define TIMEOUT_MS 60000
#define OFFERED (VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | VHOST_BIT(VHOST_F_VERSION_1))

/* A back-end that notes what it is told, until the connection ends. */
struct listener {
        struct vhost_channel channel;
        pthread_t thread;
        struct vhost_message heard[32];
        size_t n;
};

static void wait_readable(int fd) {
        GPollFD p = { .fd = fd, .events = G_IO_IN };

        g_poll(&p, 1, TIMEOUT_MS);
}

static void *listen_to(void *userdata) {
        struct listener *l = userdata;
        struct vhost_message message;
        int r;

        while ((r = vhost_channel_receive(&l->channel, &message)) == 0 || r == VHOST_CHANNEL_WAIT) {
                bool is_asked;

                if (r == VHOST_CHANNEL_WAIT) {
                        wait_readable(l->channel.fd);
                        continue;
                }
                is_asked = message.request == VHOST_USER_GET_FEATURES || message.request == VHOST_USER_GET_PROTOCOL_FEATURES;
                if (is_asked || message.request == VHOST_USER_SET_LOG_BASE) {
                        const struct vhost_message reply = {
                                .request = message.request,
                                .flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY,
                                .size = 8,
                                .payload.u64 = message.request == VHOST_USER_GET_FEATURES ? OFFERED : 3,
                        };

                        g_assert_cmpint(vhost_channel_send(&l->channel, &reply), ==, 0);
                }
                if (is_asked)
                        continue;
                g_assert_cmpuint(l->n, <, G_N_ELEMENTS(l->heard));
                l->heard[l->n++] = message;
        }
        g_assert_cmpint(r, ==, VHOST_CHANNEL_END);
        return NULL;
}

static void listener_begin(struct listener *l, struct vhost_frontend *frontend) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(vhost_frontend_open(frontend, fds[0], TIMEOUT_MS), ==, 0);
        g_assert_cmpint(vhost_channel_open(&l->channel, fds[1]), ==, 0);
        g_assert_cmpint(pthread_create(&l->thread, NULL, listen_to, l), ==, 0);
}

static void listener_end(struct listener *l, struct vhost_frontend *frontend) {
        vhost_frontend_close(frontend);
        pthread_join(l->thread, NULL);
        vhost_channel_close(&l->channel);
        for (size_t i = 0; i < l->n; i++)
                vhost_message_done(&l->heard[i]);
}

static int keep_u64(struct session *session, uint32_t request, uint64_t value, int fd) {
        const struct vhost_message message = {
                .request = request, .flags = VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY, .size = 8, .payload.u64 = value, .n_fds = fd >= 0, .fds = { fd }
        };

        return session_keep(session, &message);
}

static int keep_ring(struct session *session, uint32_t request, uint32_t ring, uint32_t number) {
        const struct vhost_message message = { .request = request, .flags = VHOST_FLAG_VERSION, .size = 8, .payload.state = { ring, number } };

        return session_keep(session, &message);
}

static void begin_ring(struct session *session, uint32_t ring, int call, int kick) {
        g_assert_cmpint(keep_u64(session, VHOST_USER_SET_VRING_CALL, ring, call), ==, 0);
        g_assert_cmpint(keep_ring(session, VHOST_USER_SET_VRING_NUM, ring, 128), ==, 0);
        g_assert_cmpint(keep_ring(session, VHOST_USER_SET_VRING_BASE, ring, 5), ==, 0);
        g_assert_cmpint(keep_u64(session, VHOST_USER_SET_VRING_KICK, ring, kick), ==, 0);
}

static bool was_woken(int fd) {
        uint64_t n;

        return read(fd, &n, sizeof n) == sizeof n;
}

/* The order is the protocol's, whatever it was said in; the last holds; what is none to be kept is not said. */
static void test_said_again(void) {
        static const uint32_t expected[] = { VHOST_USER_SET_OWNER,      VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_USER_SET_FEATURES,
                                             VHOST_USER_SET_LOG_BASE,   VHOST_USER_SET_VRING_NUM,         VHOST_USER_SET_VRING_BASE,
                                             VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_KICK };
        struct vhost_frontend frontend = VHOST_FRONTEND_NONE;
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        struct listener listener = {};
        struct session session = {};

        begin_ring(&session, 2, fd, fd);
        g_assert_cmpint(keep_u64(&session, VHOST_USER_SET_LOG_BASE, 4096, fd), ==, 0);
        g_assert_cmpint(keep_u64(&session, VHOST_USER_SET_FEATURES, 1, -1), ==, 0);
        g_assert_cmpint(keep_u64(&session, VHOST_USER_SET_FEATURES, OFFERED, -1), ==, 0);
        g_assert_cmpint(keep_u64(&session, VHOST_USER_SET_PROTOCOL_FEATURES, 3, -1), ==, 0);
        g_assert_cmpint(keep_u64(&session, VHOST_USER_SET_OWNER, 0, -1), ==, 0);
        g_assert_cmpint(keep_u64(&session, VHOST_USER_GET_QUEUE_NUM, 0, -1), ==, 0);

        listener_begin(&listener, &frontend);
        g_assert_cmpint(session_tell(&session, &frontend), ==, 0);
        listener_end(&listener, &frontend);
        g_assert_cmpuint(listener.n, ==, G_N_ELEMENTS(expected));
        for (size_t i = 0; i < listener.n; i++) {
                g_assert_cmpuint(listener.heard[i].request, ==, expected[i]);
                g_assert_cmpuint(listener.heard[i].flags, ==, VHOST_FLAG_VERSION);
        }
        g_assert_cmpuint(listener.heard[2].payload.u64, ==, OFFERED);
        session_done(&session);
        close(fd);
}

static void test_another_kind_of_back_end_is_not_told(void) {
        struct vhost_frontend frontend = VHOST_FRONTEND_NONE;
        struct listener listener = {};
        struct session session = {};

        g_assert_cmpint(keep_u64(&session, VHOST_USER_SET_FEATURES, OFFERED | 1, -1), ==, 0);
        listener_begin(&listener, &frontend);
        g_assert_cmpint(session_tell(&session, &frontend), ==, -EPROTO);
        listener_end(&listener, &frontend);
        g_assert_cmpuint(listener.n, ==, 0);
        session_done(&session);
}

/* One that was stopped has its base, and no kick; one that goes on has both. Who may have missed something is woken. */
static void test_rings_that_stop(void) {
        int call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        struct vhost_frontend frontend = VHOST_FRONTEND_NONE;
        struct listener listener = {};
        struct session session = {};

        begin_ring(&session, 0, call, kick);
        begin_ring(&session, 1, call, -1);
        g_assert_true(session_ring_runs(&session, 0));
        g_assert_cmpint(session_ring_at(&session, 1, 9), ==, 0);
        g_assert_cmpint(session_ring_stopped(&session, 0, 7), ==, 0);
        g_assert_false(session_ring_runs(&session, 0));
        g_assert_true(session_ring_runs(&session, 1));
        session_wake(&session);
        g_assert_true(was_woken(call));
        g_assert_false(was_woken(kick));

        listener_begin(&listener, &frontend);
        g_assert_cmpint(session_tell(&session, &frontend), ==, 0);
        listener_end(&listener, &frontend);
        g_assert_cmpuint(listener.n, ==, 7);
        g_assert_cmpuint(listener.heard[1].payload.state.num, ==, 7);
        g_assert_cmpuint(listener.heard[4].payload.state.num, ==, 9);
        g_assert_cmpuint(listener.heard[6].request, ==, VHOST_USER_SET_VRING_KICK);
        session_done(&session);
        close(call);
        close(kick);
}

static void test_more_rings_than_there_are(void) {
        struct session session = {};

        g_assert_cmpint(keep_ring(&session, VHOST_USER_SET_VRING_NUM, SESSION_RINGS_MAX, 1), ==, -EBADMSG);
        g_assert_cmpint(keep_ring(&session, VHOST_USER_SET_VRING_NUM, SESSION_RINGS_MAX - 1, 1), ==, 0);
        g_assert_false(session_ring_runs(&session, UINT32_MAX));
        session_done(&session);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/said-again", test_said_again);
        g_test_add_func("/session/another-kind-of-back-end-is-not-told", test_another_kind_of_back_end_is_not_told);
        g_test_add_func("/session/rings-that-stop", test_rings_that_stop);
        g_test_add_func("/session/more-rings-than-there-are", test_more_rings_than_there_are);
        return g_test_run();
}
