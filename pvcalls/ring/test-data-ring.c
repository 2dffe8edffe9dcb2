/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Data rings: every state that a small one can be in, lies of the peer, ends, and who is notified. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "data-ring.h"

#define SIZE_MAX_TESTED 8u

struct pair {
        struct pvcalls_direction shared;
        uint8_t data[SIZE_MAX_TESTED];
        struct data_producer producer;
        struct data_consumer consumer;
};

/* A ring that has already carried start bytes. */
static void pair_init(struct pair *pair, uint32_t size, uint32_t start, bool suppress) {
        memset((void *) pair, 0, sizeof *pair);
        data_producer_init(&pair->producer, &pair->shared, pair->data, size, suppress);
        data_consumer_init(&pair->consumer, &pair->shared, pair->data, size, suppress);
        pair->producer.prod = pair->producer.notified = pair->consumer.cons = pair->consumer.notified = start;
        atomic_store(&pair->shared.prod, start);
        atomic_store(&pair->shared.cons, start);
}

static void check_pieces(const struct pair *pair, const struct iovec pieces[2], size_t n) {
        size_t size = pair->producer.size;

        g_assert_cmpuint(pieces[0].iov_len + pieces[1].iov_len, ==, n);
        g_assert_cmpuint(n, <=, size);
        for (int i = 0; i < 2; i++) {
                const uint8_t *p = pieces[i].iov_base;

                g_assert_true(p >= pair->data && p + pieces[i].iov_len <= pair->data + size);
        }
}

static void put(struct pair *pair, uint8_t first, size_t n) {
        struct iovec pieces[2];
        size_t room;

        g_assert_cmpint(data_producer_space(&pair->producer, pieces, &room), ==, 0);
        check_pieces(pair, pieces, room);
        g_assert_cmpuint(n, <=, room);
        for (size_t i = 0; i < n; i++) {
                uint8_t *p = i < pieces[0].iov_len ? (uint8_t *) pieces[0].iov_base + i
                                                   : (uint8_t *) pieces[1].iov_base + (i - pieces[0].iov_len);
                *p = (uint8_t) (first + i);
        }
        data_producer_commit(&pair->producer, n);
}

static void take(struct pair *pair, uint8_t first, size_t n, size_t n_expected) {
        struct iovec pieces[2];
        size_t there;

        g_assert_cmpint(data_consumer_data(&pair->consumer, pieces, &there), ==, 0);
        check_pieces(pair, pieces, there);
        g_assert_cmpuint(there, ==, n_expected);
        for (size_t i = 0; i < there; i++) {
                const uint8_t *p = i < pieces[0].iov_len ? (uint8_t *) pieces[0].iov_base + i
                                                         : (uint8_t *) pieces[1].iov_base + (i - pieces[0].iov_len);
                g_assert_cmpuint(*p, ==, (uint8_t) (first + i));
        }
        data_consumer_commit(&pair->consumer, n);
}

/* Every size, every start on either side of the wrap of the indexes, every fill and every amount taken and put. */
static void test_every_state(void) {
        for (uint32_t size = 1; size <= SIZE_MAX_TESTED; size *= 2)
                for (uint32_t start = -2 * size; start != 2 * size; start++)
                        for (uint32_t filled = 0; filled <= size; filled++)
                                for (uint32_t taken = 0; taken <= filled; taken++)
                                        for (uint32_t more = 0; more <= size - filled + taken; more++) {
                                                struct pair pair;

                                                pair_init(&pair, size, start, false);
                                                put(&pair, 1, filled);
                                                take(&pair, 1, taken, filled);
                                                put(&pair, (uint8_t) (1 + filled), more);
                                                take(&pair, (uint8_t) (1 + taken), filled - taken + more, filled - taken + more);
                                        }
}

/* All that a peer can claim: what is possible is taken, all else is a violation, and nothing else happens. */
static void test_every_lie(void) {
        static const uint32_t starts[] = { 0, 1, 7, 0x7ffffffc, 0x80000000, 0xfffffff8, 0xffffffff };

        for (size_t s = 0; s < G_N_ELEMENTS(starts); s++)
                for (uint32_t size = 1; size <= SIZE_MAX_TESTED; size *= 2)
                        for (uint32_t queued = 0; queued <= size; queued++)
                                for (uint32_t claim = -3 * size; claim != 3 * size; claim++) {
                                        struct pair pair;
                                        struct iovec pieces[2];
                                        size_t n;
                                        int r;

                                        pair_init(&pair, size, starts[s], false);
                                        put(&pair, 1, queued);
                                        atomic_store(&pair.shared.cons, starts[s] + claim);
                                        r = data_producer_space(&pair.producer, pieces, &n);
                                        g_assert_cmpint(r, ==, queued - claim <= size ? 0 : -EPROTO);
                                        if (r == 0)
                                                check_pieces(&pair, pieces, n);
                                        r = data_producer_sleep(&pair.producer, 1);
                                        g_assert_cmpint(r, ==, queued - claim > size ? -EPROTO : queued - claim < size);

                                        atomic_store(&pair.shared.prod, starts[s] + claim);
                                        r = data_consumer_data(&pair.consumer, pieces, &n);
                                        g_assert_cmpint(r, ==, claim <= size ? 0 : -EPROTO);
                                        if (r == 0)
                                                check_pieces(&pair, pieces, n);
                                        g_assert_cmpint(data_consumer_sleep(&pair.consumer), ==, claim > size ? -EPROTO : claim > 0);
                                }
}

/* What a side has written itself is never read back: the peer may write what it likes there. */
static void test_own_words_are_not_read_back(void) {
        struct pair pair;

        pair_init(&pair, 8, 0, false);
        put(&pair, 1, 3);
        atomic_store(&pair.shared.prod, 77);
        put(&pair, 4, 2);
        g_assert_cmpuint(atomic_load(&pair.shared.prod), ==, 5);
        take(&pair, 1, 4, 5);
        atomic_store(&pair.shared.cons, 99);
        take(&pair, 5, 1, 1);
        g_assert_cmpuint(atomic_load(&pair.shared.cons), ==, 5);
}

static void test_data_comes_before_the_error(void) {
        struct pair pair;
        struct iovec pieces[2];
        int32_t error;
        size_t n;

        pair_init(&pair, 4, UINT32_MAX - 1, false);
        put(&pair, 1, 4);
        data_producer_fail(&pair.producer, -107);
        g_assert_cmpint(data_consumer_next(&pair.consumer, pieces, &n, &error), ==, 0);
        g_assert_cmpuint(n, ==, 4);
        g_assert_cmpint(error, ==, 0);
        take(&pair, 1, 3, 4);
        g_assert_cmpint(data_consumer_next(&pair.consumer, pieces, &n, &error), ==, 0);
        g_assert_cmpuint(n, ==, 1);
        g_assert_cmpint(error, ==, 0);
        take(&pair, 4, 1, 1);
        g_assert_cmpint(data_consumer_next(&pair.consumer, pieces, &n, &error), ==, 0);
        g_assert_cmpuint(n, ==, 0);
        g_assert_cmpint(error, ==, -107);
}

static void test_errors_that_are_none(void) {
        static const struct {
                uint32_t stored;
                int32_t seen;
        } errors[] = { { 0, 0 }, { -1, -1 }, { -524, -524 }, { -4095, -4095 }, { -4096, -5 }, { 1, -5 }, { INT32_MAX, -5 }, { INT32_MIN, -5 } };
        struct pair pair;
        struct iovec pieces[2];
        int32_t error;
        size_t n;

        pair_init(&pair, 4, 0, false);
        for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
                atomic_store(&pair.shared.error, errors[i].stored);
                g_assert_cmpint(data_producer_error(&pair.producer), ==, errors[i].seen);
                g_assert_cmpint(data_consumer_next(&pair.consumer, pieces, &n, &error), ==, 0);
                g_assert_cmpint(error, ==, errors[i].seen);
        }
}

static void test_version_1_notifies_of_every_step(void) {
        struct pair pair;

        pair_init(&pair, 4, UINT32_MAX - 1, false);
        g_assert_false(data_producer_must_notify(&pair.producer));
        for (uint8_t i = 0; i < 9; i++) {
                put(&pair, i, 1);
                g_assert_true(data_producer_must_notify(&pair.producer));
                g_assert_false(data_producer_must_notify(&pair.producer));
                take(&pair, i, 1, 1);
                g_assert_true(data_consumer_must_notify(&pair.consumer));
                g_assert_false(data_consumer_must_notify(&pair.consumer));
        }
        g_assert_cmpuint(atomic_load(&pair.shared.prod_event) | atomic_load(&pair.shared.cons_event), ==, 0);
}

static void test_errors_are_always_notified(void) {
        struct pair pair;

        for (int suppress = 0; suppress < 2; suppress++) {
                pair_init(&pair, 4, 0, suppress);
                data_producer_fail(&pair.producer, -107);
                g_assert_true(data_producer_must_notify(&pair.producer));
                g_assert_false(data_producer_must_notify(&pair.producer));
                data_consumer_fail(&pair.consumer, -32);
                g_assert_true(data_consumer_must_notify(&pair.consumer));
                g_assert_false(data_consumer_must_notify(&pair.consumer));
        }
}

/* With suppression, exactly the step that passes what the sleeper waits for is notified; on both sides of the indexes' wrap. */
static void test_only_sleepers_are_notified(void) {
        for (uint32_t start = UINT32_MAX - 6; start != 4; start++) {
                struct pair pair;

                pair_init(&pair, 4, start, true);
                g_assert_cmpint(data_consumer_sleep(&pair.consumer), ==, 0);
                put(&pair, 0, 1);
                g_assert_true(data_producer_must_notify(&pair.producer));
                put(&pair, 1, 1);
                g_assert_false(data_producer_must_notify(&pair.producer));
                g_assert_cmpint(data_consumer_sleep(&pair.consumer), ==, 1);
                put(&pair, 2, 2);

                g_assert_cmpint(data_producer_sleep(&pair.producer, 3), ==, 0);
                for (uint8_t i = 0; i < 4; i++) {
                        take(&pair, i, 1, 4u - i);
                        g_assert_cmpint(data_consumer_must_notify(&pair.consumer), ==, i == 2);
                }
                g_assert_cmpint(data_producer_sleep(&pair.producer, 4), ==, 1);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/data-ring/every-state-of-a-small-ring", test_every_state);
        g_test_add_func("/data-ring/every-claim-of-a-peer", test_every_lie);
        g_test_add_func("/data-ring/own-words-are-not-read-back", test_own_words_are_not_read_back);
        g_test_add_func("/data-ring/data-comes-before-the-error", test_data_comes_before_the_error);
        g_test_add_func("/data-ring/errors-that-are-none", test_errors_that_are_none);
        g_test_add_func("/data-ring/version-1-notifies-of-every-step", test_version_1_notifies_of_every_step);
        g_test_add_func("/data-ring/errors-are-always-notified", test_errors_are_always_notified);
        g_test_add_func("/data-ring/with-suppression-only-sleepers-are-notified", test_only_sleepers_are_notified);
        return g_test_run();
}
