/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Headers of qcow2 images: those that we take, and the traps. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "qcow2-header.h"

#define PARENT "01234567-89ab-cdef-0123-456789abcdef.qcow2"
#define HEADER 104u

struct fixture {
        uint8_t data[4096];
        size_t n;
        struct qcow2_header header;
        const char *reason;
};

static void put32(struct fixture *f, size_t at, uint32_t value) {
        value = GUINT32_TO_BE(value);
        memcpy(f->data + at, &value, sizeof value);
}

static void put64(struct fixture *f, size_t at, uint64_t value) {
        value = GUINT64_TO_BE(value);
        memcpy(f->data + at, &value, sizeof value);
}

static void set_up(struct fixture *f, gconstpointer data) {
        put32(f, 0, 0x514649fb);
        put32(f, 4, 3);
        put32(f, 20, 16);
        put64(f, 24, 1 << 20);
        put32(f, 100, HEADER);
        f->n = sizeof f->data;
}

/* An extension at the end of the header. Returns where the next belongs. */
static size_t put_extension(struct fixture *f, size_t at, uint32_t type, const char *data, size_t n) {
        put32(f, at, type);
        put32(f, at + 4, (uint32_t) n);
        memcpy(f->data + at + 8, data, n);
        return at + 8 + (n + 7) / 8 * 8;
}

static void put_backing(struct fixture *f, const char *name, const char *format) {
        size_t at = put_extension(f, HEADER, 0xe2792aca, format, strlen(format));

        at = put_extension(f, at, 0, "", 0);
        put64(f, 8, at);
        put32(f, 16, (uint32_t) strlen(name));
        memcpy(f->data + at, name, strlen(name));
}

static int decode(struct fixture *f) {
        f->reason = NULL;
        return qcow2_header_decode(f->data, f->n, &f->header, &f->reason);
}

static void refused(struct fixture *f, const char *reason) {
        g_assert_cmpint(decode(f), ==, -EUCLEAN);
        g_assert_nonnull(strstr(f->reason, reason));
}

static void test_plain(struct fixture *f, gconstpointer data) {
        g_assert_cmpint(decode(f), ==, 0);
        g_assert_cmpuint(f->header.size, ==, 1 << 20);
        g_assert_false(f->header.has_backing);
        put32(f, 4, 2);
        put32(f, 100, 0);
        g_assert_cmpint(decode(f), ==, 0);
}

static void test_backed_by_a_disk(struct fixture *f, gconstpointer data) {
        struct uuid uuid;

        put_backing(f, PARENT, "qcow2");
        g_assert_cmpint(decode(f), ==, 0);
        g_assert_true(f->header.has_backing);
        g_assert_cmpint(uuid_parse_prefix(PARENT, &uuid), ==, 0);
        g_assert_cmpint(uuid_compare(&uuid, &f->header.backing), ==, 0);
}

static void test_backed_by_anything_else(struct fixture *f, gconstpointer data) {
        static const char *const names[] = { "/etc/passwd", "../" PARENT, "x" PARENT, PARENT "x", "json:{\"driver\":\"file\"}", "a",
                                             "01234567-89ab-cdef-0123-456789abcdefx.qco2" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                put_backing(f, names[i], "qcow2");
                refused(f, "backing file");
        }
        put_backing(f, PARENT, "raw");
        refused(f, "does not say");
}

static void test_data_in_another_file(struct fixture *f, gconstpointer data) {
        put64(f, 72, 4);
        refused(f, "another file");
        put64(f, 72, 0);
        put_extension(f, HEADER, 0x44415441, "/etc/passwd", 11);
        refused(f, "another file");
}

static void test_features(struct fixture *f, gconstpointer data) {
        put64(f, 72, 2);
        refused(f, "corrupt");
        put64(f, 72, UINT64_C(1) << 63);
        refused(f, "unknown");
        put64(f, 72, 1);
        g_assert_cmpint(decode(f), ==, 0);
        put32(f, 32, 2);
        refused(f, "encrypted");
}

static void test_numbers_that_cannot_be(struct fixture *f, gconstpointer data) {
        put64(f, 24, 0);
        refused(f, "size");
        put64(f, 24, UINT64_MAX);
        refused(f, "size");
        put64(f, 24, 512);
        put32(f, 20, 64);
        refused(f, "clusters");
        put32(f, 20, 16);
        put32(f, 100, 4097);
        refused(f, "length");
        put32(f, 100, 0);
        refused(f, "length");
        put32(f, 100, HEADER);
        put32(f, HEADER, 1);
        put32(f, HEADER + 4, UINT32_MAX);
        refused(f, "longer");
        put32(f, HEADER + 4, 4000);
        refused(f, "longer");
        put32(f, HEADER, 0);
        put64(f, 8, UINT64_MAX);
        put32(f, 16, UUID_TEXT_SIZE - 1 + 6);
        refused(f, "backing");
}

static void test_every_length(struct fixture *f, gconstpointer data) {
        put_backing(f, PARENT, "qcow2");
        for (f->n = 0; f->n < 180; f->n++) {
                uint8_t *exact = g_memdup2(f->data, f->n ?: 1); /* so that ASan sees a byte beyond */

                f->reason = NULL;
                if (qcow2_header_decode(exact, f->n, &f->header, &f->reason) < 0)
                        g_assert_nonnull(f->reason);
                g_free(exact);
        }
}

static void test_something_else(struct fixture *f, gconstpointer data) {
        f->data[0] = 'X';
        refused(f, "no qcow2 image");
        set_up(f, NULL);
        put32(f, 4, 4);
        refused(f, "version");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/qcow2-header/" name, struct fixture, NULL, set_up, function, NULL)
        ADD("plain", test_plain);
        ADD("backed-by-a-disk", test_backed_by_a_disk);
        ADD("backed-by-anything-else", test_backed_by_anything_else);
        ADD("data-in-another-file", test_data_in_another_file);
        ADD("features", test_features);
        ADD("numbers-that-cannot-be", test_numbers_that_cannot_be);
        ADD("every-length", test_every_length);
        ADD("something-else", test_something_else);
        return g_test_run();
}
