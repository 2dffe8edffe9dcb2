/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whether messages, changed at random, are accepted here if and only if they are by libdbus; exceptions are listed in message.h. */

#undef NDEBUG
#include "reference.h"

#include <glib.h>

#include "test-vectors.h"

/* Changes some bytes to values that matter in messages. */
static void mutate(GRand *random, guint8 *data, gsize n) {
        static const guint8 values[] = { 0,   1,   2,   3,   4,   5,   6,   7,   8,   9,   16,  31,  127, 128, 255, 'a', '(',
                                        ')', '{', '}', 's', 'v', 'y', 'b', 'h', 'o', 'g', 'u', 't', '.', ':', '/', 'B', 'l' };

        for (unsigned left = 1 + g_rand_int(random) % 3; left > 0; left--) {
                gsize at = g_rand_int(random) % n;

                data[at] = g_rand_boolean(random) ? values[g_rand_int(random) % G_N_ELEMENTS(values)] : g_rand_int(random);
        }
}

static void test_mutations(void) {
        g_autoptr(GRand) random = g_rand_new_with_seed(4);
        guint8 *blobs[2 * TEST_VECTORS];
        gsize sizes[2 * TEST_VECTORS];
        unsigned n_accepted = 0, n_refused = 0, faults[_MESSAGE_FAULT_MAX] = {};

        for (unsigned i = 0; i < 2 * TEST_VECTORS; i++)
                blobs[i] = test_vector_blob(i / 2, i % 2, &sizes[i]);
        for (unsigned i = 0; i < 200000; i++) {
                const unsigned which = i % (2 * TEST_VECTORS);
                g_autofree guint8 *blob = g_memdup2(blobs[which], sizes[which]);
                int r;

                mutate(random, blob, sizes[which]);
                r = reference_check(blob, sizes[which]);
                faults[r]++;
                if (r == 0)
                        n_accepted++;
                else
                        n_refused++;
        }
        for (unsigned i = 0; i < 2 * TEST_VECTORS; i++)
                g_free(blobs[i]);
        for (int fault = 1; fault < _MESSAGE_FAULT_MAX; fault++)
                g_test_message("%u %s", faults[fault], message_fault_name(fault));
        g_test_message("%u accepted", n_accepted);
        g_assert_cmpuint(n_accepted, >, 10000);         /* that both refuse everything would say little */
        g_assert_cmpuint(n_refused, >, 10000);
}

/* What each of us writes, the other reads. */
static void test_libdbus_messages(void) {
        DBusMessage *message = dbus_message_new_signal("/a/b", "a.b", "C");
        dbus_uint64_t number = 5;
        const char *text = "text";
        struct message view;
        char *data;
        int n;

        dbus_message_set_serial(message, 77);
        dbus_message_set_destination(message, ":1.9");
        g_assert_true(dbus_message_append_args(message, DBUS_TYPE_STRING, &text, DBUS_TYPE_UINT64, &number, DBUS_TYPE_INVALID));
        g_assert_true(dbus_message_marshal(message, &data, &n));
        dbus_message_unref(message);
        g_assert_cmpint(reference_check(data, n), ==, 0);
        g_assert_cmpint(message_parse(data, n, &view), ==, 0);
        g_assert_cmpuint(view.serial, ==, 77);
        g_assert_cmpstr(view.destination, ==, ":1.9");
        g_assert_cmpstr(view.signature, ==, "st");
        dbus_free(data);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/reference/200000-mutations-judged-as-libdbus-does", test_mutations);
        g_test_add_func("/reference/libdbus-messages", test_libdbus_messages);
        return g_test_run();
}
