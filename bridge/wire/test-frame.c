/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frame.h"

#include <endian.h>
#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

/* Feeds bytes, n_piece at a time, and returns what the last frame_reader_next() said; frames are counted. */
static int feed(struct frame_reader *reader, const void *data, size_t n, size_t n_piece, unsigned *frames, struct frame_content *content) {
        const uint8_t *p = data;
        struct frame frame;
        int r = FRAME_MORE;

        while (n > 0) {
                void *to;
                size_t size, n_now;

                frame_reader_buffer(reader, &to, &size);
                n_now = MIN(MIN(n, n_piece), size);
                memcpy(to, p, n_now);
                frame_reader_commit(reader, n_now);
                p += n_now;
                n -= n_now;
                while ((r = frame_reader_next(reader, &frame)) == 0) {
                        r = frame_parse(&frame, content);
                        if (r != 0)
                                return r;
                        (*frames)++;
                }
                if (r != FRAME_MORE)
                        return r;
        }
        return r;
}

static int parse_one(const struct frame_buffer *buffer, struct frame_content *content) {
        const struct frame frame = {
                .type = le16toh(((const struct wire_head *) (buffer->data + buffer->start))->type),
                .n_body = (uint32_t) (frame_buffer_length(buffer) - sizeof(struct wire_head)),
                .body = buffer->data + buffer->start + sizeof(struct wire_head),
        };

        return frame_parse(&frame, content);
}

static bool says(const struct frame_text *text, const char *expected) {
        return text->n == strlen(expected) && memcmp(text->text, expected, text->n) == 0;
}

static const struct wire_hello hello = {
        .magic = WIRE_MAGIC,
        .version_min = 1,
        .version_max = 3,
        .features = 0x80000001,
        .domain = 7,
        .uuid = { 1, 2, 3 },
        .epoch = UINT64_C(0x1122334455667788),
        .window = WIRE_WINDOW,
        .message_max = WIRE_MESSAGE_MAX,
        .peers_max = 5,
        .names_max = 6,
};

static void append_one_of_each(struct frame_buffer *buffer) {
        const struct wire_message message = { .stream = 3, .destination = 4, .call = 5, .size = 20, .flags = WIRE_MESSAGE_REPLY };

        g_assert_cmpint(frame_append_hello(buffer, &hello), ==, 0);
        g_assert_cmpint(frame_append_peer(buffer, 1, 1, ":1.5"), ==, 0);
        g_assert_cmpint(frame_append_peer_gone(buffer, 1), ==, 0);
        g_assert_cmpint(frame_append_name(buffer, 1, "a.b"), ==, 0);
        g_assert_cmpint(frame_append_name_gone(buffer, "a.b"), ==, 0);
        g_assert_cmpint(frame_append_activatable(buffer, "a.b", true, 1), ==, 0);
        g_assert_cmpint(frame_append_start(buffer, 9, "a.b"), ==, 0);
        g_assert_cmpint(frame_append_result(buffer, WIRE_STARTED, 9, "", ""), ==, 0);
        g_assert_cmpint(frame_append_subscribe(buffer, 2, "type='signal'"), ==, 0);
        g_assert_cmpint(frame_append_unsubscribe(buffer, 2), ==, 0);
        g_assert_cmpint(frame_append_message(buffer, &message, "0123456789", 10), ==, 0);
        g_assert_cmpint(frame_append_fragment(buffer, 3, "0123456789", 10), ==, 0);
        g_assert_cmpint(frame_append_result(buffer, WIRE_REFUSED, 9, "a.b", "why"), ==, 0);
        g_assert_cmpint(frame_append_credit(buffer, 3, 100), ==, 0);
        g_assert_cmpint(frame_append_ping(buffer, WIRE_PING, 1), ==, 0);
        g_assert_cmpint(frame_append_ping(buffer, WIRE_PONG, 1), ==, 0);
        g_assert_cmpint(frame_append_goodbye(buffer, WIRE_GOODBYE_STOPPING, "bye"), ==, 0);
        g_assert_cmpint(frame_append_descriptors(buffer, 1, &(const struct wire_descriptor) { .id = 1, .kind = 1 }, 1), ==, 0);
        g_assert_cmpint(frame_append_data(buffer, 1, WIRE_SENDERS, "x", 1), ==, 0);
        g_assert_cmpint(frame_append_data_credit(buffer, 1, WIRE_RECEIVERS, 9), ==, 0);
        g_assert_cmpint(frame_append_data_end(buffer, 1, WIRE_SENDERS, WIRE_DATA_HALF), ==, 0);
        g_assert_cmpint(frame_append_data_stop(buffer, 1, WIRE_SENDERS), ==, 0);
}

static void test_any_pieces(void) {
        struct frame_buffer buffer = FRAME_BUFFER_NULL;

        append_one_of_each(&buffer);
        for (size_t n_piece = 1; n_piece < 40; n_piece++) {
                struct frame_reader *reader = NULL;
                struct frame_content content;
                unsigned n = 0;

                g_assert_cmpint(frame_reader_new(&reader), ==, 0);
                g_assert_cmpint(feed(reader, buffer.data, frame_buffer_length(&buffer), n_piece, &n, &content), ==, FRAME_MORE);
                g_assert_cmpuint(n, ==, _WIRE_TYPE_N - 1);
                frame_reader_free(reader);
        }
        frame_buffer_done(&buffer);
}

static void test_body_limit(void) {
        struct frame_buffer buffer = FRAME_BUFFER_NULL;
        uint8_t *body = g_malloc0(WIRE_BODY_MAX + 1);
        struct frame_reader *reader = NULL;
        struct frame_content content;
        struct wire_head head = { .n_body = htole32(WIRE_BODY_MAX + 1), .type = htole16(999) };
        unsigned n = 0;

        g_assert_cmpint(frame_append(&buffer, 999, body, WIRE_BODY_MAX + 1, NULL, 0, NULL, 0), ==, -EMSGSIZE);
        g_assert_cmpint(frame_append(&buffer, 999, body, WIRE_BODY_MAX, NULL, 0, NULL, 0), ==, 0);
        g_assert_cmpint(frame_append(&buffer, 999, body, WIRE_BODY_MAX, NULL, 0, NULL, 0), ==, 0);
        g_assert_cmpint(frame_reader_new(&reader), ==, 0);
        g_assert_cmpint(feed(reader, buffer.data, frame_buffer_length(&buffer), 1000, &n, &content), ==, FRAME_MORE);
        g_assert_cmpuint(n, ==, 2);
        g_assert_cmpint(feed(reader, &head, sizeof head, sizeof head, &n, &content), ==, FRAME_VIOLATION);
        frame_reader_free(reader);
        frame_buffer_done(&buffer);
        g_free(body);
}

static void test_newer_peer(void) {
        struct frame_buffer buffer = FRAME_BUFFER_NULL;
        const struct wire_peer peer = { .id = htole32(8), .n_name = htole16(4) };
        struct frame_content content;

        /* Types that come later, and bytes after what a body has today. */
        g_assert_cmpint(frame_append(&buffer, _WIRE_TYPE_N, "anything", 8, NULL, 0, NULL, 0), ==, 0);
        g_assert_cmpint(parse_one(&buffer, &content), ==, 0);
        frame_buffer_done(&buffer);
        g_assert_cmpint(frame_append(&buffer, WIRE_PEER, &peer, sizeof peer, ":1.5", 4, "more", 4), ==, 0);
        g_assert_cmpint(parse_one(&buffer, &content), ==, 0);
        g_assert_true(says(&content.text, ":1.5"));
        frame_buffer_done(&buffer);
}

static void test_values_survive(void) {
        struct frame_buffer buffer = FRAME_BUFFER_NULL;
        const struct wire_message message = { .stream = 3, .destination = 4, .call = UINT64_MAX, .size = 20, .flags = 1 };
        struct frame_content content;

        g_assert_cmpint(frame_append_hello(&buffer, &hello), ==, 0);
        g_assert_cmpint(parse_one(&buffer, &content), ==, 0);
        g_assert_cmpmem(&content.hello, sizeof hello, &hello, sizeof hello);
        frame_buffer_done(&buffer);
        g_assert_cmpint(frame_append_message(&buffer, &message, "0123456789", 10), ==, 0);
        g_assert_cmpint(parse_one(&buffer, &content), ==, 0);
        g_assert_cmpmem(&content.message, sizeof message, &message, sizeof message);
        g_assert_cmpmem(content.bytes, content.n_bytes, "0123456789", 10);
        frame_buffer_done(&buffer);
        g_assert_cmpint(frame_append_result(&buffer, WIRE_REFUSED, 77, "a.b", "why"), ==, 0);
        g_assert_cmpint(parse_one(&buffer, &content), ==, 0);
        g_assert_cmpuint(content.tag, ==, 77);
        g_assert_true(says(&content.error, "a.b") && says(&content.text, "why"));
        frame_buffer_done(&buffer);
}

static void test_descriptors_survive(void) {
        const struct wire_descriptor descriptors[] = {
                { .id = 7, .kind = WIRE_PIPE_READER },
                { .id = 0x12345678, .kind = WIRE_COPY_FILE, .size = UINT64_C(0x123456789a), .offset = 99 },
        };
        struct frame_buffer buffer = FRAME_BUFFER_NULL;
        struct wire_descriptor read;
        struct frame_content content;

        g_assert_cmpint(frame_append_descriptors(&buffer, 5, descriptors, 2), ==, 0);
        g_assert_cmpint(parse_one(&buffer, &content), ==, 0);
        g_assert_cmpuint(content.data.stream, ==, 5);
        g_assert_cmpuint(content.data.n, ==, 2);
        for (unsigned i = 0; i < 2; i++) {
                read = frame_descriptor(&content, i);
                g_assert_cmpmem(&read, sizeof read, &descriptors[i], sizeof descriptors[i]);
        }
        frame_buffer_done(&buffer);
        g_assert_cmpint(frame_append_data_end(&buffer, 7, WIRE_RECEIVERS, WIRE_DATA_FAILED), ==, 0);
        g_assert_cmpint(parse_one(&buffer, &content), ==, 0);
        g_assert_true(content.data.id == 7 && content.data.is_receivers && content.data.reason == WIRE_DATA_FAILED);
        frame_buffer_done(&buffer);
}

/* Each frame, cut short by one byte or more, is a violation and never half understood. */
static void test_truncated(void) {
        struct frame_buffer buffer = FRAME_BUFFER_NULL;
        size_t at = 0;

        append_one_of_each(&buffer);
        while (at < frame_buffer_length(&buffer)) {
                struct wire_head head;
                struct frame_content content;
                struct frame frame;
                uint32_t whole;

                memcpy(&head, buffer.data + at, sizeof head);
                whole = le32toh(head.n_body);
                for (uint32_t n = 0; n < whole; n++) {
                        uint8_t *copy = g_memdup2(buffer.data + at + sizeof head, n ? n : 1);  /* so that ASan sees what is behind it */

                        frame = (struct frame) { .type = le16toh(head.type), .n_body = n, .body = copy };
                        if (frame.type != WIRE_MESSAGE && frame.type != WIRE_FRAGMENT)
                                g_assert_cmpint(frame_parse(&frame, &content), ==, FRAME_VIOLATION);
                        else if (n <= (frame.type == WIRE_MESSAGE ? sizeof(struct wire_message) : sizeof(struct wire_fragment)))
                                g_assert_cmpint(frame_parse(&frame, &content), ==, FRAME_VIOLATION);
                        g_free(copy);
                }
                at += sizeof head + whole;
        }
        frame_buffer_done(&buffer);
}

static void test_violations(void) {
        struct frame_buffer buffer = FRAME_BUFFER_NULL;
        struct wire_message message = { .stream = 3, .size = 20 };
        struct wire_hello wrong;
        struct frame_content content;

#define REFUSED(append)                                                                                                                 \
        do {                                                                                                                            \
                g_assert_cmpint(append, ==, 0);                                                                                         \
                g_assert_cmpint(parse_one(&buffer, &content), ==, FRAME_VIOLATION);                                                     \
                frame_buffer_done(&buffer);                                                                                             \
        } while (0)

        REFUSED(frame_append_peer(&buffer, 0, 0, ":1.5"));
        REFUSED(frame_append_peer(&buffer, 1, 0, ""));
        REFUSED(frame_append_name(&buffer, 0, "a.b"));
        REFUSED(frame_append_message(&buffer, &message, "", 0));
        REFUSED(frame_append_message(&buffer, &message, "012345678901234567890", 21));
        REFUSED(frame_append_fragment(&buffer, 1, "", 0));
        REFUSED(frame_append_credit(&buffer, 1, 0));
        REFUSED(frame_append_result(&buffer, WIRE_REFUSED, 1, "", "an error without a name"));
        REFUSED(frame_append_descriptors(&buffer, 1, NULL, 0));
        REFUSED(frame_append_data(&buffer, 1, WIRE_SENDERS, "", 0));
        REFUSED(frame_append_data(&buffer, 0, WIRE_SENDERS, "x", 1));
        REFUSED(frame_append_data(&buffer, 1, 2, "x", 1));
        REFUSED(frame_append_data_credit(&buffer, 1, WIRE_SENDERS, 0));
        message.size = WIRE_MESSAGE_MIN - 1;
        REFUSED(frame_append_message(&buffer, &message, "0", 1));
        message.size = WIRE_MESSAGE_MAX + 1;
        REFUSED(frame_append_message(&buffer, &message, "0", 1));
        wrong = hello;
        wrong.magic++;
        REFUSED(frame_append_hello(&buffer, &wrong));
        wrong = hello;
        wrong.version_min = 4;
        REFUSED(frame_append_hello(&buffer, &wrong));
        wrong = hello;
        wrong.window = WIRE_FRAGMENT_MAX - 1;
        REFUSED(frame_append_hello(&buffer, &wrong));
        wrong.window = WIRE_WINDOW_MAX + 1;
        REFUSED(frame_append_hello(&buffer, &wrong));
        g_assert_cmpint(frame_append(&buffer, WIRE_PEER, "\1\0\0\0\0\0\4\0:1\0005", 12, NULL, 0, NULL, 0), ==, 0);
        g_assert_cmpint(parse_one(&buffer, &content), ==, FRAME_VIOLATION);     /* a null byte in a name */
        frame_buffer_done(&buffer);
}

static void test_long_texts(void) {
        struct frame_buffer buffer = FRAME_BUFFER_NULL;
        g_autofree char *name = g_strnfill(WIRE_NAME_MAX + 1, 'a');
        g_autofree char *text = g_strnfill(WIRE_TEXT_MAX - 1, 'a');
        g_autofree char *long_text = g_strconcat(text, "\303\244", NULL);
        struct frame_content content;

        g_assert_cmpint(frame_append_name_gone(&buffer, name), ==, -EMSGSIZE);
        g_assert_cmpint(frame_append_goodbye(&buffer, WIRE_GOODBYE_STOPPING, long_text), ==, 0);
        g_assert_cmpint(parse_one(&buffer, &content), ==, 0);
        g_assert_true(says(&content.text, text));       /* and not half of the last character */
        frame_buffer_done(&buffer);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/frame/comes-in-any-pieces", test_any_pieces);
        g_test_add_func("/frame/body-one-over-the-limit-is-a-violation", test_body_limit);
        g_test_add_func("/frame/newer-peer-is-understood", test_newer_peer);
        g_test_add_func("/frame/values-survive", test_values_survive);
        g_test_add_func("/frame/descriptors-survive", test_descriptors_survive);
        g_test_add_func("/frame/truncated-is-a-violation", test_truncated);
        g_test_add_func("/frame/violations", test_violations);
        g_test_add_func("/frame/long-texts-are-cut-and-names-are-not", test_long_texts);
        return g_test_run();
}
