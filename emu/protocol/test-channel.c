/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The two words of an event channel: every row of the table in channel.h, and no event lost between two threads. */

#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "channel.h"

static uint64_t taken(int fd) {
        uint64_t n;

        return read(fd, &n, sizeof n) == sizeof n ? n : 0;
}

static void test_table(void) {
        static const struct {
                uint32_t before, notified, delivered, unmasked;
                bool notify_wakes, delivers, unmask_wakes;
        } rows[] = {
                { 0, CHANNEL_PENDING, 0, 0, true, false, false },
                { CHANNEL_PENDING, CHANNEL_PENDING, CHANNEL_MASKED, CHANNEL_PENDING, false, true, false },
                { CHANNEL_MASKED, CHANNEL_PENDING | CHANNEL_MASKED, CHANNEL_MASKED, 0, false, false, false },
                { CHANNEL_PENDING | CHANNEL_MASKED, CHANNEL_PENDING | CHANNEL_MASKED, CHANNEL_PENDING | CHANNEL_MASKED, CHANNEL_PENDING,
                  false, false, true },
        };
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                _Atomic uint32_t word = rows[i].before;

                g_assert_cmpint(channel_notify(&word, fd), ==, 0);
                g_assert_cmpuint(word, ==, rows[i].notified);
                g_assert_cmpuint(taken(fd), ==, rows[i].notify_wakes);

                word = rows[i].before;
                g_assert_cmpint(channel_deliver(&word), ==, rows[i].delivers);
                g_assert_cmpuint(word, ==, rows[i].delivered);
                g_assert_cmpuint(taken(fd), ==, 0);

                word = rows[i].before;
                g_assert_cmpint(channel_unmask(&word, fd), ==, 0);
                g_assert_cmpuint(word, ==, rows[i].unmasked);
                g_assert_cmpuint(taken(fd), ==, rows[i].unmask_wakes);
        }
        close(fd);
}

static void test_full_eventfd_does_not_block(void) {
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        const uint64_t full = UINT64_MAX - 1;
        _Atomic uint32_t word = 0;

        g_assert_cmpint(write(fd, &full, sizeof full), ==, sizeof full);
        g_assert_cmpint(channel_notify(&word, fd), ==, 0);
        g_assert_cmpuint(word, ==, CHANNEL_PENDING);
        close(fd);
}

struct stream {
        _Atomic uint32_t word, sent;
        int fd;
};

#define N_EVENTS 200000u

static void *sender(void *data) {
        struct stream *s = data;

        for (uint32_t i = 1; i <= N_EVENTS; i++) {
                s->sent = i;
                g_assert_cmpint(channel_notify(&s->word, s->fd), ==, 0);
        }
        return NULL;
}

/* The receiver that has seen everything sent before its last event is never left asleep: it sees the last one sent. */
static void test_no_lost_wakeup(void) {
        struct stream s = { .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
        uint32_t seen = 0;
        pthread_t thread;

        g_assert_cmpint(pthread_create(&thread, NULL, sender, &s), ==, 0);
        while (seen < N_EVENTS) {
                struct pollfd p = { .fd = s.fd, .events = POLLIN };

                g_assert_cmpint(poll(&p, 1, 60000), ==, 1);
                taken(s.fd);
                if (!channel_deliver(&s.word))
                        continue;
                seen = s.sent;
                g_assert_cmpint(channel_unmask(&s.word, s.fd), ==, 0);
        }
        g_assert_cmpint(pthread_join(thread, NULL), ==, 0);
        close(s.fd);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/channel/every-row-of-the-table", test_table);
        g_test_add_func("/channel/full-eventfd-does-not-block", test_full_eventfd_does_not_block);
        g_test_add_func("/channel/no-lost-wakeup", test_no_lost_wakeup);
        return g_test_run();
}
