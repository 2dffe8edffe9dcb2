/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "toy-device.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "indexes.h"

#define DEVICE "device/pvcalls/0"

static int64_t now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static char *read_node(struct toy *toy, const char *directory, const char *node) {
        char path[512];
        unsigned n;

        snprintf(path, sizeof path, "%s/%s", directory, node);
        return xs_read(toy->xs, XBT_NULL, path, &n);
}

int toy_write(struct toy *toy, const char *node, const char *text) {
        char path[256];

        snprintf(path, sizeof path, DEVICE "/%s", node);
        return xs_write(toy->xs, XBT_NULL, path, text, (unsigned) strlen(text)) ? 0 : -errno;
}

int toy_set_state(struct toy *toy, int state) {
        char text[12];

        snprintf(text, sizeof text, "%d", state);
        return toy_write(toy, "state", text);
}

char *toy_read_backend(struct toy *toy, const char *node) {
        return read_node(toy, toy->backend, node);
}

int toy_open(struct toy *toy) {
        char *backend_id, path[512];
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {    /* each port takes two under emulated Xen */
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
        toy->xs = xs_open(0);
        toy->shares = xengntshr_open(NULL, 0);
        toy->events = xenevtchn_open(NULL, 0);
        if (!toy->xs || !toy->shares || !toy->events)
                return -errno;
        toy->backend = read_node(toy, DEVICE, "backend");
        backend_id = read_node(toy, DEVICE, "backend-id");
        if (!toy->backend || !backend_id)
                return -ENOENT;
        toy->backend_id = (uint32_t) atoi(backend_id);
        free(backend_id);
        snprintf(path, sizeof path, "%s/state", toy->backend);
        return xs_watch(toy->xs, path, "backend") ? 0 : -errno;
}

void toy_close(struct toy *toy) {
        if (toy->xs)
                xs_close(toy->xs);
        if (toy->shares)
                xengntshr_close(toy->shares);
        if (toy->events)
                xenevtchn_close(toy->events);
        free(toy->backend);
}

int toy_wait_backend(struct toy *toy, unsigned states, int timeout_ms) {
        int64_t end = now_ms() + timeout_ms;

        for (;;) {
                struct pollfd pollfd = { .fd = xs_fileno(toy->xs), .events = POLLIN };
                char *text = toy_read_backend(toy, "state"), **watch;
                int state = text ? atoi(text) : 0;

                free(text);
                if (states & 1u << state)
                        return state;
                if (now_ms() >= end)
                        return -ETIME;
                poll(&pollfd, 1, (int) (end - now_ms()));
                while ((watch = xs_check_watch(toy->xs)))
                        free(watch);
        }
}

static void forget_ring(struct toy *toy) {
        if (!toy->page)
                return;
        for (unsigned i = 0; i < TOY_SOCKETS_MAX; i++)
                if (toy->sockets[i].used)
                        toy_socket_free(toy, &toy->sockets[i]);
        xengntshr_unshare(toy->shares, toy->page, 1);
        xenevtchn_unbind(toy->events, toy->port);
        toy->page = NULL;
        toy->n_responses = 0;
}

int toy_offer(struct toy *toy, bool suppress) {
        char text[12];
        int port;

        forget_ring(toy);
        toy->page = xengntshr_share_pages(toy->shares, toy->backend_id, 1, &toy->ring_ref, 1);
        if (!toy->page)
                return -errno;
        port = xenevtchn_bind_unbound_port(toy->events, toy->backend_id);
        if (port < 0)
                return -errno;
        toy->port = (uint32_t) port;
        toy->suppress = suppress;
        command_ring_front_init(&toy->ring, toy->page);
        snprintf(text, sizeof text, "%u", toy->ring_ref);
        toy_write(toy, "ring-ref", text);
        snprintf(text, sizeof text, "%u", toy->port);
        toy_write(toy, "port", text);
        toy_write(toy, "feature-notification-suppression", suppress ? "1" : "0");
        return toy_write(toy, "version", "1");
}

void toy_wait_event(struct toy *toy, int timeout_ms) {
        struct pollfd pollfd = { .fd = xenevtchn_fd(toy->events), .events = POLLIN };
        int port;

        if (poll(&pollfd, 1, timeout_ms) <= 0)
                return;
        port = xenevtchn_pending(toy->events);
        if (port >= 0)
                xenevtchn_unmask(toy->events, (uint32_t) port);
}

int64_t toy_request(struct toy *toy, struct pvcalls_request *request) {
        bool notify;
        int r;

        request->req_id = toy->next_req_id++;
        r = command_ring_front_put(&toy->ring, request, &notify);
        if (r < 0)
                return r;
        if (notify)
                xenevtchn_notify(toy->events, toy->port);
        return request->req_id;
}

static bool take_kept(struct toy *toy, uint32_t req_id, struct pvcalls_response *ret_response) {
        for (unsigned i = 0; i < toy->n_responses; i++)
                if (toy->responses[i].req_id == req_id) {
                        *ret_response = toy->responses[i];
                        toy->responses[i] = toy->responses[--toy->n_responses];
                        return true;
                }
        return false;
}

int toy_await(struct toy *toy, uint32_t req_id, int timeout_ms, struct pvcalls_response *ret_response) {
        int64_t end = 0;                /* not known before there is something to be waited for: the clock may be a system call */

        for (;;) {
                struct pvcalls_response response;
                int64_t now;
                int r;

                while ((r = command_ring_front_take(&toy->ring, &response)) == 0 && toy->n_responses < PVCALLS_SLOTS)
                        toy->responses[toy->n_responses++] = response;
                if (r < 0)
                        return r;
                if (take_kept(toy, req_id, ret_response))
                        return 0;
                now = now_ms();
                end = end ? end : now + timeout_ms;
                if (now >= end)
                        return -ETIME;
                if (!command_ring_front_sleep(&toy->ring))
                        toy_wait_event(toy, (int) (end - now));
        }
}

struct toy_socket *toy_socket_find(struct toy *toy, uint64_t id) {
        for (unsigned i = 0; i < TOY_SOCKETS_MAX; i++)
                if (toy->sockets[i].used && toy->sockets[i].id == id)
                        return &toy->sockets[i];
        return NULL;
}

void toy_socket_renew(struct toy *toy, struct toy_socket *socket) {
        indexes_write(socket->indexes, socket->order, socket->refs);
        data_consumer_init(&socket->in, &socket->indexes->in, socket->data, pvcalls_half(socket->order), toy->suppress);
        data_producer_init(&socket->out, &socket->indexes->out, socket->data + pvcalls_half(socket->order), pvcalls_half(socket->order),
                           toy->suppress);
        socket->n_sent = socket->n_received = 0;
}

static int make_rings(struct toy *toy, struct toy_socket *socket) {
        uint32_t n = 1u << socket->order, refs[1 + PVCALLS_REFS_MAX];
        uint8_t *pages;
        int port;

        pages = xengntshr_share_pages(toy->shares, toy->backend_id, (int) n + 1, refs, 1);
        if (!pages)
                return -errno;
        socket->indexes = (struct pvcalls_indexes *) pages;
        socket->data = pages + PVCALLS_PAGE_SIZE;
        socket->ref = refs[0];
        memcpy(socket->refs, refs + 1, n * sizeof refs[0]);
        port = xenevtchn_bind_unbound_port(toy->events, toy->backend_id);
        if (port < 0)
                return -errno;
        socket->port = (uint32_t) port;
        toy_socket_renew(toy, socket);
        return 0;
}

int toy_socket_new(struct toy *toy, uint64_t id, uint32_t order, struct toy_socket **ret_socket) {
        struct toy_socket *socket = toy_socket_find(toy, id);
        int r;

        for (unsigned i = 0; !socket && i < TOY_SOCKETS_MAX; i++)
                if (!toy->sockets[i].used)
                        socket = &toy->sockets[i];
        if (!socket)
                return -EMFILE;
        if (socket->used)
                toy_socket_free(toy, socket);
        *socket = (struct toy_socket) { .used = true, .id = id, .order = order };
        r = order > 0 ? make_rings(toy, socket) : 0;
        if (r < 0)
                return r;
        *ret_socket = socket;
        return 0;
}

void toy_socket_free(struct toy *toy, struct toy_socket *socket) {
        if (socket->indexes) {
                xengntshr_unshare(toy->shares, socket->indexes, (1u << socket->order) + 1);
                xenevtchn_unbind(toy->events, socket->port);
        }
        *socket = (struct toy_socket) {};
}
