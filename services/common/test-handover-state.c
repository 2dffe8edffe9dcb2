/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* States: what goes in comes out, and whatever happens to a byte on the way is noticed. */

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "handover-state.h"

static const uint8_t bytes[300] = { 1, 2, 3 };
static const struct handover_state example = {
        .service = "storage",
        .bus = "0123456789abcdef0123456789abcdef",
        .schema = 3,
        .parts = { { "storage.db", bytes, sizeof bytes }, { "tasks.db", bytes, 0 } },
        .n_parts = 2,
};

static size_t encode(uint8_t **ret_stream) {
        size_t size = 0;

        g_assert_cmpint(handover_state_encode(&example, ret_stream, &size), ==, 0);
        return size;
}

static void test_back(void) {
        struct handover_state state;
        uint8_t *stream;
        size_t size = encode(&stream);

        g_assert_cmpint(handover_state_decode(stream, size, &state), ==, 0);
        g_assert_cmpstr(state.service, ==, example.service);
        g_assert_cmpstr(state.bus, ==, example.bus);
        g_assert_cmpuint(state.schema, ==, 3);
        g_assert_cmpuint(state.n_parts, ==, 2);
        g_assert_cmpstr(state.parts[0].name, ==, "storage.db");
        g_assert_cmpmem(state.parts[0].data, state.parts[0].size, bytes, sizeof bytes);
        g_assert_cmpstr(state.parts[1].name, ==, "tasks.db");
        g_assert_cmpuint(state.parts[1].size, ==, 0);
        free(stream);
}

static void test_every_byte(void) {
        struct handover_state state;
        uint8_t *stream;
        size_t size = encode(&stream);

        for (size_t i = 0; i < size; i++) {
                stream[i] ^= 0x10;
                g_assert_cmpint(handover_state_decode(stream, size, &state), <, 0);
                stream[i] ^= 0x10;
        }
        free(stream);
}

static void test_every_end(void) {
        struct handover_state state;
        uint8_t *stream;
        size_t size = encode(&stream);

        for (size_t n = 0; n < size; n++) {
                uint8_t *cut = malloc(n + 1);   /* of its own, so that a sanitizer sees what is read beyond */

                memcpy(cut, stream, n);
                g_assert_cmpint(handover_state_decode(cut, n, &state), ==, -EBADMSG);
                free(cut);
        }
        free(stream);
}

static void test_newer(void) {
        struct handover_state state;
        uint8_t *stream;
        size_t size = encode(&stream);

        stream[8] = 2;
        g_assert_cmpint(handover_state_decode(stream, size, &state), ==, -EPROTONOSUPPORT);
        free(stream);
}

static void test_names(void) {
        static const char *const wrong[] = { "", ".", "..", "a/b", ".hidden" };

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                struct handover_state state = example;
                uint8_t *stream;
                size_t size;

                strcpy(state.parts[1].name, wrong[i]);
                g_assert_cmpint(handover_state_encode(&state, &stream, &size), ==, 0);
                g_assert_cmpint(handover_state_decode(stream, size, &state), ==, -EBADMSG);
                free(stream);
        }
}

static void test_too_large(void) {
        struct handover_state state = example;
        uint8_t *stream;
        size_t size;

        state.parts[1].size = HANDOVER_STATE_MAX;
        g_assert_cmpint(handover_state_encode(&state, &stream, &size), ==, -E2BIG);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/handover-state/is-read-as-it-was-written", test_back);
        g_test_add_func("/handover-state/a-change-of-any-byte-is-noticed", test_every_byte);
        g_test_add_func("/handover-state/an-end-at-any-byte-is-noticed", test_every_end);
        g_test_add_func("/handover-state/a-newer-version-is-called-that", test_newer);
        g_test_add_func("/handover-state/names-that-lead-elsewhere-are-refused", test_names);
        g_test_add_func("/handover-state/one-over-the-limit-is-refused", test_too_large);
        return g_test_run();
}
