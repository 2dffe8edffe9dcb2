/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the answers of the backend do to sockets. */

#include <errno.h>
#include <stdlib.h>

#include "address.h"
#include "private.h"

/* The address of a long answer. */
static int answer_address(const struct request *request, struct sockaddr_in *ret_address) {
        uint32_t n = request->len < PVCALLS_ADDRESS_SIZE ? request->len : PVCALLS_ADDRESS_SIZE;

        return pvcalls_address_parse(request->piece, n, ret_address);
}

static void answer_name(struct xcp_pvcalls_socket *socket, const struct request *request, int result) {
        if (result == 0)
                result = answer_address(request, &socket->local);
        socket->local_known = result < 0 ? result : 1;
        if (result == 0 && socket->address.sin_port == 0)
                socket->address.sin_port = socket->local.sin_port;      /* a listener asks its next backend for the same port */
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
                if (result == -EINTR && listener->n_parked > 0)
                        return;
                /* ECONNABORTED: it is being released. What else can fail, such as EMFILE, may work when something else was released. */
                if (result != -ECONNABORTED)
                        listener->pvcalls->starved = true;
        } else if (listener->released) {
                child->kind = SOCKET_CONNECTED;
                child->known = true;
                socket_release(child);
        } else {
                if (!listener->pvcalls->terms.names || answer_address(request, &child->address) < 0)
                        child->address.sin_family = AF_UNSPEC;
                connection_waits(listener, child);
                socket_park(listener);
        }
}

static void answer_connect(struct xcp_pvcalls_socket *socket, int result) {
        socket->kind = result == 0 ? SOCKET_CONNECTED : SOCKET_NEW;
        if (result < 0)
                socket_drop_ring(socket, false);
        socket->result = result;
}

/* It is connected to nobody. */
static void answer_attach(struct xcp_pvcalls_socket *socket, int result) {
        if (result == 0)
                socket->address.sin_family = AF_UNSPEC;
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

        pvcalls->n_releasing--;
        socket->known = false;
        socket_drop_ring(socket, kept && result == 0 && link_is_up(pvcalls));
        pvcalls->starved = true;        /* of what it had, an ACCEPT may be made */
}

void answer_request(struct xcp_pvcalls *pvcalls, struct request *request, int result) {
        struct xcp_pvcalls_socket *socket = request->owner;
        uint32_t cmd = request->wire.cmd;

        if (cmd != PVCALLS_SOCKET && socket->refused < 0 && result < 0)
                result = socket->refused;
        switch (cmd) {
        case PVCALLS_SOCKET:
                socket->refused = result;
                if (result < 0)
                        socket->known = false;
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
                answer_name(socket, request, result);
                break;
        case PVCALLS_RELEASE:
                answer_release(socket, request->wire.u.release.reuse == 1, result);
                break;
        }
        free(request);
        socket->n_requests--;
        if (cmd != PVCALLS_SOCKET && cmd != PVCALLS_ACCEPT && cmd != PVCALLS_SHUTDOWN)
                socket_set_ready(socket);
        if (socket->released && socket->n_requests == 0)
                socket_destroy(socket);
}
