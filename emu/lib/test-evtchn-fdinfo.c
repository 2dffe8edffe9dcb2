/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an epoll set watches: lines as kernels write them, lines that are none, and this machine's kernel. */

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "evtchn-fdinfo.h"

static void test_lines(void) {
        static const struct {
                const char *line;
                int fd;
                uint64_t data;
        } lines[] = {
                { "tfd:        5 events:        0 data: 78656e656d756400  pos:0 ino:8 sdev:9\n", 5, UINT64_C(0x78656e656d756400) },
                { "tfd:       12 events: 80000001 data:               2a  pos:0 ino:40e sdev:f\n", 12, 42 },
                { "tfd: 2147483647 events: 1f data: ffffffffffffffff\n", 2147483647, UINT64_MAX },
                { "tfd:        0 events:       19 data:                0\n", 0, 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                struct evtchn_watch watch;

                g_assert_true(evtchn_watch_parse(lines[i].line, &watch));
                g_assert_cmpint(watch.fd, ==, lines[i].fd);
                g_assert_cmpuint(watch.data, ==, lines[i].data);
        }
}

static void test_other_lines(void) {
        static const char *const lines[] = {
                "", "\n", "pos:\t0\n", "flags:\t02\n", "mnt_id:\t15\n", "eventfd-count:                3\n", "tfd:\n",
                "tfd: events: 1 data: 1\n", "tfd:        5 events:       19\n", "tfd:       -1 events:       19 data: 1\n",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
                g_assert_false(evtchn_watch_parse(lines[i], &(struct evtchn_watch) {}));
}

static void test_kernel(void) {
        struct evtchn_watch *watches;
        int epoll, fds[100];
        size_t n;

        epoll = epoll_create1(EPOLL_CLOEXEC);
        g_assert_cmpint(evtchn_watches_read(epoll, &watches, &n), ==, 0);
        g_assert_cmpuint(n, ==, 0);
        free(watches);

        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
                struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = UINT64_C(0xabc000000000) + i };

                fds[i] = eventfd(0, EFD_CLOEXEC);
                g_assert_cmpint(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event), ==, 0);
        }

        g_assert_cmpint(evtchn_watches_read(epoll, &watches, &n), ==, 0);
        g_assert_cmpuint(n, ==, G_N_ELEMENTS(fds));
        for (size_t i = 0; i < n; i++) {
                g_assert_cmpuint(watches[i].data - UINT64_C(0xabc000000000), <, G_N_ELEMENTS(fds));
                g_assert_cmpint(fds[watches[i].data - UINT64_C(0xabc000000000)], ==, watches[i].fd);
        }
        free(watches);

        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
                close(fds[i]);
        close(epoll);
        g_assert_cmpint(evtchn_watches_read(epoll, &watches, &n), ==, -EBADF);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/evtchn-fdinfo/lines-about-watches", test_lines);
        g_test_add_func("/evtchn-fdinfo/other-lines-are-none", test_other_lines);
        g_test_add_func("/evtchn-fdinfo/what-this-kernel-says", test_kernel);
        return g_test_run();
}
