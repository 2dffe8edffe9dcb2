/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A guest's rings, by the frontend that tests use (pvcalls/backend/toy-device.h): what a frontend at least has to do. XCP_BENCH_ORDER is the order
 * of the rings, XCP_BENCH_SPIN for how many microseconds it looks for data before it sleeps, at most.
 */

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "name.h"
#include "rounds.h"
#include "spin.h"
#include "toy-device.h"
#include "transport.h"

#define SPIN_USEC 50u                   /* as the backend's default */

static struct toy toy;
static uint32_t order = 9;
static bool reuse;                      /* what RELEASE says of pages and ports, which are kept whatever it says */
static bool fresh;                      /* but for this: each connection has new ones */
static struct spin spin;
static long n_preempted;

static _Noreturn void fail(const char *what) {
        exit(rounds_fail("bench-pvcalls-guest", what));
}

static struct pvcalls_response ask(struct pvcalls_request *request) {
        struct pvcalls_response response;
        int64_t req_id = toy_request(&toy, request);

        if (req_id < 0 || toy_await(&toy, (uint32_t) req_id, TOY_DEADLINE_MS, &response) < 0)
                fail("have a request answered");
        return response;
}

/* A number that the backend has announced; 0: it has not. */
static unsigned announced(const char *node) {
        char *text = toy_read_backend(&toy, node);
        unsigned number = text ? (unsigned) atoi(text) : 0;

        free(text);
        return number;
}

/* What the backend takes, which is Linux's in the lab. */
static int offer(void) {
        unsigned max = announced("max-page-order");

        order = order < max ? order : max;
        return toy_offer(&toy, announced("feature-notification-suppression") == 1);
}

int transport_open(int argc, char **argv) {
        const char *wanted = getenv("XCP_BENCH_ORDER"), *usec = getenv("XCP_BENCH_SPIN");
        cpu_set_t cpus;

        CPU_ZERO(&cpus);
        if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
                spin_init(&spin, usec ? (uint32_t) atoi(usec) : SPIN_USEC, (unsigned) CPU_COUNT(&cpus));
        if (wanted)
                order = (uint32_t) atoi(wanted);
        reuse = argc > 3 && strcmp(argv[3], "reuse") == 0;
        fresh = argc > 3 && strcmp(argv[3], "fresh") == 0;
        if (toy_open(&toy) < 0 || toy_set_state(&toy, 1) < 0 || toy_wait_backend(&toy, 1u << 2, TOY_DEADLINE_MS) < 0 ||
            offer() < 0 || toy_set_state(&toy, 3) < 0 || toy_wait_backend(&toy, 1u << 4, TOY_DEADLINE_MS) < 0)
                return -ECONNREFUSED;
        return toy_set_state(&toy, 4);
}

static struct toy_socket *rings_of(unsigned number) {
        struct toy_socket *socket = toy_socket_find(&toy, number);

        if (socket && socket->indexes) {        /* kept: its pages are used again */
                toy_socket_renew(&toy, socket);
                return socket;
        }
        if (toy_socket_new(&toy, number, order, &socket) < 0)
                fail("share pages");
        return socket;
}

/* Puts a request, and waits for nothing. */
static uint32_t put(struct pvcalls_request *request) {
        int64_t req_id = toy_request(&toy, request);

        if (req_id < 0)
                fail("have room for a request");
        return (uint32_t) req_id;
}

static void await(uint32_t req_id, const char *what) {
        struct pvcalls_response response;

        if (toy_await(&toy, req_id, TOY_DEADLINE_MS, &response) < 0 || response.ret != 0)
                fail(what);
}

static uint32_t put_connect(unsigned number, uint16_t port) {
        struct pvcalls_request make = { .cmd = PVCALLS_SOCKET, .u.socket = { .id = number, .domain = PVCALLS_INET, .type = PVCALLS_STREAM } };
        struct pvcalls_request request = { .cmd = PVCALLS_CONNECT, .u.connect.id = number };
        uint8_t bytes[PVCALLS_NAME_MAX];
        struct pvcalls_name name;
        struct toy_socket *socket;

        pvcalls_name_init(&name, AF_INET);
        name.inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        pvcalls_name_set_port(&name, htons(port));
        request.u.connect.len = pvcalls_name_format(&name, bytes);
        memcpy(request.u.connect.addr, bytes, sizeof request.u.connect.addr);
        socket = rings_of(number);
        request.u.connect.ref = socket->ref;
        request.u.connect.evtchn = socket->port;
        put(&make);                     /* what is wrong with it is wrong with CONNECT */
        return put(&request);
}

void transport_connect(unsigned first, unsigned n, uint16_t port) {
        uint32_t req_ids[PVCALLS_SLOTS];

        for (unsigned i = 0; i < n; i++)
                req_ids[i] = put_connect(first + i, port);
        for (unsigned i = 0; i < n; i++)
                await(req_ids[i], "connect");
        toy.n_responses = 0;            /* of SOCKET */
}

void transport_close(unsigned first, unsigned n) {
        uint32_t req_ids[PVCALLS_SLOTS];

        for (unsigned i = 0; i < n; i++)
                req_ids[i] = put(&(struct pvcalls_request) { .cmd = PVCALLS_RELEASE, .u.release = { .id = first + i, .reuse = reuse } });
        for (unsigned i = 0; i < n; i++) {
                await(req_ids[i], "release");
                if (fresh)
                        toy_socket_free(&toy, toy_socket_find(&toy, first + i));
        }
}

static void copy(struct iovec pieces[2], void *data, size_t n, bool out) {
        size_t first = n < pieces[0].iov_len ? n : pieces[0].iov_len;

        if (out) {
                memcpy(pieces[0].iov_base, data, first);
                memcpy(pieces[1].iov_base, (uint8_t *) data + first, n - first);
        } else {
                memcpy(data, pieces[0].iov_base, first);
                memcpy((uint8_t *) data + first, pieces[1].iov_base, n - first);
        }
}

void transport_write(unsigned number, const void *data, size_t n) {
        struct toy_socket *socket = toy_socket_find(&toy, number);

        for (size_t done = 0; done < n;) {
                struct iovec pieces[2];
                size_t room, some;

                if (data_producer_error(&socket->out) != 0 || data_producer_space(&socket->out, pieces, &room) < 0)
                        fail("write");
                if (room == 0) {
                        if (data_producer_sleep(&socket->out, socket->out.size / 2) == 0)
                                toy_wait_event(&toy, TOY_DEADLINE_MS);
                        continue;
                }
                some = n - done < room ? n - done : room;
                copy(pieces, (uint8_t *) data + done, some, true);
                data_producer_commit(&socket->out, some);
                if (data_producer_must_notify(&socket->out))
                        xenevtchn_notify(toy.events, socket->port);
                done += some;
        }
}

static uint64_t now_usec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static bool was_preempted(void) {
        long before = n_preempted;
        struct rusage usage;

        if (getrusage(RUSAGE_SELF, &usage) == 0)
                n_preempted = usage.ru_nivcsw;
        return n_preempted != before;
}

static void look_for_data(struct toy_socket *socket) {
        uint64_t since = now_usec();
        struct iovec pieces[2];
        int32_t error = 0;
        size_t n = 0;

        do {
                if (now_usec() - since >= spin_next(&spin) && data_consumer_sleep(&socket->in) == 0)
                        toy_wait_event(&toy, TOY_DEADLINE_MS);
        } while (data_consumer_next(&socket->in, pieces, &n, &error) == 0 && n == 0 && error == 0);
        if (spin_next(&spin) > 0 && was_preempted())
                spin_tell_crowded(&spin);
        spin_tell(&spin, now_usec() - since);
}

/* Waits until the ring has something, or an end: at first by looking, which spares the backend the notification, if there are CPUs for it. */
static void wait_for_data(struct toy_socket *socket) {
        if (spin.max_usec > 0)
                look_for_data(socket);
        else if (data_consumer_sleep(&socket->in) == 0)
                toy_wait_event(&toy, TOY_DEADLINE_MS);
}

/* Returns false at the end. */
static bool read_some(struct toy_socket *socket, void *data, size_t max, size_t *ret_n) {
        struct iovec pieces[2];
        int32_t error;

        for (;;) {
                if (data_consumer_next(&socket->in, pieces, ret_n, &error) < 0 || error != 0)
                        return false;
                if (*ret_n > 0)
                        break;
                wait_for_data(socket);
        }
        *ret_n = *ret_n < max ? *ret_n : max;
        copy(pieces, data, *ret_n, false);
        data_consumer_commit(&socket->in, *ret_n);
        if (data_consumer_must_notify(&socket->in))
                xenevtchn_notify(toy.events, socket->port);
        return true;
}

void transport_read(unsigned number, void *data, size_t n) {
        struct toy_socket *socket = toy_socket_find(&toy, number);

        for (size_t done = 0, some; done < n; done += some)
                if (!read_some(socket, (uint8_t *) data + done, n - done, &some))
                        fail("read");
}

static bool read_all(struct toy_socket *socket, void *data, size_t n) {
        for (size_t done = 0, some; done < n; done += some)
                if (!read_some(socket, (uint8_t *) data + done, n - done, &some))
                        return false;
        return true;
}

static void serve_sink(struct toy_socket *socket) {
        static uint8_t data[1 << 18];
        uint64_t left;
        size_t n;

        if (!read_all(socket, data, 1))
                return;
        while (read_all(socket, &left, sizeof left)) {
                for (; left > 0; left -= n)
                        if (!read_some(socket, data, left < sizeof data ? (size_t) left : sizeof data, &n))
                                return;
                transport_write(1, data, 1);
        }
}

void transport_serve(uint16_t port) {
        struct pvcalls_request requests[] = {
                { .cmd = PVCALLS_SOCKET, .u.socket = { .id = 0, .domain = PVCALLS_INET, .type = PVCALLS_STREAM } },
                { .cmd = PVCALLS_BIND, .u.bind = { .id = 0, .addr = { 2, 0, (uint8_t) (port >> 8), (uint8_t) port, 127, 0, 0, 1 }, .len = 16 } },
                { .cmd = PVCALLS_LISTEN, .u.listen = { .id = 0, .backlog = 4 } },
        };

        for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
                if (ask(&requests[i]).ret != 0)
                        fail("listen");
        for (bool first = true;; first = false) {
                struct pvcalls_request accept = { .cmd = PVCALLS_ACCEPT, .u.accept = { .id = 0, .id_new = 1 } };
                struct pvcalls_request release = { .cmd = PVCALLS_RELEASE, .u.release.id = 1 };
                struct toy_socket *socket;
                struct pvcalls_response response;
                int64_t req_id;

                if (toy_socket_new(&toy, 1, order, &socket) < 0)
                        fail("share pages");
                accept.u.accept.ref = socket->ref;
                accept.u.accept.evtchn = socket->port;
                req_id = toy_request(&toy, &accept);
                if (first)
                        printf("port %u\n", port);
                fflush(stdout);
                if (req_id < 0 || toy_await(&toy, (uint32_t) req_id, TOY_DEADLINE_MS, &response) < 0 || response.ret != 0)
                        fail("accept");
                serve_sink(socket);
                ask(&release);
                toy_socket_free(&toy, socket);
        }
}
