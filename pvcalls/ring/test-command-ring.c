/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The command ring: full, empty, across the wrap, responses out of order, and every claim of a peer. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "command-ring.h"

struct pair {
        _Alignas(4096) struct pvcalls_command_page page;
        struct command_ring_front front;
        struct command_ring_back back;
};

/* Both sides as they are after so many commands. */
static void pair_init(struct pair *pair, uint32_t start) {
        command_ring_front_init(&pair->front, &pair->page);
        command_ring_back_init(&pair->back, &pair->page);
        pair->front.req_prod = pair->front.rsp_cons = pair->back.req_cons = pair->back.rsp_prod = start;
        atomic_store(&pair->page.req_prod, start);
        atomic_store(&pair->page.rsp_prod, start);
        atomic_store(&pair->page.req_event, start + 1);
        atomic_store(&pair->page.rsp_event, start + 1);
}

static bool request(struct pair *pair, uint32_t req_id) {
        struct pvcalls_request sent = { .req_id = req_id, .cmd = PVCALLS_CONNECT, .u.connect = { .id = (uint64_t) req_id << 40 } };
        bool notify;

        memset(sent.u.connect.addr, (int) req_id, sizeof sent.u.connect.addr);
        g_assert_cmpint(command_ring_front_put(&pair->front, &sent, &notify), ==, 0);
        return notify;
}

static void expect_request(struct pair *pair, uint32_t req_id) {
        struct pvcalls_request taken;

        g_assert_cmpint(command_ring_back_take(&pair->back, &taken), ==, 0);
        g_assert_cmpuint(taken.req_id, ==, req_id);
        g_assert_cmpuint(taken.u.id, ==, (uint64_t) req_id << 40);
        for (size_t i = 0; i < sizeof taken.u.connect.addr; i++)
                g_assert_cmpuint(taken.u.connect.addr[i], ==, (uint8_t) req_id);
}

static bool respond(struct pair *pair, uint32_t req_id) {
        struct pvcalls_response response = { .req_id = req_id, .cmd = PVCALLS_CONNECT, .ret = -(int32_t) req_id, .id = ~(uint64_t) req_id };

        return command_ring_back_put(&pair->back, &response);
}

static void expect_response(struct pair *pair, uint32_t req_id) {
        struct pvcalls_response taken;

        g_assert_cmpint(command_ring_front_take(&pair->front, &taken), ==, 0);
        g_assert_cmpuint(taken.req_id, ==, req_id);
        g_assert_cmpint(taken.ret, ==, -(int32_t) req_id);
        g_assert_cmpuint(taken.id, ==, ~(uint64_t) req_id);
}

static void test_full_and_out_of_order(void) {
        for (uint32_t start = UINT32_MAX - 70; start != 70; start++) {
                struct pair pair;
                struct pvcalls_request spare = {}, none;
                struct pvcalls_response no_response;
                bool notify;

                pair_init(&pair, start);
                for (uint32_t i = 0; i < PVCALLS_SLOTS; i++) {
                        g_assert_cmpuint(command_ring_front_free(&pair.front), ==, PVCALLS_SLOTS - i);
                        request(&pair, i);
                }
                g_assert_cmpint(command_ring_front_put(&pair.front, &spare, &notify), ==, -ENOBUFS);
                for (uint32_t i = 0; i < PVCALLS_SLOTS; i++)
                        expect_request(&pair, i);
                g_assert_cmpint(command_ring_back_take(&pair.back, &none), ==, COMMAND_RING_EMPTY);
                g_assert_cmpuint(command_ring_back_open(&pair.back), ==, PVCALLS_SLOTS);
                for (uint32_t i = PVCALLS_SLOTS; i-- > 0;)
                        respond(&pair, i);
                g_assert_cmpuint(command_ring_back_open(&pair.back), ==, 0);
                for (uint32_t i = PVCALLS_SLOTS; i-- > 0;)
                        expect_response(&pair, i);
                g_assert_cmpint(command_ring_front_take(&pair.front, &no_response), ==, COMMAND_RING_EMPTY);
        }
}

/* Requests that are parked keep their slots: the others are used in turn. */
static void test_parked_requests(void) {
        struct pair pair;

        pair_init(&pair, UINT32_MAX - 100);
        for (uint32_t i = 0; i < PVCALLS_SLOTS - 1; i++) {
                request(&pair, 1000 + i);
                expect_request(&pair, 1000 + i);
        }
        for (uint32_t i = 0; i < 300; i++) {
                request(&pair, i);
                g_assert_cmpuint(command_ring_front_free(&pair.front), ==, 0);
                expect_request(&pair, i);
                respond(&pair, i);
                expect_response(&pair, i);
        }
        for (uint32_t i = 0; i < PVCALLS_SLOTS - 1; i++)
                respond(&pair, 1000 + i);
        for (uint32_t i = 0; i < PVCALLS_SLOTS - 1; i++)
                expect_response(&pair, 1000 + i);
}

static void test_every_claim(void) {
        static const uint32_t starts[] = { 0, 31, 0x7fffffff, UINT32_MAX - 3, UINT32_MAX };

        for (size_t s = 0; s < G_N_ELEMENTS(starts); s++)
                for (uint32_t open = 0; open <= PVCALLS_SLOTS; open++)
                        for (uint32_t claim = -80u; claim != 80; claim++) {
                                struct pair pair;
                                struct pvcalls_request taken;
                                struct pvcalls_response answered;
                                int expected = claim == open ? COMMAND_RING_EMPTY : claim > open && claim <= PVCALLS_SLOTS ? 0 : -EPROTO;

                                pair_init(&pair, starts[s]);
                                for (uint32_t i = 0; i < open; i++) {
                                        request(&pair, i);
                                        expect_request(&pair, i);
                                }
                                atomic_store(&pair.page.req_prod, starts[s] + claim);
                                g_assert_cmpint(command_ring_back_take(&pair.back, &taken), ==, expected);

                                atomic_store(&pair.page.rsp_prod, starts[s] + claim);
                                expected = claim == 0 ? COMMAND_RING_EMPTY : claim <= open ? 0 : -EPROTO;
                                g_assert_cmpint(command_ring_front_take(&pair.front, &answered), ==, expected);
                        }
}

static void test_only_sleepers_are_notified(void) {
        struct pair pair;

        pair_init(&pair, UINT32_MAX);
        g_assert_true(request(&pair, 1));
        g_assert_false(request(&pair, 2));
        g_assert_true(command_ring_back_sleep(&pair.back));
        expect_request(&pair, 1);
        expect_request(&pair, 2);
        g_assert_false(command_ring_back_sleep(&pair.back));
        g_assert_true(request(&pair, 3));
        expect_request(&pair, 3);

        g_assert_true(respond(&pair, 2));
        g_assert_false(respond(&pair, 1));
        g_assert_true(command_ring_front_sleep(&pair.front));
        expect_response(&pair, 2);
        expect_response(&pair, 1);
        g_assert_false(command_ring_front_sleep(&pair.front));
        g_assert_true(respond(&pair, 3));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/command-ring/full-and-answered-out-of-order", test_full_and_out_of_order);
        g_test_add_func("/command-ring/parked-requests-keep-their-place", test_parked_requests);
        g_test_add_func("/command-ring/every-claim-of-a-peer", test_every_claim);
        g_test_add_func("/command-ring/only-sleepers-are-notified", test_only_sleepers_are_notified);
        return g_test_run();
}
