/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the answers of the backend do to sockets. */

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>

#include "private.h"

#define REST_FIRST_MS 10u
#define REST_MAX_MS 1000u               /* who waits to be accepted, waits no longer than that when it can be done again */

/*
 * An ACCEPT could not be done, such as for want of descriptors or memory: the next is tried when something was released, or some time later, and
 * not at once, as the backend would do nothing else then.
 */
static void rest(struct xcp_pvcalls *pvcalls) {
        unsigned ms = pvcalls->rest_ms == 0 ? REST_FIRST_MS : pvcalls->rest_ms * 2;
        struct itimerspec time = {};

        pvcalls->starved = true;
        if (pvcalls->resting)
                return;
        pvcalls->rest_ms = ms < REST_MAX_MS ? ms : REST_MAX_MS;
        time.it_value.tv_sec = pvcalls->rest_ms / 1000;
        time.it_value.tv_nsec = pvcalls->rest_ms % 1000 * 1000000;
        pvcalls->resting = timerfd_settime(pvcalls->timer, 0, &time, NULL) == 0;
}

void answer_rested(struct xcp_pvcalls *pvcalls) {
        pvcalls->resting = false;
        sockets_flush(pvcalls);
}

/* Adds a connection to those that its listener's user can accept. */
static void connection_waits(struct xcp_pvcalls_socket *listener, struct xcp_pvcalls_socket *child) {
        child->kind = SOCKET_CONNECTED;
        child->known = true;
        child->is_waiting = true;
        child->next_ready = NULL;
        *listener->waiting_end = child;
        listener->waiting_end = &child->next_ready;
        listener->n_waiting++;
        socket_set_ready(listener);
}

static void answer_accept(struct xcp_pvcalls_socket *listener, const struct request *request, int result) {
        struct xcp_pvcalls_socket *child = request->brought;

        listener->n_parked--;
        if (result < 0) {
                socket_destroy(child);
                if (result == -EINTR)   /* what Linux's backend says to a second ACCEPT, and for an instant after it has answered one */
                        listener->pvcalls->parked_max = 1;
                if (result == -EINTR && listener->n_parked == 0)
                        listener->pvcalls->starved = true;
                else if (result != -EINTR && result != -ECONNABORTED)   /* which it says when the listener is released */
                        rest(listener->pvcalls);
        } else if (listener->released) {
                child->kind = SOCKET_CONNECTED;
                child->known = true;
                socket_reset(child);
        } else {
                listener->pvcalls->rest_ms = 0;
                name_came(child, request);
                connection_waits(listener, child);
                socket_park(listener);
        }
}

static void answer_connect(struct xcp_pvcalls_socket *socket, int result) {
        if (result == 0)
                socket->address = socket->wanted;
        if (socket->kind != SOCKET_CONNECTED)           /* or it is a UDP socket that had its buffers before */
                socket->kind = result == 0 ? SOCKET_CONNECTED : SOCKET_NEW;
        if (socket->kind == SOCKET_NEW)
                socket_drop_ring(socket, false);
        socket->result = result;
}

/* It is connected to nobody. */
static void answer_attach(struct xcp_pvcalls_socket *socket, int result) {
        socket->wanted = (struct pvcalls_name) {};
        answer_connect(socket, result);
}

static void answer_bind(struct xcp_pvcalls_socket *socket, int result) {
        if (socket->restoring) {
                if (result < 0)
                        atomic_store(&socket->failure, result);
                socket->restoring = result == 0 && socket->kind == SOCKET_LISTENING;
                return;
        }
        if (result < 0)
                socket->kind = SOCKET_NEW;
        socket->result = result;
}

static void answer_listen(struct xcp_pvcalls_socket *socket, int result) {
        bool restored = socket->restoring;

        socket->restoring = false;
        if (restored && result < 0)
                atomic_store(&socket->failure, result);
        else if (!restored)
                socket->result = result;
        if (result < 0 && !restored)
                socket->kind = SOCKET_BOUND;
        if (result == 0 && !socket->released)
                socket_park(socket);
}

static void answer_release(struct xcp_pvcalls_socket *socket, bool kept, int result) {
        struct xcp_pvcalls *pvcalls = socket->pvcalls;

        unsigned n = result == 0 ? requests_disown(&pvcalls->requests, socket) : 0;

        socket->n_requests -= n;
        socket->n_parked -= n;
        pvcalls->n_disowned += n;
        pvcalls->n_releasing--;
        socket->known = false;
        socket_drop_ring(socket, kept && result == 0 && link_is_up(pvcalls));
        pvcalls->starved = true;        /* of what it had, an ACCEPT may be made */
        pvcalls->resting = false;
}

/* Of an ACCEPT whose listener is gone: what it brings, nobody wants. */
static void answer_disowned(struct xcp_pvcalls *pvcalls, struct request *request, int result) {
        struct xcp_pvcalls_socket *child = request->brought;

        pvcalls->n_disowned--;
        free(request);
        child->known = result == 0;
        child->kind = SOCKET_CONNECTED;
        socket_reset(child);
}

void answer_request(struct xcp_pvcalls *pvcalls, struct request *request, int result) {
        struct xcp_pvcalls_socket *socket = request->owner;
        uint32_t cmd = request->wire.cmd;

        if (!socket) {
                answer_disowned(pvcalls, request, result);
                return;
        }
        if (cmd != PVCALLS_SOCKET && socket->refused < 0 && result < 0)
                result = socket->refused;
        switch (cmd) {
        case PVCALLS_SOCKET:
                socket->refused = result;
                if (result < 0)
                        socket->known = false;
                break;
        case PVCALLS_SETNAME:
                socket->refused = socket->refused ?: result;
                break;
        case PVCALLS_CONNECT:
                answer_connect(socket, result);
                break;
        case PVCALLS_ATTACH:
                answer_attach(socket, result);
                break;
        case PVCALLS_BIND:
                answer_bind(socket, result);
                break;
        case PVCALLS_LISTEN:
                answer_listen(socket, result);
                break;
        case PVCALLS_ACCEPT:
                answer_accept(socket, request, result);
                break;
        case PVCALLS_GETNAME:
                name_answered(socket, request, result);
                break;
        case PVCALLS_RELEASE:
                answer_release(socket, request->wire.u.release.reuse == 1, result);
                break;
        }
        free(request);
        socket->n_requests--;
        if (cmd != PVCALLS_SOCKET && cmd != PVCALLS_ACCEPT && cmd != PVCALLS_SHUTDOWN && cmd != PVCALLS_SETNAME && cmd != PVCALLS_SETSOCKOPT)
                socket_set_ready(socket);
        if (socket->released && socket->n_requests == 0)
                socket_destroy(socket);
}
