/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The domain's side of the page it shares with xenstored: bytes, wrap-around, notifications, and indexes that lie. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "store-ring.h"

struct fixture {
        struct xenstore_domain_interface page;
        struct store_ring ring;
};

static void set_up(struct fixture *f, gconstpointer data) {
        memset(&f->page, 0, sizeof f->page);
        store_ring_init(&f->ring, &f->page);
}

static void tear_down(struct fixture *f, gconstpointer data) {
}

/* xenstored's side. */
static void store_take(struct fixture *f, char *data, size_t n) {
        for (size_t i = 0; i < n; i++)
                data[i] = f->page.req[MASK_XENSTORE_IDX(f->page.req_cons++)];
}

static void store_put(struct fixture *f, const char *data, size_t n) {
        for (size_t i = 0; i < n; i++)
                f->page.rsp[MASK_XENSTORE_IDX(f->page.rsp_prod++)] = data[i];
}

static void test_bytes_at_every_offset(struct fixture *f, gconstpointer data) {
        for (unsigned i = 0; i < 3 * XENSTORE_RING_SIZE; i++) {
                char sent[7], got[7];
                size_t n = 1 + i % sizeof sent;

                memset(sent, 'a' + i % 26, n);
                g_assert_cmpint(store_ring_write(&f->ring, sent, n), ==, n);
                store_take(f, got, n);
                g_assert_cmpmem(sent, n, got, n);
                store_put(f, sent, n);
                g_assert_cmpint(store_ring_read(&f->ring, got, sizeof got), ==, n);
                g_assert_cmpmem(sent, n, got, n);
        }
}

static void test_indexes_wrap(struct fixture *f, gconstpointer data) {
        char got[3];

        f->page.req_cons = f->page.req_prod = f->ring.req_prod = UINT32_MAX;
        f->page.rsp_cons = f->page.rsp_prod = f->ring.rsp_cons = UINT32_MAX;
        g_assert_cmpint(store_ring_write(&f->ring, "abc", 3), ==, 3);
        g_assert_cmpuint(f->page.req_prod, ==, 2);
        store_take(f, got, 3);
        g_assert_cmpmem(got, 3, "abc", 3);
        store_put(f, "def", 3);
        g_assert_cmpint(store_ring_read(&f->ring, got, 3), ==, 3);
        g_assert_cmpmem(got, 3, "def", 3);
        g_assert_cmpuint(f->page.rsp_cons, ==, 2);
}

static void test_full_and_empty(struct fixture *f, gconstpointer data) {
        char many[XENSTORE_RING_SIZE + 1] = {};

        g_assert_cmpint(store_ring_read(&f->ring, many, sizeof many), ==, 0);
        g_assert_false(f->ring.notify);
        g_assert_cmpint(store_ring_write(&f->ring, many, sizeof many), ==, XENSTORE_RING_SIZE);
        g_assert_true(f->ring.notify);
        f->ring.notify = false;
        g_assert_cmpint(store_ring_write(&f->ring, many, 1), ==, 0);
        g_assert_false(f->ring.notify);
        g_assert_cmpint(store_ring_write(&f->ring, many, 0), ==, 0);
}

/* xenstored waits for room only if there was none. */
static void test_notifies_when_it_was_full(struct fixture *f, gconstpointer data) {
        char many[XENSTORE_RING_SIZE] = {};

        store_put(f, many, sizeof many - 1);
        g_assert_cmpint(store_ring_read(&f->ring, many, sizeof many), ==, sizeof many - 1);
        g_assert_false(f->ring.notify);
        store_put(f, many, sizeof many);
        g_assert_cmpint(store_ring_read(&f->ring, many, 1), ==, 1);
        g_assert_true(f->ring.notify);
}

static void test_hostile_indexes(struct fixture *f, gconstpointer data) {
        static const uint32_t off[] = { XENSTORE_RING_SIZE + 1, 0x7fffffff, 0x80000000, UINT32_MAX };
        char byte = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(off); i++) {
                set_up(f, NULL);
                f->page.rsp_prod = off[i];
                g_assert_cmpint(store_ring_read(&f->ring, &byte, 1), ==, -EPROTO);
                g_assert_cmpuint(f->page.rsp_cons, ==, 0);
                f->page.req_cons = -off[i];
                g_assert_cmpint(store_ring_write(&f->ring, &byte, 1), ==, -EPROTO);
                g_assert_cmpuint(f->page.req_prod, ==, 0);
        }
}

/* A peer that changes our own indexes changes nothing. */
static void test_own_indexes_are_not_read_back(struct fixture *f, gconstpointer data) {
        char got[3];

        f->page.req_prod = 0xdead;
        f->page.rsp_cons = 0xbeef;
        g_assert_cmpint(store_ring_write(&f->ring, "abc", 3), ==, 3);
        g_assert_cmpuint(f->page.req_prod, ==, 3);
        store_put(f, "def", 3);
        g_assert_cmpint(store_ring_read(&f->ring, got, 3), ==, 3);
        g_assert_cmpuint(f->page.rsp_cons, ==, 3);
}

static void test_introduction(struct fixture *f, gconstpointer data) {
        g_assert_true(store_ring_is_connected(&f->ring));
        store_ring_await_introduction(&f->ring);
        g_assert_false(store_ring_is_connected(&f->ring));
        f->page.connection = XENSTORE_CONNECTED; /* as xenstored does once it has reset the indexes */
        g_assert_true(store_ring_is_connected(&f->ring));
}

static void test_error(struct fixture *f, gconstpointer data) {
        g_assert_null(store_ring_error(&f->ring));
        f->page.error = XENSTORE_ERROR_RINGIDX;
        g_assert_cmpstr(store_ring_error(&f->ring), ==, "invalid ring index");
        f->page.error = 77;
        g_assert_nonnull(store_ring_error(&f->ring));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, test) g_test_add("/store-ring/" path, struct fixture, NULL, set_up, test, tear_down)
        add("bytes-at-every-offset", test_bytes_at_every_offset);
        add("indexes-wrap", test_indexes_wrap);
        add("full-and-empty", test_full_and_empty);
        add("notifies-when-it-was-full", test_notifies_when_it_was_full);
        add("hostile-indexes-are-refused", test_hostile_indexes);
        add("own-indexes-are-not-read-back", test_own_indexes_are_not_read_back);
        add("introduction-is-awaited", test_introduction);
        add("error-has-a-name", test_error);
        return g_test_run();
}
