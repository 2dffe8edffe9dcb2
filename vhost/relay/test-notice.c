/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Notices: when the front-end is sent one, and which capacity it is told. */

#include <endian.h>
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "notice.h"

#define OLD UINT64_C(0x0102030405060708)
#define NEW UINT64_C(0x1112131415161718)

/* Returns the front-end's end. */
static int open_channel(struct notice *notice) {
        struct vhost_message message = { .request = VHOST_USER_SET_BACKEND_REQ_FD, .n_fds = 1 };
        int ends[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), ==, 0);
        message.fds[0] = ends[1];
        g_assert_cmpint(notice_open(notice, &message), ==, 0);
        g_assert_cmpint(message.fds[0], ==, -1);
        return ends[0];
}

static bool has_come(int fd) {
        uint32_t header[3] = {};
        ssize_t n = recv(fd, header, sizeof header, 0);

        if (n < 0) {
                g_assert_cmpint(errno, ==, EAGAIN);
                return false;
        }
        g_assert_cmpint(n, ==, sizeof header);
        g_assert_cmpuint(header[0], ==, VHOST_BACKEND_CONFIG_CHANGE);
        g_assert_cmpuint(header[1], ==, VHOST_FLAG_VERSION);    /* nobody waits for a reply */
        g_assert_cmpuint(header[2], ==, 0);
        return true;
}

static bool is_ended(int fd) {
        char byte;

        return recv(fd, &byte, 1, 0) == 0;
}

/* As the daemon answers: of each field, bytes that are none of a capacity's but there. */
static struct vhost_message reply_of(uint32_t offset, uint32_t size) {
        struct vhost_message reply = { .request = VHOST_USER_GET_CONFIG, .size = VHOST_CONFIG_HEADER + size };
        const uint64_t old = htole64(OLD);
        uint8_t space[VHOST_CONFIG_MAX];

        memset(space, 0xee, sizeof space);
        memcpy(space, &old, sizeof old);
        reply.payload.config.offset = offset;
        reply.payload.config.size = size;
        memcpy(reply.payload.config.bytes, space + offset, size);
        return reply;
}

/* Whatever part of the space is asked for, what is of the capacity is the new one's, and all else is as it was. */
static void test_any_part(void) {
        struct notice notice = NOTICE_NONE;

        notice_resized(&notice, NEW);
        for (uint32_t offset = 0; offset < 12; offset++)
                for (uint32_t size = 0; size < 20; size++) {
                        struct vhost_message reply = reply_of(offset, size), before = reply;
                        const uint64_t new = htole64(NEW);

                        for (uint32_t i = 0; i < size && offset + i < sizeof new; i++)
                                before.payload.config.bytes[i] = ((const uint8_t *) &new)[offset + i];
                        notice_correct(&notice, &reply);
                        g_assert_cmpmem(&reply, sizeof reply, &before, sizeof before);
                }
}

/* The daemon's answers are foreign bytes: one that is none, or says that it begins elsewhere. */
static void test_what_is_no_answer(void) {
        struct notice notice = NOTICE_NONE;
        struct vhost_message reply, before;

        notice_resized(&notice, NEW);
        for (int i = 0; i < 4; i++) {
                reply = reply_of(0, 20);
                if (i == 0)
                        reply.request = VHOST_USER_GET_FEATURES;
                else if (i == 1)
                        reply.payload.config.offset = UINT32_MAX;
                else
                        reply.size = i == 2 ? 0 : VHOST_CONFIG_HEADER;
                before = reply;
                notice_correct(&notice, &reply);
                g_assert_cmpmem(&reply, sizeof reply, &before, sizeof before);
                g_assert_true(notice.is_due);
        }
}

static void test_as_the_daemon_says_until_it_grows(void) {
        struct vhost_message reply = reply_of(0, 60), before = reply;
        struct notice notice = NOTICE_NONE;

        notice_correct(&notice, &reply);
        g_assert_cmpmem(&reply, sizeof reply, &before, sizeof before);
}

/* Who has asked knows; who has not, maybe because he was told before he connected, hears of it once. */
static void test_when(void) {
        struct vhost_message reply = reply_of(0, 8), behind = reply_of(8, 8);
        struct notice notice = NOTICE_NONE;
        int front;

        notice_begin(&notice);
        notice_send(&notice);                   /* there is no channel yet */
        front = open_channel(&notice);
        notice_send(&notice);
        g_assert_true(has_come(front));
        notice_send(&notice);
        g_assert_false(has_come(front));
        notice_resized(&notice, NEW);
        notice_correct(&notice, &behind);
        notice_send(&notice);
        g_assert_true(has_come(front));
        notice_resized(&notice, NEW + 1);
        notice_correct(&notice, &reply);
        notice_send(&notice);
        g_assert_false(has_come(front));
        notice_end(&notice);
        g_assert_true(is_ended(front));
        g_assert_cmpuint(notice.capacity, ==, NEW + 1);         /* the next front-end is told, too */
        close(front);
}

/* One that does not read: what it has not read is enough, and when it reads, it hears of what comes then. */
static void test_a_channel_that_is_full(void) {
        struct notice notice = NOTICE_NONE;
        int front = open_channel(&notice);
        unsigned n = 0;

        for (unsigned i = 0; i < 20000; i++) {
                notice_resized(&notice, NEW + i);
                notice_send(&notice);
        }
        g_assert_cmpint(notice.channel.fd, >=, 0);
        while (has_come(front))
                n++;
        g_assert_cmpuint(n, >, 0);
        g_assert_cmpuint(n, <, 20000);
        notice_resized(&notice, NEW);
        notice_send(&notice);
        g_assert_true(has_come(front));
        notice_end(&notice);
        close(front);
}

/* It is let go, and another can be had. */
static void test_a_channel_that_is_closed(void) {
        struct notice notice = NOTICE_NONE;
        int front = open_channel(&notice), other;

        close(front);
        notice_resized(&notice, NEW);
        notice_send(&notice);
        g_assert_cmpint(notice.channel.fd, ==, -1);
        front = open_channel(&notice);
        other = open_channel(&notice);
        g_assert_true(is_ended(front));
        notice_resized(&notice, NEW);
        notice_send(&notice);
        g_assert_true(has_come(other));
        notice_end(&notice);
        close(front);
        close(other);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/notice/any-part", test_any_part);
        g_test_add_func("/notice/what-is-no-answer", test_what_is_no_answer);
        g_test_add_func("/notice/as-the-daemon-says-until-it-grows", test_as_the_daemon_says_until_it_grows);
        g_test_add_func("/notice/when", test_when);
        g_test_add_func("/notice/a-channel-that-is-full", test_a_channel_that_is_full);
        g_test_add_func("/notice/a-channel-that-is-closed", test_a_channel_that_is_closed);
        return g_test_run();
}
