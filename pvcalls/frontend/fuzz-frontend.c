/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks the frontend: a program that calls the library in any order, and a backend that answers as it should, or writes whatever the input says to
 * the command ring, the indexes, the data, the store and the event channels, and pages, ports and memory that end. Operations are a byte each and what they
 * need behind it.
 *
 * Invariants are the sanitizers' and toy-xen's, and that nothing is left of pages and ports when the device is closed.
 */

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "command-ring.h"
#include "fuzz-input.h"
#include "toy-xen.h"
#include "xcp-pvcalls.h"

#define SOCKETS 8u
#define REQUESTS 32u

/* The linker puts this one in place of calloc(3) (--wrap): the library allocates by it alone what it needs besides strings. */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static uint32_t calls_left;             /* until one fails; 0: none will */

void *__wrap_calloc(size_t n, size_t size) {
        return calls_left > 0 && --calls_left == 0 ? NULL : __real_calloc(n, size);
}

struct world {
        struct xcp_pvcalls *pvcalls;
        struct xcp_pvcalls_socket *sockets[SOCKETS];
        struct command_ring_back ring;
        struct pvcalls_request requests[REQUESTS];      /* taken and not answered */
        unsigned n_requests;
        uint32_t refs[REQUESTS], n_refs;        /* of indexes pages that requests have told of */
};

static void setup_nodes(struct input *input) {
        static const char *const features[] = { "names", "shutdown", "socket-options", "datagrams", "ipv6", "unix", "notification-suppression" };
        uint32_t has = next(input, 1);
        char path[64];

        toy_xen_write("device/pvcalls/0/backend-id", "0");
        toy_xen_write("device/pvcalls/0/backend", "/b");
        toy_xen_write("/b/versions", "1");
        toy_xen_write("/b/function-calls", "1");
        toy_xen_write_number("/b/max-page-order", 1 + (has >> 7) * 2);
        for (unsigned i = 0; i < sizeof features / sizeof features[0]; i++) {
                strcpy(path, "/b/feature-");
                strcat(path, features[i]);
                toy_xen_write_number(path, has >> i & 1);
        }
        toy_xen_write("/b/state", "2");
}

/* What a good backend does in the store: it connects, lets go, and begins again. */
static void follow(struct world *world) {
        uint32_t state = toy_xen_read("device/pvcalls/0/state");
        void *page = toy_xen_page(toy_xen_read("device/pvcalls/0/ring-ref"));

        if (state == 3 && page) {
                command_ring_back_init(&world->ring, page);
                world->n_requests = world->n_refs = 0;
                toy_xen_write("/b/state", "4");
        } else if (state == 5) {
                toy_xen_write("/b/state", "6");
        } else if (state == 1 || state == 6) {
                toy_xen_write("/b/state", "2");
        }
}

static bool is_up(void) {
        return toy_xen_read("device/pvcalls/0/state") == 4 && toy_xen_page(toy_xen_read("device/pvcalls/0/ring-ref"));
}

static void remember(struct world *world, uint32_t ref) {
        if (ref != 0)
                world->refs[world->n_refs++ % REQUESTS] = ref;
}

static void take(struct world *world) {
        struct pvcalls_request request;

        while (is_up() && world->n_requests < REQUESTS && command_ring_back_take(&world->ring, &request) == 0) {
                world->requests[world->n_requests++] = request;
                if (request.cmd == PVCALLS_CONNECT)
                        remember(world, request.u.connect.ref);
                if (request.cmd == PVCALLS_ACCEPT)
                        remember(world, request.u.accept.ref);
                if (request.cmd == PVCALLS_ATTACH)
                        remember(world, request.u.attach.ref);
        }
}

static void answer(struct world *world, struct input *input) {
        uint32_t how = next(input, 1), which;
        struct pvcalls_response response = {};

        take(world);
        if (world->n_requests == 0 || !is_up())
                return;
        which = how % world->n_requests;
        response = (struct pvcalls_response) { .req_id = world->requests[which].req_id, .cmd = world->requests[which].cmd, .id = world->requests[which].u.id };
        if (how & 64)
                response.ret = -(int32_t) next(input, 1);
        if (how & 128) {
                response.len = next(input, 1);
                next_bytes(input, response.piece, sizeof response.piece);
        }
        world->requests[which] = world->requests[--world->n_requests];
        command_ring_back_put(&world->ring, &response);
        toy_xen_event(toy_xen_read("device/pvcalls/0/port"));
}

static void lie_in_ring(struct input *input) {
        _Atomic uint32_t *words = toy_xen_page(toy_xen_read("device/pvcalls/0/ring-ref"));
        uint32_t at = next(input, 2) % 1024;

        if (words)
                atomic_store(&words[at < 960 ? at % 80 : at % 4], next(input, at & 512 ? 4 : 1));
        toy_xen_event(toy_xen_read("device/pvcalls/0/port"));
}

static void lie_in_indexes(struct world *world, struct input *input) {
        uint32_t which = next(input, 1), word = next(input, 1) % 32, value = next(input, which & 128 ? 4 : 1);
        _Atomic uint32_t *words = world->n_refs > 0 ? toy_xen_page(world->refs[which % (world->n_refs < REQUESTS ? world->n_refs : REQUESTS)]) : NULL;

        if (words)
                atomic_store(&words[word], value);
        toy_xen_event(1 + which % 16);
}

/* Bytes in a socket's data, the first page of them. */
static void write_data(struct world *world, struct input *input) {
        uint32_t which = next(input, 1), at = next(input, 2) % (PVCALLS_PAGE_SIZE - 64);
        struct pvcalls_indexes *indexes = world->n_refs > 0 ? toy_xen_page(world->refs[which % (world->n_refs < REQUESTS ? world->n_refs : REQUESTS)]) : NULL;
        uint8_t *page = indexes ? toy_xen_page(atomic_load(&indexes->refs[0])) : NULL;

        if (page)
                next_bytes(input, page + at, 64);
}

static void backend_step(struct world *world, struct input *input) {
        switch (next(input, 1) % 8) {
        case 0: lie_in_ring(input); break;
        case 1: lie_in_indexes(world, input); break;
        case 2: write_data(world, input); break;
        case 3: toy_xen_write_number("/b/state", next(input, 1) % 10); break;
        case 4: toy_xen_event(next(input, 4)); break;
        case 5:
                calls_left = next(input, 1);
                toy_xen_limit(next(input, 1), next(input, 1));
                break;
        case 6: toy_xen_write("device/pvcalls/0/backend", next(input, 1) & 1 ? "/b" : NULL); break;
        case 7: follow(world); break;
        }
}

static socklen_t make_address(struct input *input, struct sockaddr_un *ret_address) {
        static const int families[] = { AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC };
        socklen_t size = next(input, 1) % (sizeof *ret_address + 4);

        memset(ret_address, 'x', sizeof *ret_address);
        ret_address->sun_family = (sa_family_t) families[size % 4];
        return size;
}

static void transfer_step(struct xcp_pvcalls_socket *socket, struct input *input) {
        static uint8_t bytes[20000];
        struct sockaddr_un address;
        socklen_t size = make_address(input, &address);

        switch (next(input, 1) % 8) {
        case 0: (void) xcp_pvcalls_send(socket, bytes, next(input, 2) % sizeof bytes); break;
        case 1: (void) xcp_pvcalls_receive(socket, bytes, next(input, 2) % sizeof bytes); break;
        case 2: (void) xcp_pvcalls_send_to(socket, bytes, next(input, 2) % sizeof bytes, size ? (struct sockaddr *) &address : NULL, size); break;
        case 3: (void) xcp_pvcalls_receive_from(socket, bytes, next(input, 2) % sizeof bytes, (struct sockaddr *) &address, &size); break;
        case 4: (void) xcp_pvcalls_poll(socket, (int) next(input, 1)); break;
        case 5: (void) xcp_pvcalls_local_address(socket, (struct sockaddr *) &address, &size); break;
        case 6: (void) xcp_pvcalls_peer_address(socket, (struct sockaddr *) &address, &size); break;
        case 7: (void) xcp_pvcalls_shutdown(socket, (int) next(input, 1) % 4); break;
        }
}

static void call_step(struct world *world, struct xcp_pvcalls_socket **socket, struct input *input) {
        struct sockaddr_un address;
        socklen_t size = make_address(input, &address);

        switch (next(input, 1) % 8) {
        case 0: (void) xcp_pvcalls_bind(*socket, (struct sockaddr *) &address, size); break;
        case 1: (void) xcp_pvcalls_connect(*socket, (struct sockaddr *) &address, size); break;
        case 2: (void) xcp_pvcalls_listen(*socket, (int) size); break;
        case 3: (void) xcp_pvcalls_attach(*socket, size % 2 ? AF_INET : AF_INET6); break;
        case 4: (void) xcp_pvcalls_accept(*socket, NULL, &world->sockets[size % SOCKETS == 0 ? 1 : 0]); break;
        case 5: *socket = xcp_pvcalls_socket_release(*socket); break;
        case 6: *socket = xcp_pvcalls_socket_reset(*socket); break;
        case 7: (void) xcp_pvcalls_set_v6_only(*socket); break;
        }
}

static void user_step(struct world *world, struct input *input) {
        uint32_t which = next(input, 1);
        struct xcp_pvcalls_socket **socket = &world->sockets[which % SOCKETS];

        if (which & 128) {
                (void) xcp_pvcalls_dispatch(world->pvcalls);
                (void) xcp_pvcalls_next(world->pvcalls);
        } else if (!*socket && which % SOCKETS > 1) {
                (void) (which & 64 ? xcp_pvcalls_datagrams_new : xcp_pvcalls_socket_new)(world->pvcalls, NULL, socket);
        } else if (*socket && (which & 32)) {
                transfer_step(*socket, input);
        } else if ((which & 16) && (world->sockets[0] || world->sockets[1])) {
                /* accept() puts what it gets into one of these: it must be free */
                world->sockets[0] = xcp_pvcalls_socket_release(world->sockets[0]);
                world->sockets[1] = xcp_pvcalls_socket_release(world->sockets[1]);
        } else if (*socket && which % SOCKETS > 1 && !world->sockets[0] && !world->sockets[1]) {
                call_step(world, socket, input);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct input input = { data, size };
        struct world world = {};

        calls_left = 0;
        toy_xen_init();
        setup_nodes(&input);
        if (xcp_pvcalls_open(0, &world.pvcalls) < 0)
                abort();
        (void) xcp_pvcalls_set_page_order(world.pvcalls, 1);
        follow(&world);
        while (input.n > 0) {
                uint32_t who = next(&input, 1);

                if (who % 4 == 0)
                        backend_step(&world, &input);
                else if (who % 4 == 1)
                        answer(&world, &input);
                else
                        user_step(&world, &input);
                if (who & 128) {
                        (void) xcp_pvcalls_dispatch(world.pvcalls);
                        follow(&world);
                }
        }
        toy_xen_write("/b/state", "6");         /* it is not waited for */
        xcp_pvcalls_close(world.pvcalls, 0);
        if (toy_xen_pages() != 0 || toy_xen_ports() != 0)
                abort();
        toy_xen_init();
        return 0;
}
