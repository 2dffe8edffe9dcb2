/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Channels and messages: every way in which bytes and descriptors can come. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "frontend.h"

static unsigned count_fds(void) {
        unsigned n = 0;
        DIR *d = opendir("/proc/self/fd");

        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

static void make_pair(struct vhost_channel *channel, struct vhost_frontend *peer) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(vhost_channel_open(channel, fds[0]), ==, 0);
        g_assert_cmpint(vhost_frontend_open(peer, fds[1], 10000), ==, 0);
}

static void test_byte_by_byte(void) {
        const uint32_t bytes[5] = { VHOST_USER_SET_VRING_NUM, VHOST_FLAG_VERSION, 8, 3, 256 };
        struct vhost_channel channel;
        struct vhost_frontend peer;
        struct vhost_message message;

        make_pair(&channel, &peer);
        for (size_t i = 0; i < sizeof bytes; i++) {
                g_assert_cmpint(vhost_channel_receive(&channel, &message), ==, VHOST_CHANNEL_WAIT);
                g_assert_cmpint(vhost_frontend_send_bytes(&peer, (const uint8_t *) bytes + i, 1, NULL, 0), ==, 0);
        }
        g_assert_cmpint(vhost_channel_receive(&channel, &message), ==, 0);
        g_assert_cmpuint(message.request, ==, VHOST_USER_SET_VRING_NUM);
        g_assert_cmpuint(message.payload.state.index, ==, 3);
        g_assert_cmpuint(message.payload.state.num, ==, 256);
        g_assert_cmpint(vhost_message_check(&message, 0), ==, 0);
        vhost_frontend_close(&peer);
        g_assert_cmpint(vhost_channel_receive(&channel, &message), ==, VHOST_CHANNEL_END);
        vhost_channel_close(&channel);
}

static void test_fds_stay_with_their_message(void) {
        const uint64_t index = 0;
        struct vhost_channel channel;
        struct vhost_frontend peer;
        struct vhost_message message;
        unsigned before = count_fds();
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        make_pair(&channel, &peer);
        g_assert_cmpint(vhost_frontend_send(&peer, VHOST_USER_SET_OWNER, 0, NULL, 0, NULL, 0), ==, 0);
        g_assert_cmpint(vhost_frontend_send(&peer, VHOST_USER_SET_VRING_CALL, 0, &index, sizeof index, &fd, 1), ==, 0);
        g_assert_cmpint(vhost_channel_receive(&channel, &message), ==, 0);
        g_assert_cmpuint(message.n_fds, ==, 0);
        g_assert_cmpint(vhost_channel_receive(&channel, &message), ==, 0);
        g_assert_cmpuint(message.n_fds, ==, 1);
        vhost_message_done(&message);
        vhost_channel_close(&channel);
        vhost_frontend_close(&peer);
        close(fd);
        g_assert_cmpuint(count_fds(), ==, before);
}

static void test_too_many_fds(void) {
        struct vhost_channel channel;
        struct vhost_frontend peer;
        struct vhost_message message;
        unsigned before = count_fds();
        int fds[30];

        for (size_t n = 9; n <= 30; n += 21) {
                for (size_t i = 0; i < n; i++)
                        fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
                make_pair(&channel, &peer);
                g_assert_cmpint(vhost_frontend_send(&peer, VHOST_USER_SET_OWNER, 0, NULL, 0, fds, n), ==, 0);
                g_assert_cmpint(vhost_channel_receive(&channel, &message), ==, -EBADF);
                vhost_channel_close(&channel);
                vhost_frontend_close(&peer);
                for (size_t i = 0; i < n; i++)
                        close(fds[i]);
        }
        g_assert_cmpuint(count_fds(), ==, before);
}

/* The kernel gives as many as this process may have, and says that there were more. */
static void test_no_more_fds(void) {
        struct vhost_channel channel;
        struct vhost_frontend peer;
        struct vhost_message message;
        struct rlimit limit, lower;
        int fds[3] = { 0, 0, 0 };
        unsigned before;

        make_pair(&channel, &peer);
        before = count_fds();
        g_assert_cmpint(vhost_frontend_send(&peer, VHOST_USER_SET_OWNER, 0, NULL, 0, fds, 3), ==, 0);
        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        lower = limit;
        lower.rlim_cur = (rlim_t) dup(0) + 1;           /* one more */
        close((int) lower.rlim_cur - 1);
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &lower), ==, 0);
        g_assert_cmpint(vhost_channel_receive(&channel, &message), ==, -EMFILE);
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        g_assert_cmpuint(count_fds(), ==, before + 1);
        vhost_channel_close(&channel);
        vhost_frontend_close(&peer);
        g_assert_cmpuint(count_fds(), ==, before - 2);
}

static void test_ends_in_the_middle(void) {
        const uint32_t bytes[4] = { VHOST_USER_SET_FEATURES, VHOST_FLAG_VERSION, 8, 0 };

        for (size_t n = 1; n <= sizeof bytes; n++) {
                struct vhost_channel channel;
                struct vhost_frontend peer;
                struct vhost_message message;

                make_pair(&channel, &peer);
                g_assert_cmpint(vhost_frontend_send_bytes(&peer, bytes, n, NULL, 0), ==, 0);
                vhost_frontend_close(&peer);
                g_assert_cmpint(vhost_channel_receive(&channel, &message), ==, -ECONNRESET);
                vhost_channel_close(&channel);
        }
}

static void test_payload_beyond_the_largest(void) {
        const uint32_t bytes[3] = { VHOST_USER_SET_CONFIG, VHOST_FLAG_VERSION, VHOST_PAYLOAD_MAX + 1 };
        struct vhost_channel channel;
        struct vhost_frontend peer;
        struct vhost_message message;

        make_pair(&channel, &peer);
        g_assert_cmpint(vhost_frontend_send_bytes(&peer, bytes, sizeof bytes, NULL, 0), ==, 0);
        g_assert_cmpint(vhost_channel_receive(&channel, &message), ==, -EBADMSG);
        vhost_channel_close(&channel);
        vhost_frontend_close(&peer);
}

/* A front-end that does not read does not make the back-end wait: one message is kept, and a second refused. */
static void test_peer_that_does_not_read(void) {
        const struct vhost_message reply = { .request = 1, .flags = VHOST_FLAG_VERSION, .size = 200 };
        struct vhost_channel channel;
        struct vhost_frontend peer;
        struct vhost_message message;
        unsigned n = 0;

        make_pair(&channel, &peer);
        while (vhost_channel_send(&channel, &reply) == 0)
                n++;
        g_assert_true(vhost_channel_must_flush(&channel));
        g_assert_cmpint(vhost_channel_send(&channel, &reply), ==, -EBUSY);
        g_assert_cmpint(vhost_channel_flush(&channel), ==, VHOST_CHANNEL_WAIT);
        for (unsigned i = 0; i <= n; i++) {
                if (i == n)
                        g_assert_cmpint(vhost_channel_flush(&channel), ==, 0);
                g_assert_cmpint(vhost_frontend_receive(&peer, &message), ==, 0);
                g_assert_cmpuint(message.size, ==, 200);
        }
        vhost_channel_close(&channel);
        vhost_frontend_close(&peer);
}

static void test_check(void) {
        struct vhost_message message = { .request = VHOST_USER_SET_FEATURES, .flags = VHOST_FLAG_VERSION, .size = 8 };

        g_assert_cmpint(vhost_message_check(&message, 0), ==, 0);
        message.size = 7;
        g_assert_cmpint(vhost_message_check(&message, 0), ==, -EBADMSG);
        message.size = 8;
        message.n_fds = 1;
        g_assert_cmpint(vhost_message_check(&message, 0), ==, -EBADF);
        message.n_fds = 0;
        message.flags = 2;
        g_assert_cmpint(vhost_message_check(&message, 0), ==, -EBADMSG);
        message.flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY;
        g_assert_cmpint(vhost_message_check(&message, 0), ==, -EBADMSG);
        message.flags = VHOST_FLAG_VERSION;
        message.request = 0;
        g_assert_cmpint(vhost_message_check(&message, 0), ==, -ENOTSUP);
        message.request = UINT32_MAX;
        g_assert_cmpint(vhost_message_check(&message, 0), ==, -ENOTSUP);
}

/* Regions have two fields more, and are refused without. */
static void test_check_with_xen(void) {
        const uint64_t xen = VHOST_BIT(VHOST_PROTOCOL_F_XEN_MMAP);
        struct vhost_message message = { .request = VHOST_USER_ADD_MEM_REG, .flags = VHOST_FLAG_VERSION, .size = 48, .n_fds = 1 };

        g_assert_cmpint(vhost_message_check(&message, 0), ==, -EBADMSG);
        g_assert_cmpint(vhost_message_check(&message, xen), ==, 0);
        message.size = 40;
        g_assert_cmpint(vhost_message_check(&message, 0), ==, 0);
        g_assert_cmpint(vhost_message_check(&message, xen), ==, -EBADMSG);
        message.request = VHOST_USER_SET_MEM_TABLE;
        message.size = 8 + 8 * 40;
        message.n_fds = 8;
        g_assert_cmpint(vhost_message_check(&message, 0), ==, -EBADMSG);
        g_assert_cmpint(vhost_message_check(&message, xen), ==, 0);
        message.size++;
        g_assert_cmpint(vhost_message_check(&message, xen), ==, -EBADMSG);
        message.size = 8;
        message.n_fds = 0;
        g_assert_cmpint(vhost_message_check(&message, xen), ==, 0);
        message.request = VHOST_USER_SET_FEATURES;      /* others are as ever */
        g_assert_cmpint(vhost_message_check(&message, xen), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/channel/message-that-comes-byte-by-byte", test_byte_by_byte);
        g_test_add_func("/channel/descriptors-stay-with-their-message", test_fds_stay_with_their_message);
        g_test_add_func("/channel/too-many-descriptors-are-closed", test_too_many_fds);
        g_test_add_func("/channel/more-descriptors-than-the-process-may-have", test_no_more_fds);
        g_test_add_func("/channel/end-in-the-middle-of-a-message", test_ends_in_the_middle);
        g_test_add_func("/channel/payload-beyond-the-largest", test_payload_beyond_the_largest);
        g_test_add_func("/channel/peer-that-does-not-read", test_peer_that_does_not_read);
        g_test_add_func("/message/check", test_check);
        g_test_add_func("/message/check-with-xen-mmap", test_check_with_xen);
        return g_test_run();
}
