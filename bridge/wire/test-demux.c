/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "demux.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 32768u

static uint64_t credit[8];

static int on_credit(void *userdata, uint32_t stream, uint32_t n_bytes) {
        credit[stream] += n_bytes;
        return 0;
}

static struct demux *make(struct budget *budget) {
        struct demux *demux = NULL;

        memset(credit, 0, sizeof credit);
        g_assert_cmpint(demux_new(&demux, WINDOW, budget, on_credit, NULL), ==, 0);
        for (uint32_t i = 1; i < 4; i++)
                g_assert_cmpint(demux_stream_open(demux, i), ==, 0);
        return demux;
}

static const uint8_t bytes[WIRE_BODY_MAX];

static int begin(struct demux *demux, uint32_t stream, uint32_t size, uint32_t n, struct demux_message *message) {
        const struct frame_content content = {
                .message = { .stream = stream, .size = size, .call = 77, .destination = 5 },
                .bytes = bytes,
                .n_bytes = n,
        };

        return demux_message(demux, &content, message);
}

static int go_on(struct demux *demux, uint32_t stream, uint32_t n, struct demux_message *message) {
        const struct frame_content content = { .message = { .stream = stream }, .bytes = bytes, .n_bytes = n };

        return demux_fragment(demux, &content, message);
}

static void test_interleaved(void) {
        struct budget budget = { .limit = 1 << 20 };
        struct demux *demux = make(&budget);
        struct demux_message message;

        g_assert_cmpint(begin(demux, 1, 3000, 1000, &message), ==, 0);
        g_assert_cmpint(begin(demux, 2, 2000, 1000, &message), ==, 0);
        g_assert_cmpint(go_on(demux, 1, 1000, &message), ==, 0);
        g_assert_cmpint(go_on(demux, 2, 1000, &message), ==, DEMUX_MESSAGE);
        g_assert_true(message.stream == 2 && message.size == 2000 && message.call == 77 && message.destination == 5);
        free(message.data);
        g_assert_cmpint(go_on(demux, 1, 1000, &message), ==, DEMUX_MESSAGE);
        g_assert_true(message.stream == 1 && message.size == 3000);
        free(message.data);
        demux_free(demux);
}

static void test_violations(void) {
        struct budget budget = { .limit = 1 << 20 };
        struct demux *demux = make(&budget);
        struct demux_message message;

        g_assert_cmpint(go_on(demux, 1, 1, &message), ==, FRAME_VIOLATION);             /* of no message */
        g_assert_cmpint(begin(demux, 9, 100, 100, &message), ==, FRAME_VIOLATION);      /* of nobody */
        g_assert_cmpint(begin(demux, 1, 100, 50, &message), ==, 0);
        g_assert_cmpint(begin(demux, 1, 100, 50, &message), ==, FRAME_VIOLATION);       /* within another */
        g_assert_cmpint(go_on(demux, 1, 51, &message), ==, FRAME_VIOLATION);            /* longer than it said */
        g_assert_cmpint(begin(demux, 2, WINDOW + 1, WINDOW + 1, &message), ==, FRAME_VIOLATION);       /* more than its credit */
        g_assert_cmpint(demux_stream_open(demux, 1), ==, -EEXIST);
        g_assert_cmpint(demux_stream_close(demux, 9), ==, -ENOENT);
        demux_free(demux);
}

static void test_window(void) {
        struct budget budget = { .limit = 1 << 20 };
        struct demux *demux = make(&budget);
        struct demux_message message;

        /* Messages that nobody has taken use the window up; taken, they give it back. */
        for (unsigned i = 0; i < WINDOW / 16384; i++) {
                g_assert_cmpint(begin(demux, 1, 16384, 16384, &message), ==, DEMUX_MESSAGE);
                free(message.data);
        }
        g_assert_cmpint(begin(demux, 1, 100, 100, &message), ==, FRAME_VIOLATION);
        g_assert_cmpuint(credit[1], ==, 0);
        g_assert_cmpint(demux_taken(demux, 1, 16384), ==, 0);
        g_assert_cmpuint(credit[1], ==, 16384);
        g_assert_cmpint(begin(demux, 1, 100, 100, &message), ==, DEMUX_MESSAGE);
        free(message.data);
        demux_free(demux);
}

/* What was taken is owed until it is worth a frame, unless a message that has begun cannot end without it. */
static void test_what_is_owed_is_given_when_needed(void) {
        struct budget budget = { .limit = 1 << 20 };
        struct demux *demux = make(&budget);
        struct demux_message message;

        g_assert_cmpint(begin(demux, 1, 5000, 5000, &message), ==, DEMUX_MESSAGE);
        free(message.data);
        g_assert_cmpint(demux_taken(demux, 1, 5000), ==, 0);
        g_assert_cmpuint(credit[1], ==, 0);
        g_assert_cmpint(begin(demux, 1, WINDOW - 5000, 16384, &message), ==, 0);       /* it can end */
        g_assert_cmpuint(credit[1], ==, 0);
        g_assert_cmpint(go_on(demux, 1, WINDOW - 5000 - 16384, &message), ==, DEMUX_MESSAGE);
        free(message.data);
        g_assert_cmpint(begin(demux, 2, 5000, 5000, &message), ==, DEMUX_MESSAGE);
        free(message.data);
        g_assert_cmpint(demux_taken(demux, 2, 5000), ==, 0);
        g_assert_cmpint(begin(demux, 2, WINDOW, 16384, &message), ==, 0);               /* it cannot */
        g_assert_cmpuint(credit[2], ==, 5000);
        g_assert_cmpint(go_on(demux, 2, 16384, &message), ==, DEMUX_MESSAGE);
        free(message.data);
        demux_free(demux);
}

/* A message larger than the window waits for memory; when that is free, its stream gets credit, and others never wait for it. */
static void test_large_ones_wait_for_memory(void) {
        struct budget budget = { .limit = 200000 };
        struct demux *demux = make(&budget);
        struct demux_message first, second;
        uint32_t left = 150000 - 16384;

        g_assert_cmpint(begin(demux, 1, 150000, 16384, &first), ==, 0);
        g_assert_cmpuint(budget.used, ==, 150000);
        g_assert_cmpuint(credit[1], ==, 16384);                 /* it has memory of its own, and may go on at once */
        g_assert_cmpint(begin(demux, 2, 100000, 16384, &second), ==, 0);
        g_assert_cmpint(go_on(demux, 2, 16384, &second), ==, 0);
        g_assert_cmpuint(credit[2], ==, 0);
        g_assert_cmpint(begin(demux, 3, 100, 100, &second), ==, DEMUX_MESSAGE);
        free(second.data);

        for (uint32_t n; left > 0; left -= n) {
                n = MIN(left, 16384);
                g_assert_cmpint(go_on(demux, 1, n, &first), ==, left == n ? DEMUX_MESSAGE : 0);
        }
        free(first.data);
        g_assert_cmpuint(credit[2], ==, 0);
        g_assert_cmpint(demux_taken(demux, 1, 150000), ==, 0);
        g_assert_cmpuint(budget.used, ==, 100000);
        g_assert_cmpuint(credit[2], ==, 2 * 16384);
        demux_free(demux);
        g_assert_cmpuint(budget.used, ==, 0);                   /* also of what never became whole */
}

static void test_close(void) {
        struct budget budget = { .limit = 200000 };
        struct demux *demux = make(&budget);
        struct demux_message message;

        g_assert_cmpint(begin(demux, 1, 150000, 1000, &message), ==, 0);
        g_assert_cmpint(begin(demux, 2, 150000, 16384, &message), ==, 0);       /* waits */
        g_assert_cmpint(begin(demux, 3, 150000, 1000, &message), ==, 0);        /* waits behind it */
        g_assert_cmpint(demux_stream_close(demux, 3), ==, 0);
        g_assert_cmpint(demux_stream_close(demux, 1), ==, 0);
        g_assert_cmpuint(budget.used, ==, 150000);
        g_assert_cmpuint(credit[2], ==, 16384);
        g_assert_cmpint(demux_taken(demux, 1, 100), ==, 0);     /* it has gone meanwhile */
        demux_free(demux);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/demux/interleaved", test_interleaved);
        g_test_add_func("/demux/violations", test_violations);
        g_test_add_func("/demux/window", test_window);
        g_test_add_func("/demux/what-is-owed-is-given-when-needed", test_what_is_owed_is_given_when_needed);
        g_test_add_func("/demux/large-ones-wait-for-memory", test_large_ones_wait_for_memory);
        g_test_add_func("/demux/closing-gives-back", test_close);
        return g_test_run();
}
