/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Transfers, one at a time and by io_uring: the same results, and a ring that does nothing else. */

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transfer.h"

static void run_plain(struct transfers *none, struct transfer *list, size_t n) {
        for (size_t i = 0; i < n; i++)
                transfer_run(&list[i]);
}

static void check(struct transfers *transfers, void (*run)(struct transfers *, struct transfer *, size_t)) {
        char out[] = "one piece and another", in[64] = "";
        struct transfer list[5] = {};
        int fds[2], ended[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), ==, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ended), ==, 0);
        close(ended[1]);
        for (int i = 0; i < 5; i++)
                list[i] = (struct transfer) { .fd = fds[0], .pieces = { { in, sizeof in } }, .n_pieces = 1 };
        list[0] = (struct transfer) { .fd = fds[0], .send = true, .pieces = { { out, 9 }, { out + 9, 12 } }, .n_pieces = 2 };
        list[2].fd = ended[0];
        list[3] = (struct transfer) { .fd = ended[0], .send = true, .pieces = { { out, 9 } }, .n_pieces = 1 };
        list[4].fd = -1;
        run(transfers, list, 5);
        g_assert_cmpint(list[0].result, ==, 21);
        g_assert_cmpint(list[1].result, ==, -EAGAIN);
        g_assert_cmpint(list[2].result, ==, 0);
        g_assert_cmpint(list[3].result, ==, -EPIPE);
        g_assert_cmpint(list[4].result, ==, -EBADF);
        list[1].fd = fds[1];
        run(transfers, &list[1], 1);
        g_assert_cmpint(list[1].result, ==, 21);
        g_assert_cmpstr(in, ==, out);
        close(fds[0]);
        close(fds[1]);
        close(ended[0]);
}

static void test_plain(void) {
        check(NULL, run_plain);
}

static void test_uring(void) {
        struct transfers *transfers;
        int r = transfers_new(&transfers);

        if (r < 0) {                    /* as with a kernel that does not have it, or a container that does not let it be used */
                g_assert_true(r == -ENOSYS || r == -EPERM || r == -EACCES || r == -EINVAL);
                return;
        }
        for (int i = 0; i < 100; i++)
                check(transfers, transfers_run);
        transfers_free(transfers);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/transfer/plain", test_plain);
        g_test_add_func("/transfer/uring", test_uring);
        return g_test_run();
}
