/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>
#include <string.h>

#include <glib.h>
#include <json-c/json.h>

#include "qmp-message.h"

static void feed(struct qmp_reader *reader, const char *text, size_t n) {
        while (n > 0) {
                char *data;
                size_t room;

                g_assert_cmpint(qmp_reader_buffer(reader, &data, &room), ==, 0);
                if (room > n)
                        room = n;
                memcpy(data, text, room);
                qmp_reader_commit(reader, room);
                text += room;
                n -= room;
        }
}

static struct qmp_reader *make(void) {
        struct qmp_reader *reader;

        g_assert_cmpint(qmp_reader_new(&reader), ==, 0);
        return reader;
}

static const char all[] =
        "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n"
        "\r\n"
        "{\"return\": {\"status\": \"running\"}, \"id\": 1}\r\n"
        "{\"timestamp\": {}, \"event\": \"RESET\", \"data\": {\"guest\": true}}\n"
        "{\"event\": \"STOP\", \"unknown\": [1, 2]}\n"
        "{\"id\": 2, \"error\": {\"class\": \"GenericError\", \"desc\": \"no \\u00e4\"}}\r\n";

static void assert_all(struct qmp_reader *reader, size_t piece) {
        static const enum qmp_kind kinds[] = { QMP_GREETING, QMP_RETURN, QMP_EVENT, QMP_EVENT, QMP_ERROR };
        struct qmp_message message, last = {};
        size_t n = 0;

        for (size_t i = 0; i < strlen(all); i += piece) {
                feed(reader, all + i, MIN(piece, strlen(all) - i));
                for (int r; (r = qmp_reader_next(reader, &message)) != QMP_MORE; n++) {
                        g_assert_cmpint(r, ==, 0);
                        g_assert_cmpuint(n, <, G_N_ELEMENTS(kinds));
                        g_assert_cmpint(message.kind, ==, kinds[n]);
                        json_object_put(last.root);
                        last = message;
                }
        }
        g_assert_cmpuint(n, ==, G_N_ELEMENTS(kinds));
        g_assert_cmpuint(last.id, ==, 2);
        g_assert_cmpstr(last.text, ==, "no ä");
        json_object_put(last.root);
}

static void test_pieces(void) {
        for (size_t piece = 1; piece <= strlen(all); piece++) {
                struct qmp_reader *reader = make();

                assert_all(reader, piece);
                qmp_reader_free(reader);
        }
}

static void test_values(void) {
        struct qmp_reader *reader = make();
        struct qmp_message message;
        struct json_object *guest;

        feed(reader, "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true}}\n", 48);
        g_assert_cmpint(qmp_reader_next(reader, &message), ==, 0);
        g_assert_cmpstr(message.name, ==, "SHUTDOWN");
        g_assert_true(json_object_object_get_ex(message.value, "guest", &guest) && json_object_get_boolean(guest));
        json_object_put(message.root);
        qmp_reader_free(reader);
}

static void test_violations(void) {
        static const char *const lines[] = {
                "hello", "{", "[]", "1", "null", "{}", "{\"return\": {}}", "{\"return\": {}, \"id\": \"1\"}", "{\"return\": {}, \"id\": 0}",
                "{\"error\": {}, \"id\": 1}", "{\"error\": {\"desc\": 1}, \"id\": 1}", "{\"error\": {\"desc\": \"x\"}}", "{\"event\": 1}",
                "{\"event\": \"STOP\"} x", "{\"event\": \"STOP\"}{\"event\": \"STOP\"}", "{'event': 'STOP'}", "{\"event\": \"\xff\"}",
                "{\"event\": \"A\\u0000B\"}", "{\"QMP\": []}",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                struct qmp_reader *reader = make();
                struct qmp_message message;

                g_test_message("%s", lines[i]);
                feed(reader, lines[i], strlen(lines[i]));
                g_assert_cmpint(qmp_reader_next(reader, &message), ==, QMP_MORE);
                feed(reader, "\n{\"event\": \"STOP\"}\n", 19);
                g_assert_cmpint(qmp_reader_next(reader, &message), ==, QMP_VIOLATION);
                g_assert_cmpint(qmp_reader_next(reader, &message), ==, QMP_VIOLATION);
                qmp_reader_free(reader);
        }
}

static void test_nul(void) {
        struct qmp_reader *reader = make();
        struct qmp_message message;

        feed(reader, "{\"event\": \"STOP\"}\0x\n", 20);
        g_assert_cmpint(qmp_reader_next(reader, &message), ==, QMP_VIOLATION);
        qmp_reader_free(reader);
}

static void test_depth(void) {
        for (int extra = 0; extra < 2; extra++) {
                struct qmp_reader *reader = make();
                g_autoptr(GString) line = g_string_new("{\"id\": 1, \"return\": ");
                int depth = QMP_DEPTH_MAX - 1 + extra;  /* in an object */
                struct qmp_message message;
                int r;

                for (int i = 0; i < depth; i++)
                        g_string_append_c(line, '[');
                for (int i = 0; i < depth; i++)
                        g_string_append_c(line, ']');
                g_string_append(line, "}\n");
                feed(reader, line->str, line->len);
                r = qmp_reader_next(reader, &message);
                g_assert_cmpint(r, ==, extra ? QMP_VIOLATION : 0);
                if (r == 0)
                        json_object_put(message.root);
                qmp_reader_free(reader);
        }
}

static void assert_length(size_t n, int expected) {
        struct qmp_reader *reader = make();
        g_autofree char *line = g_malloc(n + 1);
        static const char begin[] = "{\"event\": \"", end[] = "\"}";
        struct qmp_message message;

        memset(line, 'x', n);
        memcpy(line, begin, sizeof begin - 1);
        memcpy(line + n - (sizeof end - 1), end, sizeof end - 1);
        line[n] = '\n';
        feed(reader, line, n + 1);
        g_assert_cmpint(qmp_reader_next(reader, &message), ==, expected);
        if (expected == 0)
                json_object_put(message.root);
        qmp_reader_free(reader);
}

static void test_length(void) {
        assert_length(QMP_MESSAGE_MAX - 1, 0);
        assert_length(QMP_MESSAGE_MAX, QMP_VIOLATION);
}

static void test_endless(void) {
        struct qmp_reader *reader = make();
        struct qmp_message message;
        size_t n = 0;
        int r;

        do {
                feed(reader, "xxxxxxxxxxxxxxxx", 16);
                n += 16;
                r = qmp_reader_next(reader, &message);
        } while (r == QMP_MORE && n <= QMP_MESSAGE_MAX);
        g_assert_cmpint(r, ==, QMP_VIOLATION);
        g_assert_cmpuint(n, ==, QMP_MESSAGE_MAX);
        qmp_reader_free(reader);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/qmp-message/in-pieces-of-any-size", test_pieces);
        g_test_add_func("/qmp-message/values", test_values);
        g_test_add_func("/qmp-message/what-is-none-is-a-violation", test_violations);
        g_test_add_func("/qmp-message/nul-is-a-violation", test_nul);
        g_test_add_func("/qmp-message/one-level-too-deep-is-a-violation", test_depth);
        g_test_add_func("/qmp-message/one-byte-too-long-is-a-violation", test_length);
        g_test_add_func("/qmp-message/a-line-without-end-is-a-violation", test_endless);
        return g_test_run();
}
