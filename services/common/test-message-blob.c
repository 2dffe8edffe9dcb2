/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Message blobs: every type there and back, and bytes that are no blob. */

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "message-blob.h"

#define AUTO_MESSAGE __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message

/* A bus that is good for making messages: nobody is at the other end. */
static sd_bus *bus;

static void make_bus(void) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), ==, 0);
        g_assert_cmpint(sd_bus_new(&bus), ==, 0);
        g_assert_cmpint(sd_bus_set_fd(bus, fds[0], fds[0]), ==, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        close(fds[1]);
}

static sd_bus_message *new_message(void) {
        sd_bus_message *message;

        g_assert_cmpint(sd_bus_message_new(bus, &message, SD_BUS_MESSAGE_METHOD_CALL), >=, 0);
        return message;
}

static char *dump(sd_bus_message *message) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        g_assert_cmpint(sd_bus_message_rewind(message, true), >=, 0);
        g_assert_cmpint(sd_bus_message_dump(message, f, SD_BUS_MESSAGE_DUMP_SUBTREE_ONLY), >=, 0);
        fclose(f);
        return text;
}

static sd_bus_message *copy(sd_bus_message *from) {
        g_autofree void *data = NULL;
        sd_bus_message *to = new_message();
        size_t size;

        g_assert_cmpint(message_blob_write(from, &data, &size), ==, 0);
        g_assert_cmpint(message_blob_read(to, data, size), ==, 0);
        g_assert_cmpint(sd_bus_message_seal(to, 1, 0), >=, 0);
        return to;
}

static void assert_copies(const char *signature, sd_bus_message *message) {
        g_assert_cmpint(sd_bus_message_seal(message, 1, 0), >=, 0);
        {
                AUTO_MESSAGE *same = copy(message);
                char *before = dump(message), *after = dump(same);

                g_assert_cmpstr(sd_bus_message_get_signature(same, true), ==, signature);
                g_assert_cmpstr(before, ==, after);
                free(before);
                free(after);
        }
}

static void test_basic(void) {
        AUTO_MESSAGE *m = new_message();

        g_assert_cmpint(sd_bus_message_append(m, "ybnqiuxtdsog", 255, 1, -32768, 65535, INT32_MIN, UINT32_MAX, INT64_MIN, UINT64_MAX,
                                              0.1, "d\xc3\xa9j\xc3\xa0", "/a/b", "a{sv}"),
                        >=, 0);
        assert_copies("ybnqiuxtdsog", m);
}

static void test_containers(void) {
        AUTO_MESSAGE *m = new_message();

        g_assert_cmpint(sd_bus_message_append(m, "a{sv}a(ii)aayv(s(d))", 3, "one", "i", 1, "list", "as", 2, "a", "", "deep", "v", "v",
                                              "a{sv}", 1, "x", "t", UINT64_C(1), 2, 1, 2, 3, 4, 2, 1, 7, 0, "(ayas)", 0, 1, "z", "s", 1.5),
                        >=, 0);
        assert_copies("a{sv}a(ii)aayv(s(d))", m);
}

static void test_empty(void) {
        AUTO_MESSAGE *m = new_message(), *n = new_message();

        assert_copies("", m);
        g_assert_cmpint(sd_bus_message_append(n, "a{sv}as", 0, 0), >=, 0);
        assert_copies("a{sv}as", n);
}

static void test_descriptor(void) {
        AUTO_MESSAGE *m = new_message();
        void *data = NULL;
        size_t size;
        int r;

        r = sd_bus_message_append(m, "h", STDERR_FILENO);
        if (r < 0) {                    /* a bus that has not agreed to descriptors refuses them itself */
                g_assert_cmpint(r, ==, -EOPNOTSUPP);
                return;
        }
        g_assert_cmpint(sd_bus_message_seal(m, 1, 0), >=, 0);
        g_assert_cmpint(message_blob_write(m, &data, &size), ==, -EOPNOTSUPP);
        g_assert_null(data);
}

static void test_damaged(void) {
        AUTO_MESSAGE *m = new_message();
        g_autofree void *data = NULL;
        size_t size;

        g_assert_cmpint(sd_bus_message_append(m, "a{sv}(so)", 2, "one", "i", 1, "list", "as", 2, "a", "b", "text", "/path"), >=, 0);
        g_assert_cmpint(sd_bus_message_seal(m, 1, 0), >=, 0);
        g_assert_cmpint(message_blob_write(m, &data, &size), ==, 0);

        for (size_t n = 0; n < size; n++) {
                AUTO_MESSAGE *cut = new_message();
                g_autofree char *exact = g_memdup2(data, n);

                g_assert_cmpint(message_blob_read(cut, exact, n), ==, -EBADMSG);
        }
        for (size_t i = 0; i < size; i++)
                for (unsigned bit = 0; bit < 8; bit++) {
                        AUTO_MESSAGE *changed = new_message();
                        g_autofree char *bytes = g_memdup2(data, size);
                        int r;

                        bytes[i] = (char) (bytes[i] ^ (1 << bit));
                        r = message_blob_read(changed, bytes, size);
                        g_assert_true(r == 0 || r == -EBADMSG);
                }
}

static void test_depth(void) {
        AUTO_MESSAGE *m = new_message();
        g_autoptr(GByteArray) bytes = g_byte_array_new();

        for (unsigned i = 0; i < 10 * MESSAGE_BLOB_DEPTH_MAX; i++)
                g_byte_array_append(bytes, (const guint8 *) "v\1\0\0\0v\0", 7);
        g_assert_cmpint(message_blob_read(m, bytes->data, bytes->len), ==, -EBADMSG);
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        make_bus();
        g_test_add_func("/message-blob/basic-types-come-back", test_basic);
        g_test_add_func("/message-blob/containers-come-back", test_containers);
        g_test_add_func("/message-blob/nothing-comes-back-as-nothing", test_empty);
        g_test_add_func("/message-blob/descriptors-are-refused", test_descriptor);
        g_test_add_func("/message-blob/damaged-bytes-are-refused-or-something-else", test_damaged);
        g_test_add_func("/message-blob/too-deep-is-refused", test_depth);
        r = g_test_run();
        sd_bus_close(bus);
        sd_bus_unref(bus);
        return r;
}
