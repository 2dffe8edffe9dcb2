/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "private.h"

int socket_make(struct xcp_pvcalls *pvcalls, void *userdata, struct xcp_pvcalls_socket **ret_socket) {
        struct xcp_pvcalls_socket *socket = calloc(1, sizeof *socket);

        if (!socket)
                return -ENOMEM;
        socket->pvcalls = pvcalls;
        socket->userdata = userdata;
        socket->id = pvcalls->next_id++;
        socket->family = AF_INET;
        socket->event_fd = -1;
        socket->waiting_end = &socket->waiting;
        socket->next = pvcalls->sockets;
        if (socket->next)
                socket->next->link = &socket->next;
        socket->link = &pvcalls->sockets;
        pvcalls->sockets = socket;
        *ret_socket = socket;
        return 0;
}

/* Takes it out of a list that is linked by next_ready. */
static void list_remove(struct xcp_pvcalls_socket **first, struct xcp_pvcalls_socket ***end, struct xcp_pvcalls_socket *socket) {
        for (struct xcp_pvcalls_socket **link = first; *link; link = &(*link)->next_ready) {
                if (*link != socket)
                        continue;
                *link = socket->next_ready;
                if (*end == &socket->next_ready)
                        *end = link;
                return;
        }
}

void socket_destroy(struct xcp_pvcalls_socket *socket) {
        struct xcp_pvcalls *pvcalls = socket->pvcalls;

        if (socket->is_ready)
                list_remove(&pvcalls->ready, &pvcalls->ready_end, socket);
        socket_drop_ring(socket, false);
        *socket->link = socket->next;
        if (socket->next)
                socket->next->link = socket->link;
        if (socket->event_fd >= 0)
                close(socket->event_fd);
        free(socket);
}

void socket_set_ready(struct xcp_pvcalls_socket *socket) {
        struct xcp_pvcalls *pvcalls = socket->pvcalls;
        int fd = atomic_load(&socket->event_fd);

        if (socket->released || socket->is_waiting || socket->kind == SOCKET_PARKED)
                return;
        if (fd >= 0)
                (void) eventfd_write(fd, 1);
        if (socket->is_ready)
                return;
        socket->is_ready = true;
        socket->next_ready = NULL;
        *pvcalls->ready_end = socket;
        pvcalls->ready_end = &socket->next_ready;
}

static int ports_set(struct xcp_pvcalls *pvcalls, uint32_t port, struct xcp_pvcalls_socket *socket) {
        if (port >= pvcalls->n_ports) {
                uint32_t n = port + 64;
                struct xcp_pvcalls_socket **ports = reallocarray(pvcalls->ports, n, sizeof *ports);

                if (!ports)
                        return -ENOMEM;
                memset(ports + pvcalls->n_ports, 0, (n - pvcalls->n_ports) * sizeof *ports);
                pvcalls->ports = ports;
                pvcalls->n_ports = n;
        }
        pvcalls->ports[port] = socket;
        return 0;
}

int socket_take_ring(struct xcp_pvcalls_socket *socket) {
        struct xcp_pvcalls *pvcalls = socket->pvcalls;
        uint32_t order = pvcalls->page_order < pvcalls->terms.max_page_order ? pvcalls->page_order : pvcalls->terms.max_page_order, half;
        struct ring *ring;
        int r;

        r = ring_new(&pvcalls->rings, order, &ring);
        if (r < 0)
                return r;
        r = ports_set(pvcalls, ring->port, socket);
        if (r < 0) {
                ring_free(&pvcalls->rings, ring);
                return r;
        }
        half = pvcalls_half(ring->order);
        data_consumer_init(&socket->in, &ring->indexes->in, ring->data, half, pvcalls->terms.suppress);
        data_producer_init(&socket->out, &ring->indexes->out, ring->data + half, half, pvcalls->terms.suppress);
        socket->ring = ring;
        return 0;
}

void socket_drop_ring(struct xcp_pvcalls_socket *socket, bool keep) {
        struct xcp_pvcalls *pvcalls = socket->pvcalls;

        if (!socket->ring)
                return;
        pvcalls->ports[socket->ring->port] = NULL;
        if (keep)
                ring_keep(&pvcalls->rings, socket->ring);
        else
                ring_free(&pvcalls->rings, socket->ring);
        socket->ring = NULL;
}

/* Fills in what a command is about. */
static void request_fill(struct request *request, const struct xcp_pvcalls_socket *socket) {
        struct pvcalls_request *wire = &request->wire;

        switch (wire->cmd) {
        case PVCALLS_SOCKET:
                wire->u.socket.domain = socket->family == AF_INET6 ? PVCALLS_INET6 : socket->family == AF_UNIX ? PVCALLS_UNIX : PVCALLS_INET;
                wire->u.socket.type = socket->datagrams ? PVCALLS_DATAGRAM : PVCALLS_STREAM;
                break;
        case PVCALLS_CONNECT:
                wire->u.connect.len = name_fill(&socket->wanted, wire->u.connect.addr);
                wire->u.connect.ref = socket->ring->ref;
                wire->u.connect.evtchn = socket->ring->port;
                break;
        case PVCALLS_ATTACH:
                wire->u.attach.ref = socket->ring->ref;
                wire->u.attach.evtchn = socket->ring->port;
                break;
        case PVCALLS_BIND:
                wire->u.bind.len = name_fill(&socket->address, wire->u.bind.addr);
                break;
        case PVCALLS_LISTEN:
                wire->u.listen.backlog = (uint32_t) socket->backlog;
                break;
        case PVCALLS_SHUTDOWN:
                wire->u.shutdown.how = (uint32_t) socket->shutdown;
                wire->u.shutdown.out_prod = socket->out.prod;
                break;
        case PVCALLS_RELEASE:
                wire->u.release.reuse = socket->ring && socket->pvcalls->rings.n_kept + socket->pvcalls->n_releasing < RINGS_KEPT_MAX;
                break;
        }
}

void socket_queue(struct xcp_pvcalls_socket *socket, struct request *request) {
        socket->n_requests++;
        requests_queue(&socket->pvcalls->requests, request);
}

static int socket_ask(struct xcp_pvcalls_socket *socket, uint32_t cmd) {
        struct request *request = request_new(cmd, socket->id, socket);

        if (!request)
                return -ENOMEM;
        request_fill(request, socket);
        socket_queue(socket, request);
        return 0;
}

/* What has to be said of a socket before anything is asked for it. */
static int introduce(struct xcp_pvcalls_socket *socket) {
        int r = socket_ask(socket, PVCALLS_SOCKET);

        socket->known = r == 0;
        if (r == 0 && socket->v6_only && socket->family == AF_INET6)
                r = socket_ask_option(socket, 41, 26, &(uint32_t) { 1 }, sizeof(uint32_t));
        return r;
}

/* The same behind SOCKET, if the backend does not know it, and behind its address, if that is a long one. */
int socket_ask_known(struct xcp_pvcalls_socket *socket, uint32_t cmd) {
        int r = socket->known ? 0 : introduce(socket);

        if (r < 0)
                return r;
        socket->refused = 0;
        if (cmd == PVCALLS_CONNECT || cmd == PVCALLS_BIND)
                r = name_send(socket, cmd == PVCALLS_CONNECT ? &socket->wanted : &socket->address);
        return r < 0 ? r : socket_ask(socket, cmd);
}

void socket_park(struct xcp_pvcalls_socket *listener) {
        struct xcp_pvcalls *pvcalls = listener->pvcalls;

        while (listener->n_parked + listener->n_waiting < pvcalls->parked_max) {
                struct xcp_pvcalls_socket *child;
                struct request *request = NULL;
                int r = -ENOBUFS;

                if (pvcalls->resting || !requests_may_accept(&pvcalls->requests) || socket_make(pvcalls, NULL, &child) < 0) {
                        pvcalls->starved = true;
                        return;
                }
                child->kind = SOCKET_PARKED;
                child->family = listener->family;
                child->accepted = true;
                r = socket_take_ring(child);
                if (r == 0)
                        request = request_new(PVCALLS_ACCEPT, listener->id, listener);
                if (!request) {
                        socket_destroy(child);
                        pvcalls->starved = true;
                        return;
                }
                request->wire.u.accept.id_new = child->id;
                request->wire.u.accept.ref = child->ring->ref;
                request->wire.u.accept.evtchn = child->ring->port;
                request->brought = child;
                listener->n_requests++;
                listener->n_parked++;
                requests_queue(&pvcalls->requests, request);
        }
}

void socket_restore(struct xcp_pvcalls_socket *listener) {
        int r = socket_ask_known(listener, PVCALLS_BIND);

        if (r == 0 && listener->kind == SOCKET_LISTENING)
                r = socket_ask(listener, PVCALLS_LISTEN);
        listener->restoring = r == 0;
        if (r < 0)
                atomic_store(&listener->failure, r);
}

/* Puts what waits into the ring, and wakes the backend up. */
void sockets_flush(struct xcp_pvcalls *pvcalls) {
        if (!link_is_up(pvcalls))
                return;
        if (pvcalls->starved && !pvcalls->resting) {
                pvcalls->starved = false;
                for (struct xcp_pvcalls_socket *socket = pvcalls->sockets; socket; socket = socket->next)
                        if (socket->kind == SOCKET_LISTENING && socket->result != -EINPROGRESS && socket->known && !socket->released &&
                            !socket->restoring && socket->failure == 0)
                                socket_park(socket);
        }
        if (requests_put(&pvcalls->requests))
                xenevtchn_notify(pvcalls->rings.events, pvcalls->page_port);
}

void socket_release(struct xcp_pvcalls_socket *socket) {
        struct xcp_pvcalls *pvcalls = socket->pvcalls;
        struct request *request;

        socket->released = true;
        if (socket->is_ready) {
                list_remove(&pvcalls->ready, &pvcalls->ready_end, socket);
                socket->is_ready = false;
        }
        while (socket->waiting) {
                struct xcp_pvcalls_socket *child = socket->waiting;

                socket->waiting = child->next_ready;
                child->is_waiting = false;
                socket_reset(child);
        }
        while ((request = requests_withdraw(&pvcalls->requests, socket))) {
                if (request->wire.cmd == PVCALLS_SOCKET)
                        socket->known = false;
                socket->n_requests++;           /* answer_request() must not destroy it yet */
                answer_request(pvcalls, request, -ECONNABORTED);
                socket->n_requests--;
        }
        if (socket->known && link_is_up(pvcalls) && socket_ask(socket, PVCALLS_RELEASE) == 0)
                pvcalls->n_releasing++;
        else if (socket->n_requests == 0)
                socket_destroy(socket);
}

int xcp_pvcalls_socket_new(struct xcp_pvcalls *pvcalls, void *userdata, struct xcp_pvcalls_socket **ret_socket) {
        int r;

        pthread_mutex_lock(&pvcalls->lock);
        r = socket_make(pvcalls, userdata, ret_socket);
        pthread_mutex_unlock(&pvcalls->lock);
        return r;
}

struct xcp_pvcalls_socket *xcp_pvcalls_socket_release(struct xcp_pvcalls_socket *socket) {
        struct xcp_pvcalls *pvcalls;

        if (!socket)
                return NULL;
        pvcalls = socket->pvcalls;
        pthread_mutex_lock(&pvcalls->lock);
        socket_release(socket);
        sockets_flush(pvcalls);
        pthread_mutex_unlock(&pvcalls->lock);
        return NULL;
}

void socket_reset(struct xcp_pvcalls_socket *socket) {
        struct xcp_pvcalls *pvcalls = socket->pvcalls;

        if (pvcalls->terms.options && socket->known && link_is_up(pvcalls))
                (void) socket_ask_option(socket, 1, 13, (uint32_t[2]) { 1, 0 }, sizeof(uint32_t[2]));  /* without memory for it, it is a release */
        sockets_flush(pvcalls);                                 /* before RELEASE, which goes ahead of what waits for a slot */
        socket_release(socket);
}

struct xcp_pvcalls_socket *xcp_pvcalls_socket_reset(struct xcp_pvcalls_socket *socket) {
        struct xcp_pvcalls *pvcalls;

        if (!socket)
                return NULL;
        pvcalls = socket->pvcalls;
        pthread_mutex_lock(&pvcalls->lock);
        socket_reset(socket);
        sockets_flush(pvcalls);
        pthread_mutex_unlock(&pvcalls->lock);
        return NULL;
}

int socket_callable(const struct xcp_pvcalls_socket *socket) {
        if (socket->failure != 0)
                return socket->failure;
        if (socket->result == -EINPROGRESS || socket->restoring)
                return -EALREADY;
        if (!link_is_up(socket->pvcalls))
                return -ENETDOWN;
        return socket->datagrams && !socket->pvcalls->terms.datagrams ? -EOPNOTSUPP : 0;
}

/* A UDP socket that has its buffers is connected to another address, and keeps them. */
static bool is_connected_again(const struct xcp_pvcalls_socket *socket) {
        return socket->datagrams && socket->kind == SOCKET_CONNECTED;
}

static int connect_locked(struct xcp_pvcalls_socket *socket, const struct sockaddr *address, socklen_t size) {
        int r = socket_callable(socket);

        if (r == 0)
                r = name_check(socket, address, size, &socket->wanted);
        if (r < 0)
                return r;
        if (socket->wanted.size > 0)
                socket->family = socket->wanted.any.sa_family;
        if (is_connected_again(socket)) {
                r = socket_ask_known(socket, PVCALLS_CONNECT);
                return r < 0 ? r : -EINPROGRESS;
        }
        if (socket->kind != SOCKET_NEW && socket->kind != SOCKET_BOUND)
                return -EISCONN;
        r = socket_take_ring(socket);
        if (r < 0)
                return r;
        r = socket_ask_known(socket, PVCALLS_CONNECT);
        if (r < 0) {
                socket_drop_ring(socket, false);
                return r;
        }
        socket->kind = SOCKET_CONNECTING;
        return -EINPROGRESS;
}

static int bind_locked(struct xcp_pvcalls_socket *socket, const struct sockaddr *address, socklen_t size) {
        int r = socket_callable(socket);

        if (r < 0)
                return r;
        if (socket->kind != SOCKET_NEW)
                return -EINVAL;
        r = name_check(socket, address, size, &socket->address);
        if (r < 0)
                return r;
        socket->family = socket->address.any.sa_family;
        if (socket->v6_only && !socket->pvcalls->terms.options)
                return -EOPNOTSUPP;
        r = socket_ask_known(socket, PVCALLS_BIND);
        if (r < 0)
                return r;
        socket->kind = SOCKET_BOUND;
        return -EINPROGRESS;
}

static int listen_locked(struct xcp_pvcalls_socket *socket, int backlog) {
        int r = socket_callable(socket);

        if (r < 0)
                return r;
        if (socket->kind != SOCKET_BOUND && socket->kind != SOCKET_LISTENING)
                return -EINVAL;
        if (socket->datagrams)
                return -EOPNOTSUPP;
        socket->backlog = backlog < 0 ? SOMAXCONN : backlog;
        r = socket_ask_known(socket, PVCALLS_LISTEN);
        if (r < 0)
                return r;
        socket->kind = SOCKET_LISTENING;
        return -EINPROGRESS;
}

int socket_call_end(struct xcp_pvcalls_socket *socket, int r) {
        if (r == -EINPROGRESS) {
                socket->result = r;
                sockets_flush(socket->pvcalls);
        }
        pthread_mutex_unlock(&socket->pvcalls->lock);
        return r;
}

int xcp_pvcalls_connect(struct xcp_pvcalls_socket *socket, const struct sockaddr *address, socklen_t size) {
        pthread_mutex_lock(&socket->pvcalls->lock);
        return socket_call_end(socket, connect_locked(socket, address, size));
}

int xcp_pvcalls_bind(struct xcp_pvcalls_socket *socket, const struct sockaddr *address, socklen_t size) {
        pthread_mutex_lock(&socket->pvcalls->lock);
        return socket_call_end(socket, bind_locked(socket, address, size));
}

int xcp_pvcalls_listen(struct xcp_pvcalls_socket *socket, int backlog) {
        pthread_mutex_lock(&socket->pvcalls->lock);
        return socket_call_end(socket, listen_locked(socket, backlog));
}

int xcp_pvcalls_result(struct xcp_pvcalls_socket *socket) {
        int result;

        pthread_mutex_lock(&socket->pvcalls->lock);
        result = socket->result;
        pthread_mutex_unlock(&socket->pvcalls->lock);
        return result;
}

int xcp_pvcalls_shutdown(struct xcp_pvcalls_socket *socket, int how) {
        int r;

        if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
                return -EINVAL;
        pthread_mutex_lock(&socket->pvcalls->lock);
        if (socket->kind != SOCKET_CONNECTED || socket->failure != 0) {
                r = -ENOTCONN;
        } else if (socket->datagrams || !socket->pvcalls->terms.shutdown) {
                r = -EOPNOTSUPP;
        } else {
                socket->shutdown = how;
                r = socket_ask(socket, PVCALLS_SHUTDOWN);
                sockets_flush(socket->pvcalls);
        }
        pthread_mutex_unlock(&socket->pvcalls->lock);
        return r;
}

int xcp_pvcalls_accept(struct xcp_pvcalls_socket *listener, void *userdata, struct xcp_pvcalls_socket **ret_socket) {
        struct xcp_pvcalls *pvcalls = listener->pvcalls;
        struct xcp_pvcalls_socket *child;
        int r = 0;

        pthread_mutex_lock(&pvcalls->lock);
        child = listener->waiting;
        if (child) {
                listener->waiting = child->next_ready;
                if (!listener->waiting)
                        listener->waiting_end = &listener->waiting;
                listener->n_waiting--;
                child->next_ready = NULL;
                child->userdata = userdata;
                child->is_waiting = false;
                socket_set_ready(child);        /* what has happened to it meanwhile, nobody was told */
                *ret_socket = child;
                if (listener->known && !listener->restoring && link_is_up(pvcalls))
                        socket_park(listener);
                sockets_flush(pvcalls);
        } else {
                r = listener->failure != 0 ? listener->failure : listener->kind == SOCKET_LISTENING ? -EAGAIN : -EINVAL;
        }
        pthread_mutex_unlock(&pvcalls->lock);
        return r;
}

void *xcp_pvcalls_socket_userdata(struct xcp_pvcalls_socket *socket) {
        return socket->userdata;
}

void xcp_pvcalls_socket_set_userdata(struct xcp_pvcalls_socket *socket, void *userdata) {
        socket->userdata = userdata;
}
