/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages in a program's memory; the program is this one. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "message.h"

#define NOWHERE ((void *) 8)

static struct target self(void) {
        struct target target = { .memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC), .process = -1 };

        g_assert_cmpint(target.memory, >=, 0);
        return target;
}

static int read_one(const struct target *target, const struct msghdr *header, struct message *ret_message) {
        struct seccomp_data call = { .nr = __NR_sendmsg, .args = { 0, (uint64_t) header } };
        struct message *messages;
        int r = messages_read(target, &call, &messages);

        *ret_message = messages[0];
        return r;
}

static void test_pieces(void) {
        struct target target = self();
        char a[] = "one ", b[] = "two", c[] = "xxxxxxxxx", all[16] = "";
        struct iovec pieces[] = { { a, 4 }, { NOWHERE, 0 }, { b, 3 } }, into[] = { { c, 2 }, { NULL, 0 }, { c + 4, 3 } };
        struct msghdr header = { .msg_iov = pieces, .msg_iovlen = 3 };
        struct message message;

        g_assert_cmpint(read_one(&target, &header, &message), ==, 1);
        g_assert_cmpint(message_gather(&message, &target, all, 6), ==, -EMSGSIZE);
        g_assert_cmpint(message_gather(&message, &target, all, 7), ==, 7);
        g_assert_cmpstr(all, ==, "one two");
        header.msg_iov = into;
        g_assert_cmpint(read_one(&target, &header, &message), ==, 1);
        g_assert_cmpint(message_scatter(&message, &target, all, 7), ==, 5);
        g_assert_cmpstr(c, ==, "onxxe txx");
        g_assert_cmpint(message_scatter(&message, &target, all, 1), ==, 1);
        g_assert_cmpuint(message.size, ==, 5);
        pieces[1] = (struct iovec) { NOWHERE, 1 };
        header.msg_iov = pieces;
        g_assert_cmpint(read_one(&target, &header, &message), ==, 1);
        g_assert_cmpint(message_gather(&message, &target, all, sizeof all), ==, -EFAULT);
        pieces[1] = (struct iovec) { a, SIZE_MAX / 2 };
        g_assert_cmpint(message_gather(&message, &target, all, sizeof all), ==, -EINVAL);
        target_close(&target);
}

static void test_headers_that_cannot_be(void) {
        struct target target = self();
        struct sockaddr_storage name;
        struct msghdr header = { .msg_name = &name, .msg_namelen = 4000 };
        struct message message;
        char all[1];

        g_assert_cmpint(read_one(&target, &header, &message), ==, 1);
        g_assert_cmpuint(message.header.msg_namelen, ==, sizeof name);
        header.msg_namelen = (socklen_t) -1;
        g_assert_cmpint(read_one(&target, &header, &message), ==, -EINVAL);
        header = (struct msghdr) { .msg_namelen = 16, .msg_iov = NOWHERE, .msg_iovlen = UIO_MAXIOV };
        g_assert_cmpint(read_one(&target, &header, &message), ==, 1);
        g_assert_cmpuint(message.header.msg_namelen, ==, 0);    /* of no name */
        g_assert_cmpint(message_gather(&message, &target, all, 1), ==, -EFAULT);
        header.msg_iovlen++;
        g_assert_cmpint(read_one(&target, &header, &message), ==, -EMSGSIZE);
        g_assert_cmpint(read_one(&target, NOWHERE, &message), ==, -EFAULT);
        target_close(&target);
}

/* write(2) has a buffer and its size alone, whatever is where other calls have their further arguments. */
static void test_write(void) {
        struct target target = self();
        char bytes[] = "bytes", got[8];
        struct seccomp_data call = { .nr = __NR_write, .args = { 0, (uint64_t) bytes, 5, 1, (uint64_t) NOWHERE, 16 } };
        struct message *message;

        g_assert_cmpint(messages_read(&target, &call, &message), ==, 1);
        g_assert_null(message->header.msg_name);
        g_assert_cmpuint(message->header.msg_namelen, ==, 0);
        g_assert_cmpint(message_measure(message, &target), ==, 5);
        g_assert_cmpint(message_gather(message, &target, got, sizeof got), ==, 5);
        g_assert_cmpmem(got, 5, bytes, 5);
        target_close(&target);
}

static void test_several(void) {
        struct target target = self();
        static struct mmsghdr several[MESSAGES_MAX + 1];
        struct seccomp_data call = { .nr = __NR_sendmmsg, .args = { 0, (uint64_t) several, MESSAGES_MAX + 1 } };
        struct message *messages;

        g_assert_cmpint(messages_read(&target, &call, &messages), ==, MESSAGES_MAX);
        g_assert_cmpint(message_set_length(&messages[7], &target, 99), ==, 0);
        g_assert_cmpuint(several[7].msg_len, ==, 99);
        several[3].msg_hdr.msg_iovlen = UIO_MAXIOV + 1;
        g_assert_cmpint(messages_read(&target, &call, &messages), ==, 3);
        several[0].msg_hdr.msg_iovlen = UIO_MAXIOV + 1;
        g_assert_cmpint(messages_read(&target, &call, &messages), ==, -EMSGSIZE);
        call.args[2] = 0;
        g_assert_cmpint(messages_read(&target, &call, &messages), ==, 0);
        target_close(&target);
}

/* All lengths that a control message may claim, in lists of all sizes: what is found lies in the list. */
static void test_control(void) {
        struct target target = self();
        union {
                struct cmsghdr header;
                uint8_t bytes[CMSG_SPACE(2) + CMSG_SPACE(4)];
        } list = { .header = { .cmsg_len = CMSG_LEN(2), .cmsg_level = 17, .cmsg_type = 103 } };
        struct cmsghdr second = { .cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
        struct msghdr header = { .msg_control = &list, .msg_controllen = sizeof list };
        struct message message;
        uint16_t value = 0;

        memcpy(CMSG_DATA(&list.header), &(uint16_t) { 1234 }, 2);
        memcpy(list.bytes + CMSG_SPACE(2), &second, sizeof second);
        g_assert_cmpint(read_one(&target, &header, &message), ==, 1);
        g_assert_cmpint(message_control(&message, &target, 17, 103, &value, 2), ==, 1);
        g_assert_cmpuint(value, ==, 1234);
        g_assert_cmpint(message_control(&message, &target, 17, 103, &value, 3), ==, 0);
        g_assert_cmpint(message_control(&message, &target, SOL_SOCKET, SCM_RIGHTS, NULL, 0), ==, 1);
        g_assert_cmpint(message_control(&message, &target, SOL_SOCKET, 7, NULL, 0), ==, 0);
        for (size_t n = 0; n <= sizeof list; n++)
                for (size_t length = 0; length < 2 * sizeof list; length++) {
                        bool possible = n < sizeof second || (length >= sizeof second && length <= n);
                        int r;

                        message.header.msg_controllen = n;
                        list.header.cmsg_len = length;
                        r = message_control(&message, &target, 0, 0, NULL, 0);
                        g_assert_true(possible ? r == 0 || r == -EINVAL : r == -EINVAL);      /* the second may be what cannot be */
                }
        list.header.cmsg_len = SIZE_MAX;
        g_assert_cmpint(message_control(&message, &target, 0, 0, NULL, 0), ==, -EINVAL);
        message.header.msg_controllen = 1 << 20;
        g_assert_cmpint(message_control(&message, &target, 0, 0, NULL, 0), ==, -ENOBUFS);
        message.header = (struct msghdr) { .msg_control = NOWHERE, .msg_controllen = 16 };
        g_assert_cmpint(message_control(&message, &target, 0, 0, NULL, 0), ==, -EFAULT);
        target_close(&target);
}

static void test_what_is_given_back(void) {
        struct target target = self();
        char control[8] = "";
        struct msghdr header = { .msg_control = control, .msg_controllen = sizeof control };
        struct message message;

        g_assert_cmpint(read_one(&target, &header, &message), ==, 1);
        g_assert_cmpint(message_finish(&message, &target, "abc", 4, MSG_TRUNC), ==, 0);
        g_assert_cmpstr(control, ==, "abc");
        g_assert_cmpuint(header.msg_controllen, ==, 4);
        g_assert_cmpint(header.msg_flags, ==, MSG_TRUNC);
        target_close(&target);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/message/pieces", test_pieces);
        g_test_add_func("/message/headers-that-cannot-be", test_headers_that_cannot_be);
        g_test_add_func("/message/write", test_write);
        g_test_add_func("/message/several", test_several);
        g_test_add_func("/message/control", test_control);
        g_test_add_func("/message/what-is-given-back", test_what_is_given_back);
        return g_test_run();
}
