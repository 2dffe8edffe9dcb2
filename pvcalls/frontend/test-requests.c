/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Requests on their way: which go first, what is kept free, and that a backend cannot answer what it was not asked. */

#include <errno.h>
#include <glib.h>
#include <stdlib.h>

#include "requests.h"

struct fixture {
        struct pvcalls_command_page page;
        struct requests requests;
        struct command_ring_back back;
};

static void setup(struct fixture *fixture, gconstpointer data) {
        requests_init(&fixture->requests);
        command_ring_front_init(&fixture->requests.ring, &fixture->page);
        command_ring_back_init(&fixture->back, &fixture->page);
}

static void teardown(struct fixture *fixture, gconstpointer data) {
        struct request *request;

        while ((request = requests_withdraw_any(&fixture->requests)))
                free(request);
}

static void ask(struct fixture *fixture, uint32_t cmd, uint64_t id) {
        requests_queue(&fixture->requests, request_new(cmd, id, fixture));
}

static struct pvcalls_request taken(struct fixture *fixture) {
        struct pvcalls_request request;

        g_assert_cmpint(command_ring_back_take(&fixture->back, &request), ==, 0);
        return request;
}

static void respond(struct fixture *fixture, uint32_t req_id, uint32_t cmd, int32_t ret) {
        struct pvcalls_response response = { .req_id = req_id, .cmd = cmd, .ret = ret };

        command_ring_back_put(&fixture->back, &response);
}

static void test_release_goes_first(struct fixture *fixture, gconstpointer data) {
        ask(fixture, PVCALLS_SOCKET, 1);
        ask(fixture, PVCALLS_RELEASE, 2);
        requests_put(&fixture->requests);
        g_assert_cmpuint(taken(fixture).u.id, ==, 2);
        g_assert_cmpuint(taken(fixture).u.id, ==, 1);
}

static void test_a_slot_is_kept_for_release(struct fixture *fixture, gconstpointer data) {
        for (uint64_t i = 0; i < 2 * PVCALLS_SLOTS; i++)
                ask(fixture, PVCALLS_CONNECT, i);
        requests_put(&fixture->requests);
        for (uint64_t i = 0; i < PVCALLS_SLOTS - RELEASE_SLOTS; i++)
                g_assert_cmpuint(taken(fixture).u.id, ==, i);
        g_assert_cmpint(command_ring_back_take(&fixture->back, &(struct pvcalls_request) {}), ==, COMMAND_RING_EMPTY);
        ask(fixture, PVCALLS_RELEASE, 99);
        requests_put(&fixture->requests);
        g_assert_cmpuint(taken(fixture).u.id, ==, 99);
}

static void test_accepts_leave_slots_for_others(struct fixture *fixture, gconstpointer data) {
        unsigned n = 0;

        for (; requests_may_accept(&fixture->requests); n++)
                ask(fixture, PVCALLS_ACCEPT, n);
        g_assert_cmpuint(n, ==, ACCEPTS_MAX);
        requests_put(&fixture->requests);
        ask(fixture, PVCALLS_CONNECT, 99);
        requests_put(&fixture->requests);
        while (n-- > 0)
                taken(fixture);
        g_assert_cmpuint(taken(fixture).u.id, ==, 99);
}

static void test_answers_in_any_order(struct fixture *fixture, gconstpointer data) {
        struct pvcalls_request requests[PVCALLS_SLOTS - RELEASE_SLOTS];
        struct request *request;
        int32_t result;

        for (int round = 0; round < 100; round++) {
                for (uint64_t i = 0; i < G_N_ELEMENTS(requests); i++)
                        ask(fixture, PVCALLS_CONNECT, i);
                requests_put(&fixture->requests);
                for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++)
                        requests[i] = taken(fixture);
                for (unsigned i = G_N_ELEMENTS(requests); i-- > 0;)
                        respond(fixture, requests[i].req_id, PVCALLS_CONNECT, -(int32_t) i);
                for (unsigned i = G_N_ELEMENTS(requests); i-- > 0;) {
                        g_assert_cmpint(requests_take(&fixture->requests, &request, &result), ==, 0);
                        g_assert_cmpuint(request->wire.u.id, ==, i);
                        g_assert_cmpint(result, ==, -(int32_t) i);
                        free(request);
                }
        }
        g_assert_cmpint(requests_take(&fixture->requests, &request, &result), ==, COMMAND_RING_EMPTY);
}

/* A number that nobody has, one that was answered already, another command's. */
static void test_answers_to_nothing(struct fixture *fixture, gconstpointer data) {
        struct pvcalls_request asked[3];
        struct request *request;
        int32_t result;

        for (unsigned i = 0; i < 3; i++)
                ask(fixture, PVCALLS_CONNECT, i);
        requests_put(&fixture->requests);
        for (unsigned i = 0; i < 3; i++)
                asked[i] = taken(fixture);
        respond(fixture, asked[0].req_id, PVCALLS_CONNECT, 0);
        g_assert_cmpint(requests_take(&fixture->requests, &request, &result), ==, 0);
        free(request);
        respond(fixture, asked[0].req_id, PVCALLS_CONNECT, 0);
        g_assert_cmpint(requests_take(&fixture->requests, &request, &result), ==, -EPROTO);
        respond(fixture, asked[1].req_id, PVCALLS_BIND, 0);
        g_assert_cmpint(requests_take(&fixture->requests, &request, &result), ==, -EPROTO);
}

static void test_withdrawing(struct fixture *fixture, gconstpointer data) {
        int other;
        struct request *request;

        requests_queue(&fixture->requests, request_new(PVCALLS_ACCEPT, 1, &other));
        ask(fixture, PVCALLS_ACCEPT, 2);
        requests_queue(&fixture->requests, request_new(PVCALLS_CONNECT, 3, &other));
        for (uint64_t id = 1; id <= 3; id += 2) {
                request = requests_withdraw(&fixture->requests, &other);
                g_assert_cmpuint(request->wire.u.id, ==, id);
                free(request);
        }
        g_assert_null(requests_withdraw(&fixture->requests, &other));
        g_assert_cmpuint(fixture->requests.n_accepts, ==, 1);
        ask(fixture, PVCALLS_CONNECT, 4);
        requests_put(&fixture->requests);
        g_assert_cmpuint(taken(fixture).u.id, ==, 2);
        g_assert_cmpuint(taken(fixture).u.id, ==, 4);
        g_assert_null(requests_withdraw(&fixture->requests, fixture));  /* it has them */
}

#define TEST(path, function) g_test_add(path, struct fixture, NULL, setup, function, teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        TEST("/front-requests/release-goes-first", test_release_goes_first);
        TEST("/front-requests/a-slot-is-kept-for-release", test_a_slot_is_kept_for_release);
        TEST("/front-requests/accepts-leave-slots-for-others", test_accepts_leave_slots_for_others);
        TEST("/front-requests/answers-in-any-order", test_answers_in_any_order);
        TEST("/front-requests/answers-to-nothing", test_answers_to_nothing);
        TEST("/front-requests/withdrawing", test_withdrawing);
        return g_test_run();
}
