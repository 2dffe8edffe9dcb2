/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A backend that lies to the library, and one that does what Linux's does. After each lie the library has given up what it had of that backend, told
 * its users, and works with the next; and when it is closed, no page and no port is left.
 */

#include <errno.h>
#include <glib.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/un.h>

#include "command-ring.h"
#include "error.h"
#include "toy-xen.h"
#include "xcp-pvcalls.h"

#define OWN "device/pvcalls/0"
#define PATIENCE_MS 60000

struct fixture {
        struct xcp_pvcalls *pvcalls;
        struct command_ring_back ring;
};

static const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = 80 };

/* Lets the library do what there is to do, and the backend's state follow, until it is connected. */
static void connect_link(struct fixture *fixture) {
        for (int i = 0; i < 10 && toy_xen_read(OWN "/state") != 4; i++) {
                uint32_t state = toy_xen_read(OWN "/state");

                if (state == 3)
                        command_ring_back_init(&fixture->ring, toy_xen_page(toy_xen_read(OWN "/ring-ref")));
                toy_xen_write("/b/state", state == 3 ? "4" : state == 5 ? "6" : "2");
                g_assert_cmpint(xcp_pvcalls_dispatch(fixture->pvcalls), ==, 0);
        }
        g_assert_cmpuint(toy_xen_read(OWN "/state"), ==, 4);
        g_assert_cmpint(xcp_pvcalls_get_state(fixture->pvcalls), ==, XCP_PVCALLS_CONNECTED);
}

static void offer_all(void) {
        static const char *const ones[] = { "versions", "function-calls", "feature-names", "feature-shutdown", "feature-socket-options",
                                            "feature-datagrams", "feature-ipv6", "feature-unix", "feature-notification-suppression" };
        char path[64];

        for (size_t i = 0; i < G_N_ELEMENTS(ones); i++) {
                g_snprintf(path, sizeof path, "/b/%s", ones[i]);
                toy_xen_write(path, "1");
        }
        toy_xen_write("/b/max-page-order", "4");
}

static void setup(struct fixture *fixture, gconstpointer data) {
        toy_xen_init();
        offer_all();
        toy_xen_write(OWN "/backend-id", "0");
        toy_xen_write(OWN "/backend", "/b");
        toy_xen_write("/b/state", "2");
        g_assert_cmpint(xcp_pvcalls_open(0, &fixture->pvcalls), ==, 0);
        connect_link(fixture);
}

static void teardown(struct fixture *fixture, gconstpointer data) {
        toy_xen_write("/b/state", "6");
        xcp_pvcalls_close(fixture->pvcalls, 0);
        g_assert_cmpuint(toy_xen_pages(), ==, 0);
        g_assert_cmpuint(toy_xen_ports(), ==, 0);
        toy_xen_init();
}

static void event(struct fixture *fixture) {
        toy_xen_event(toy_xen_read(OWN "/port"));
        g_assert_cmpint(xcp_pvcalls_dispatch(fixture->pvcalls), ==, 0);
}

/* The next request, which is of this command. */
static struct pvcalls_request take(struct fixture *fixture, uint32_t cmd) {
        struct pvcalls_request request;

        g_assert_cmpint(command_ring_back_take(&fixture->ring, &request), ==, 0);
        g_assert_cmpuint(request.cmd, ==, cmd);
        return request;
}

static bool is_asked(struct fixture *fixture) {
        struct pvcalls_request request;

        return command_ring_back_take(&fixture->ring, &request) == 0;
}

static void put(struct fixture *fixture, const struct pvcalls_request *request, int32_t ret) {
        command_ring_back_put(&fixture->ring, &(struct pvcalls_response) { .req_id = request->req_id, .cmd = request->cmd, .ret = ret });
}

/* Takes a request, and answers it as asked for. */
static struct pvcalls_request answer(struct fixture *fixture, uint32_t cmd, int32_t ret) {
        struct pvcalls_request request = take(fixture, cmd);

        put(fixture, &request, ret);
        event(fixture);
        return request;
}

static struct xcp_pvcalls_socket *socket_new(struct fixture *fixture) {
        struct xcp_pvcalls_socket *socket;

        g_assert_cmpint(xcp_pvcalls_socket_new(fixture->pvcalls, NULL, &socket), ==, 0);
        return socket;
}

/* A connection; and the page of its indexes. */
static struct xcp_pvcalls_socket *dial(struct fixture *fixture, struct pvcalls_indexes **ret_indexes) {
        struct xcp_pvcalls_socket *socket = socket_new(fixture);
        struct pvcalls_request request;

        g_assert_cmpint(xcp_pvcalls_connect(socket, (const struct sockaddr *) &address, sizeof address), ==, -EINPROGRESS);
        (void) answer(fixture, PVCALLS_SOCKET, 0);
        request = answer(fixture, PVCALLS_CONNECT, 0);
        g_assert_cmpint(xcp_pvcalls_result(socket), ==, 0);
        if (ret_indexes)
                *ret_indexes = toy_xen_page(request.u.connect.ref);
        return socket;
}

static struct xcp_pvcalls_socket *listen_on(struct fixture *fixture) {
        struct xcp_pvcalls_socket *socket = socket_new(fixture);

        g_assert_cmpint(xcp_pvcalls_bind(socket, (const struct sockaddr *) &address, sizeof address), ==, -EINPROGRESS);
        (void) answer(fixture, PVCALLS_SOCKET, 0);
        (void) answer(fixture, PVCALLS_BIND, 0);
        g_assert_cmpint(xcp_pvcalls_listen(socket, 5), ==, -EINPROGRESS);
        (void) answer(fixture, PVCALLS_LISTEN, 0);
        g_assert_cmpint(xcp_pvcalls_result(socket), ==, 0);
        return socket;
}

/* The library has given the backend up. It works with it again when it begins anew. */
static void assert_gives_up(struct fixture *fixture, struct xcp_pvcalls_socket *socket) {
        unsigned epoch = xcp_pvcalls_get_epoch(fixture->pvcalls);
        char byte;

        g_assert_cmpint(xcp_pvcalls_dispatch(fixture->pvcalls), ==, 0);
        g_assert_cmpuint(toy_xen_read(OWN "/state"), ==, 5);
        g_assert_cmpint(xcp_pvcalls_get_state(fixture->pvcalls), ==, XCP_PVCALLS_WAITING);
        if (socket) {
                g_assert_cmpint(xcp_pvcalls_receive(socket, &byte, 1), <, 0);
                g_assert_cmpint(xcp_pvcalls_send(socket, "x", 1), <, 0);
                xcp_pvcalls_socket_release(socket);
        }
        connect_link(fixture);
        g_assert_cmpuint(xcp_pvcalls_get_epoch(fixture->pvcalls), ==, epoch + 1);
        xcp_pvcalls_socket_release(dial(fixture, NULL));
        (void) answer(fixture, PVCALLS_RELEASE, 0);
}

static void test_answers_to_nothing(struct fixture *fixture, gconstpointer data) {
        static const struct { uint32_t req_id, cmd; } lies[] = { { 31, PVCALLS_RELEASE }, { UINT32_MAX, PVCALLS_SOCKET }, { 0, PVCALLS_POLL } };

        for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
                struct xcp_pvcalls_socket *socket = dial(fixture, NULL), *other = socket_new(fixture);

                (void) xcp_pvcalls_bind(other, (const struct sockaddr *) &address, sizeof address);
                (void) take(fixture, PVCALLS_SOCKET);
                command_ring_back_put(&fixture->ring, &(struct pvcalls_response) { .req_id = lies[i].req_id, .cmd = lies[i].cmd });
                event(fixture);
                g_assert_cmpint(xcp_pvcalls_result(other), ==, -ENETDOWN);
                xcp_pvcalls_socket_release(other);
                assert_gives_up(fixture, socket);
        }
}

static void test_an_answer_given_twice(struct fixture *fixture, gconstpointer data) {
        struct xcp_pvcalls_socket *socket = dial(fixture, NULL), *other = socket_new(fixture);
        struct pvcalls_request request;

        (void) xcp_pvcalls_bind(other, (const struct sockaddr *) &address, sizeof address);
        request = take(fixture, PVCALLS_SOCKET);
        (void) take(fixture, PVCALLS_BIND);
        put(fixture, &request, 0);
        put(fixture, &request, 0);
        event(fixture);
        xcp_pvcalls_socket_release(other);
        assert_gives_up(fixture, socket);
}

static void test_the_command_ring_s_index(struct fixture *fixture, gconstpointer data) {
        static const uint32_t steps[] = { 1, PVCALLS_SLOTS, PVCALLS_SLOTS + 1, UINT32_MAX, 1u << 31 };

        for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
                struct xcp_pvcalls_socket *socket = dial(fixture, NULL);

                atomic_fetch_add(&fixture->ring.page->rsp_prod, steps[i]);
                event(fixture);
                assert_gives_up(fixture, socket);
        }
}

static void test_results_that_cannot_be(struct fixture *fixture, gconstpointer data) {
        static const int32_t results[] = { 1, INT32_MAX, INT32_MIN, -4096, -100000 };

        for (size_t i = 0; i < G_N_ELEMENTS(results); i++) {
                struct xcp_pvcalls_socket *socket = socket_new(fixture);

                (void) xcp_pvcalls_connect(socket, (const struct sockaddr *) &address, sizeof address);
                (void) answer(fixture, PVCALLS_SOCKET, 0);
                (void) answer(fixture, PVCALLS_CONNECT, results[i]);
                g_assert_cmpint(xcp_pvcalls_result(socket), ==, -EIO);
                xcp_pvcalls_socket_release(socket);
                (void) answer(fixture, PVCALLS_RELEASE, results[i]);
        }
}

static void test_data_indexes(struct fixture *fixture, gconstpointer data) {
        static const uint32_t lies[] = { 32769, 1, UINT32_MAX, 1u << 31 };      /* of `in` and `out` in turn */

        for (unsigned i = 0; i < G_N_ELEMENTS(lies); i++) {
                struct pvcalls_indexes *indexes;
                struct xcp_pvcalls_socket *socket = dial(fixture, &indexes), *other = dial(fixture, NULL);
                char byte;

                atomic_store(i % 2 ? &indexes->out.cons : &indexes->in.prod, lies[i]);
                g_assert_cmpint(i % 2 ? xcp_pvcalls_send(socket, "x", 1) : xcp_pvcalls_receive(socket, &byte, 1), ==, -EIO);
                xcp_pvcalls_socket_release(socket);
                assert_gives_up(fixture, other);        /* all are the same backend's */
        }
}

static void test_errors_of_the_rings(struct fixture *fixture, gconstpointer data) {
        static const uint32_t errors[] = { 1, INT32_MAX, (uint32_t) INT32_MIN, (uint32_t) -100000 };

        for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
                struct pvcalls_indexes *indexes;
                struct xcp_pvcalls_socket *socket = dial(fixture, &indexes);
                char byte;

                atomic_store(&indexes->in.error, errors[i]);
                atomic_store(&indexes->out.error, errors[i]);
                g_assert_cmpint(xcp_pvcalls_receive(socket, &byte, 1), ==, -EIO);
                g_assert_cmpint(xcp_pvcalls_send(socket, "x", 1), ==, -EIO);
                xcp_pvcalls_socket_release(socket);
                (void) answer(fixture, PVCALLS_RELEASE, 0);
        }
}

/* Refs and the order on the indexes page are for the backend to read: what it makes of them is nothing to us. */
static void test_references_on_our_pages(struct fixture *fixture, gconstpointer data) {
        struct pvcalls_indexes *indexes;
        struct xcp_pvcalls_socket *socket = dial(fixture, &indexes);

        atomic_store(&indexes->ring_order, 31);
        for (size_t i = 0; i < G_N_ELEMENTS(indexes->refs); i++)
                atomic_store(&indexes->refs[i], UINT32_MAX);
        g_assert_cmpint(xcp_pvcalls_send(socket, "12345", 5), ==, 5);
        xcp_pvcalls_socket_release(socket);
        (void) answer(fixture, PVCALLS_RELEASE, 0);
        socket = dial(fixture, &indexes);       /* the same pages again, with what is ours on them */
        g_assert_cmpuint(atomic_load(&indexes->ring_order), ==, 4);
        g_assert_cmpuint(atomic_load(&indexes->refs[0]), <, UINT32_MAX);
        xcp_pvcalls_socket_release(socket);
        (void) answer(fixture, PVCALLS_RELEASE, 0);
}

static void tell_name(struct fixture *fixture, uint32_t offset, uint32_t len, const void *piece, size_t n) {
        struct pvcalls_request request = take(fixture, PVCALLS_GETNAME);
        struct pvcalls_response response = { .req_id = request.req_id, .cmd = request.cmd, .len = len };

        g_assert_cmpuint(request.u.getname.offset, ==, offset);
        memcpy(response.piece, piece, n);
        command_ring_back_put(&fixture->ring, &response);
        event(fixture);
}

static int name_of(struct xcp_pvcalls_socket *socket, struct sockaddr_un *ret_name, socklen_t *ret_size) {
        *ret_size = sizeof *ret_name;
        return xcp_pvcalls_local_address(socket, (struct sockaddr *) ret_name, ret_size);
}

static void test_names_that_cannot_be(struct fixture *fixture, gconstpointer data) {
        static const struct { uint32_t len; uint8_t family; } lies[] = { { 0, 2 }, { 1, 2 }, { 2, 2 }, { 15, 2 }, { 29, 2 }, { 27, 10 }, { 36, 10 },
                                                                      { 16, 0 }, { 16, 77 }, { 111, 1 }, { UINT32_MAX, 1 }, { UINT32_MAX, 2 } };
        struct sockaddr_un name;
        socklen_t size;

        for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
                struct xcp_pvcalls_socket *socket = dial(fixture, NULL);
                uint8_t piece[PVCALLS_PIECE_SIZE] = { lies[i].family };

                g_assert_cmpint(name_of(socket, &name, &size), ==, -EINPROGRESS);
                tell_name(fixture, 0, lies[i].len, piece, sizeof piece);
                g_assert_cmpint(name_of(socket, &name, &size), ==, -EIO);
                xcp_pvcalls_socket_release(socket);
                (void) answer(fixture, PVCALLS_RELEASE, 0);
        }
}

static void test_names_that_change(struct fixture *fixture, gconstpointer data) {
        for (uint32_t second = 59; second < 62; second++) {
                struct xcp_pvcalls_socket *socket = dial(fixture, NULL);
                uint8_t piece[PVCALLS_PIECE_SIZE] = { 1, 0, '/' };
                struct sockaddr_un name;
                socklen_t size;

                memset(piece + 3, 'x', sizeof piece - 3);
                g_assert_cmpint(name_of(socket, &name, &size), ==, -EINPROGRESS);
                tell_name(fixture, 0, 60, piece, sizeof piece);
                g_assert_cmpint(name_of(socket, &name, &size), ==, -EINPROGRESS);
                tell_name(fixture, PVCALLS_PIECE_SIZE, second, piece + 3, sizeof piece - 3);
                g_assert_cmpint(name_of(socket, &name, &size), ==, second == 60 ? 0 : -EIO);
                xcp_pvcalls_socket_release(socket);
                (void) answer(fixture, PVCALLS_RELEASE, 0);
        }
}

/* One that answers no option makes nobody keep more and more of them. */
static void test_options_are_bounded(struct fixture *fixture, gconstpointer data) {
        struct xcp_pvcalls_socket *socket = dial(fixture, NULL);
        const uint32_t on = 1;
        int n = 0, r;

        while ((r = xcp_pvcalls_set_option(socket, 1, 9, &on, sizeof on)) == 0)
                g_assert_cmpint(++n, <, 100);
        g_assert_cmpint(r, ==, -EAGAIN);
        g_assert_cmpuint(answer(fixture, PVCALLS_SETSOCKOPT, -92).u.sockopt.name, ==, 9);
        g_assert_cmpint(xcp_pvcalls_set_option(socket, 1, 9, &on, sizeof on), ==, 0);
        g_assert_cmpint(xcp_pvcalls_set_option(socket, 1, 9, &on, 37), ==, -EINVAL);
        xcp_pvcalls_socket_release(socket);
}

/* It stays on its feet, and says that it is not connected, whatever a state node says in whatever order. */
static void test_states_in_any_order(struct fixture *fixture, gconstpointer data) {
        static const char *const states[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "-1", "44", "x", NULL };
        g_autoptr(GRand) random = g_rand_new_with_seed(1);

        for (int i = 0; i < 3000; i++) {
                toy_xen_write("/b/state", states[g_rand_int_range(random, 0, (gint32) G_N_ELEMENTS(states))]);
                g_assert_cmpint(xcp_pvcalls_dispatch(fixture->pvcalls), ==, 0);
        }
        toy_xen_write("/b/state", "6");
        g_assert_cmpint(xcp_pvcalls_dispatch(fixture->pvcalls), ==, 0);
        connect_link(fixture);
        xcp_pvcalls_socket_release(dial(fixture, NULL));
        (void) answer(fixture, PVCALLS_RELEASE, 0);
}

static void test_offers_that_cannot_be(struct fixture *fixture, gconstpointer data) {
        static const struct { const char *node, *value; } lies[] = {
                { "/b/versions", "2" }, { "/b/versions", "11" }, { "/b/versions", NULL }, { "/b/function-calls", "0" }, { "/b/max-page-order", "0" },
                { "/b/max-page-order", "x" }, { "/b/max-page-order", "-1" }, { "/b/max-page-order", "99999999999" }, { "/b/max-page-order", NULL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lies); i++) {
                toy_xen_write("/b/state", "6");
                (void) xcp_pvcalls_dispatch(fixture->pvcalls);
                toy_xen_write(lies[i].node, lies[i].value);
                for (int j = 0; j < 4; j++) {
                        toy_xen_write("/b/state", "2");
                        g_assert_cmpint(xcp_pvcalls_dispatch(fixture->pvcalls), ==, 0);
                }
                g_assert_cmpuint(toy_xen_read(OWN "/state"), ==, 1);    /* it waits for a better one */
                offer_all();
                connect_link(fixture);
        }
        toy_xen_write("/b/max-page-order", "4000000000");       /* more than there can be is as much as there can be */
        toy_xen_write("/b/state", "6");
        (void) xcp_pvcalls_dispatch(fixture->pvcalls);
        connect_link(fixture);
        xcp_pvcalls_socket_release(dial(fixture, NULL));
        (void) answer(fixture, PVCALLS_RELEASE, 0);
}

static void test_events_of_nothing(struct fixture *fixture, gconstpointer data) {
        struct xcp_pvcalls_socket *socket = dial(fixture, NULL);

        for (uint32_t port = 0; port < 100000; port += 37) {
                toy_xen_event(port);
                toy_xen_event(INT32_MAX - port);
                g_assert_cmpint(xcp_pvcalls_dispatch(fixture->pvcalls), ==, 0);
        }
        g_assert_cmpint(xcp_pvcalls_send(socket, "x", 1), ==, 1);
        xcp_pvcalls_socket_release(socket);
        (void) answer(fixture, PVCALLS_RELEASE, 0);
}

static void test_no_pages_and_no_ports(struct fixture *fixture, gconstpointer data) {
        unsigned pages = toy_xen_pages(), ports = toy_xen_ports();

        for (unsigned left = 0; left < 4; left++) {     /* a ring needs three pages at least, and a port */
                struct xcp_pvcalls_socket *socket = socket_new(fixture);
                int r;

                toy_xen_limit(left, left == 3 ? 0 : 1);
                r = xcp_pvcalls_connect(socket, (const struct sockaddr *) &address, sizeof address);
                g_assert_cmpint(r, ==, -ENOBUFS);
                g_assert_false(is_asked(fixture));
                xcp_pvcalls_socket_release(socket);
                g_assert_cmpuint(toy_xen_pages(), ==, pages);
                g_assert_cmpuint(toy_xen_ports(), ==, ports);
        }
        toy_xen_limit(3, 1);
        xcp_pvcalls_socket_release(dial(fixture, NULL));
        (void) answer(fixture, PVCALLS_RELEASE, 0);
}

/* ACCEPTs that are refused, with whatever error, are tried again after a while, and not at once, which would never end. */
static void test_accepts_that_are_refused(struct fixture *fixture, gconstpointer data) {
        struct xcp_pvcalls_socket *listener = listen_on(fixture);
        struct pollfd device = { .fd = xcp_pvcalls_fd(fixture->pvcalls), .events = POLLIN };

        for (int round = 0; round < 4; round++) {
                struct pvcalls_request request;
                unsigned n = 0;

                while (command_ring_back_take(&fixture->ring, &request) == 0) {
                        g_assert_cmpuint(request.cmd, ==, PVCALLS_ACCEPT);
                        put(fixture, &request, pvcalls_error_to_wire(round % 2 ? -ENOMEM : -EMFILE));
                        event(fixture);
                        g_assert_cmpuint(++n, <, 200);          /* four, and some more on a machine that is slower than the pauses, which get longer */
                }
                g_assert_cmpuint(n, >, 0);
                g_assert_cmpint(poll(&device, 1, PATIENCE_MS), ==, 1);  /* the timer */
                g_assert_cmpint(xcp_pvcalls_dispatch(fixture->pvcalls), ==, 0);
        }
        xcp_pvcalls_socket_release(listener);
}

/* As Linux's backend has it: RELEASE of a listener is answered, and what was parked there never. */
static void test_accepts_that_are_never_answered(struct fixture *fixture, gconstpointer data) {
        unsigned epoch = xcp_pvcalls_get_epoch(fixture->pvcalls);
        struct xcp_pvcalls_socket *socket = dial(fixture, NULL);

        for (int i = 0; i < 4; i++) {
                struct xcp_pvcalls_socket *listener = listen_on(fixture);

                for (int j = 0; j < 4; j++)
                        (void) take(fixture, PVCALLS_ACCEPT);
                xcp_pvcalls_socket_release(listener);
                (void) answer(fixture, PVCALLS_RELEASE, 0);
        }
        g_assert_cmpuint(toy_xen_read(OWN "/state"), ==, 4);    /* sixteen slots are lost, but there is a connection */
        xcp_pvcalls_socket_release(socket);
        (void) answer(fixture, PVCALLS_RELEASE, 0);
        g_assert_cmpint(xcp_pvcalls_dispatch(fixture->pvcalls), ==, 0);
        g_assert_cmpuint(toy_xen_read(OWN "/state"), ==, 5);    /* and now there is none: the ring is made anew */
        connect_link(fixture);
        g_assert_cmpuint(xcp_pvcalls_get_epoch(fixture->pvcalls), ==, epoch + 1);
        for (int i = 0; i < 4; i++) {
                (void) listen_on(fixture);
                for (int j = 0; j < 4; j++)
                        (void) take(fixture, PVCALLS_ACCEPT);
        }
}

/* And one that answers them after all: what they bring is reset (SO_LINGER), and released. */
static void test_accepts_that_are_answered_too_late(struct fixture *fixture, gconstpointer data) {
        struct xcp_pvcalls_socket *listener = listen_on(fixture);
        struct pvcalls_request accepts[4];

        for (int i = 0; i < 4; i++)
                accepts[i] = take(fixture, PVCALLS_ACCEPT);
        xcp_pvcalls_socket_release(listener);
        (void) answer(fixture, PVCALLS_RELEASE, 0);
        put(fixture, &accepts[0], pvcalls_error_to_wire(-EINVAL));
        put(fixture, &accepts[1], 0);
        event(fixture);
        g_assert_cmpuint(answer(fixture, PVCALLS_SETSOCKOPT, 0).u.sockopt.name, ==, 13);
        g_assert_cmpuint(answer(fixture, PVCALLS_RELEASE, 0).u.id, ==, accepts[1].u.accept.id_new);
        g_assert_cmpuint(toy_xen_read(OWN "/state"), ==, 4);
}

#define ADD(path, test) g_test_add("/front-lies/" path, struct fixture, NULL, setup, test, teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("answers-to-nothing", test_answers_to_nothing);
        ADD("an-answer-given-twice", test_an_answer_given_twice);
        ADD("the-command-ring-s-index", test_the_command_ring_s_index);
        ADD("results-that-cannot-be", test_results_that_cannot_be);
        ADD("data-indexes", test_data_indexes);
        ADD("errors-of-the-rings", test_errors_of_the_rings);
        ADD("references-on-our-pages", test_references_on_our_pages);
        ADD("names-that-cannot-be", test_names_that_cannot_be);
        ADD("names-that-change", test_names_that_change);
        ADD("options-are-bounded", test_options_are_bounded);
        ADD("states-in-any-order", test_states_in_any_order);
        ADD("offers-that-cannot-be", test_offers_that_cannot_be);
        ADD("events-of-nothing", test_events_of_nothing);
        ADD("no-pages-and-no-ports", test_no_pages_and_no_ports);
        ADD("accepts-that-are-refused", test_accepts_that_are_refused);
        ADD("accepts-never-answered", test_accepts_that_are_never_answered);
        ADD("accepts-answered-too-late", test_accepts_that_are_answered_too_late);
        return g_test_run();
}
