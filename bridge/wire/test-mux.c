/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "mux.h"

#include <endian.h>
#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

static uint64_t n_sent, n_messages_sent;

static void on_sent(void *userdata, void *owner, uint32_t size) {
        n_sent += size;
        n_messages_sent++;
}

static struct mux *make(uint32_t window) {
        struct mux *mux = NULL;

        n_sent = n_messages_sent = 0;
        g_assert_cmpint(mux_new(&mux, on_sent, NULL), ==, 0);
        if (window)
                mux_set_window(mux, window);
        return mux;
}

static int send_bytes(struct mux *mux, uint32_t stream, uint32_t size) {
        const struct mux_message message = { .data = g_malloc0(size), .size = size };

        return mux_send(mux, stream, &message);
}

/* The next frame, one at a time. Returns its type, 0 if there is none. */
static uint16_t next(struct mux *mux, struct frame_content *content) {
        static struct frame_buffer out;
        struct wire_head head;
        struct frame frame;

        frame_buffer_take(&out, frame_buffer_length(&out));
        g_assert_cmpint(mux_fill(mux, &out, 1), ==, 0);
        if (frame_buffer_length(&out) == 0) {
                frame_buffer_done(&out);
                return 0;
        }
        memcpy(&head, out.data + out.start, sizeof head);
        frame = (struct frame) {
                .type = le16toh(head.type),
                .n_body = le32toh(head.n_body),
                .body = out.data + out.start + sizeof head,
        };
        g_assert_cmpint(frame_parse(&frame, content), ==, 0);
        return frame.type;
}

static void test_order_of_a_stream(void) {
        struct mux *mux = make(WIRE_WINDOW_MAX);
        struct frame_content content;
        uint32_t got[3] = { 0 }, n = 0;

        g_assert_cmpint(mux_stream_open(mux, 1), ==, 0);
        for (uint32_t i = 0; i < 3; i++)
                g_assert_cmpint(send_bytes(mux, 1, 100 + i * 40000), ==, 0);    /* small, then large ones */
        for (uint16_t type; (type = next(mux, &content));)
                if (type == WIRE_MESSAGE)
                        got[n++] = content.message.size;
        g_assert_cmpuint(n, ==, 3);
        g_assert_true(got[0] == 100 && got[1] == 40100 && got[2] == 80100);
        g_assert_cmpuint(n_messages_sent, ==, 3);
        g_assert_cmpuint(mux_queued(mux), ==, 0);
        mux_free(mux);
}

/* A ping that is sent while 64 MiB are on their way is the next frame. */
static void test_control_first(void) {
        struct mux *mux = make(WIRE_WINDOW_MAX);
        struct frame_content content;

        mux_stream_open(mux, 1);
        send_bytes(mux, 1, 64 << 20);
        g_assert_cmpint(next(mux, &content), ==, WIRE_MESSAGE);
        g_assert_cmpint(frame_append_ping(mux_control(mux), WIRE_PING, 1), ==, 0);
        g_assert_cmpint(next(mux, &content), ==, WIRE_PING);
        g_assert_cmpint(next(mux, &content), ==, WIRE_FRAGMENT);
        mux_free(mux);
}

static void test_small_before_bulk(void) {
        struct mux *mux = make(WIRE_WINDOW_MAX);
        struct frame_content content;
        unsigned n_bulk = 0, n_small = 0;

        mux_stream_open(mux, 1);
        send_bytes(mux, 1, 1 << 20);
        next(mux, &content);
        for (uint32_t i = 2; i < 102; i++) {
                mux_stream_open(mux, i);
                send_bytes(mux, i, 100);
        }
        for (unsigned i = 0; i < 64; i++) {
                n_small += next(mux, &content) == WIRE_MESSAGE;
                n_bulk = i + 1 - n_small;
        }
        /* The small ones go first, and the large one moves on. */
        g_assert_cmpuint(n_small, >, 55);
        g_assert_cmpuint(n_bulk, >, 0);
        mux_free(mux);
}

static void test_bulk_takes_turns(void) {
        struct mux *mux = make(WIRE_WINDOW_MAX);
        struct frame_content content;
        uint64_t n[4] = { 0 };

        for (uint32_t i = 1; i < 4; i++) {
                mux_stream_open(mux, i);
                send_bytes(mux, i, 4 << 20);
        }
        for (unsigned i = 0; i < 300; i++) {
                next(mux, &content);
                n[content.message.stream] += content.n_bytes;
        }
        g_assert_cmpuint(n[1], ==, n[2]);
        g_assert_cmpuint(n[2], ==, n[3]);
        mux_free(mux);
}

static void test_no_more_than_credit(void) {
        struct mux *mux = make(WIRE_FRAGMENT_MAX);
        struct frame_content content;
        uint64_t n = 0;

        mux_stream_open(mux, 1);
        send_bytes(mux, 1, 100000);
        while (next(mux, &content))
                n += content.n_bytes;
        g_assert_cmpuint(n, ==, WIRE_FRAGMENT_MAX);
        g_assert_false(mux_ready(mux));
        g_assert_cmpint(mux_credit(mux, 1, 10), ==, 0);
        g_assert_cmpint(next(mux, &content), ==, WIRE_FRAGMENT);
        g_assert_cmpuint(content.n_bytes, ==, 10);
        g_assert_cmpint(mux_credit(mux, 1, WIRE_FRAGMENT_MAX + 1), ==, FRAME_VIOLATION);
        g_assert_cmpint(mux_credit(mux, 1, UINT32_MAX), ==, FRAME_VIOLATION);
        g_assert_cmpint(mux_credit(mux, 99, 1), ==, 0);         /* it may be on its way while the stream ends */
        mux_free(mux);
}

static void test_waits_for_hello(void) {
        struct mux *mux = make(0);
        struct frame_content content;

        mux_stream_open(mux, 1);
        send_bytes(mux, 1, 100);
        g_assert_false(mux_ready(mux));
        g_assert_cmpint(next(mux, &content), ==, 0);
        mux_set_window(mux, WIRE_WINDOW);
        g_assert_cmpint(next(mux, &content), ==, WIRE_MESSAGE);
        mux_free(mux);
}

/* That a peer has gone is told after what it has sent. */
static void test_close_after_messages(void) {
        struct mux *mux = make(WIRE_WINDOW);
        struct frame_content content;

        mux_stream_open(mux, 1);
        send_bytes(mux, 1, 30000);
        g_assert_cmpint(mux_stream_close(mux, 1), ==, 0);
        g_assert_cmpint(send_bytes(mux, 1, 100), ==, -ENOENT);
        g_assert_cmpint(next(mux, &content), ==, WIRE_MESSAGE);
        g_assert_cmpint(next(mux, &content), ==, WIRE_FRAGMENT);
        g_assert_cmpint(next(mux, &content), ==, WIRE_PEER_GONE);
        g_assert_cmpint(next(mux, &content), ==, 0);
        g_assert_cmpuint(n_sent, ==, 30100);                    /* what is refused is free as well */
        mux_free(mux);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/mux/a-stream-keeps-its-order", test_order_of_a_stream);
        g_test_add_func("/mux/a-ping-passes-64-MiB", test_control_first);
        g_test_add_func("/mux/small-messages-pass-large-ones-and-those-move", test_small_before_bulk);
        g_test_add_func("/mux/large-messages-take-turns", test_bulk_takes_turns);
        g_test_add_func("/mux/no-more-is-sent-than-credit", test_no_more_than_credit);
        g_test_add_func("/mux/nothing-is-sent-before-the-hello", test_waits_for_hello);
        g_test_add_func("/mux/gone-comes-after-the-messages", test_close_after_messages);
        return g_test_run();
}
