/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The connection to the backend: what the steps of the handshake are, and what becomes of sockets when it ends. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "feature-nodes.h"
#include "private.h"

#define DISOWNED_MAX 12u                /* slots: as many are left for ACCEPTs then */

bool link_is_up(const struct xcp_pvcalls *pvcalls) {
        return pvcalls->view.own == XENBUS_CONNECTED;
}

static void set_state(struct xcp_pvcalls *pvcalls, enum xenbus_state state) {
        (void) store_set_state(&pvcalls->store, state); /* if it fails, the device is gone, and a watch tells */
        pvcalls->view.own = state;
}

static void page_drop(struct xcp_pvcalls *pvcalls) {
        if (!pvcalls->page)
                return;
        xenevtchn_unbind(pvcalls->rings.events, pvcalls->page_port);
        xengntshr_unshare(pvcalls->rings.shares, pvcalls->page, 1);
        pvcalls->page = NULL;
}

static int page_make(struct xcp_pvcalls *pvcalls) {
        int port;

        page_drop(pvcalls);
        pvcalls->rings.domid = pvcalls->store.backend_domid;
        pvcalls->page = xengntshr_share_pages(pvcalls->rings.shares, pvcalls->rings.domid, 1, &pvcalls->page_ref, 1);
        if (!pvcalls->page)
                return -errno;
        port = xenevtchn_bind_unbound_port(pvcalls->rings.events, pvcalls->rings.domid);
        if (port < 0) {
                xengntshr_unshare(pvcalls->rings.shares, pvcalls->page, 1);
                pvcalls->page = NULL;
                return -errno;
        }
        pvcalls->page_port = (uint32_t) port;
        requests_init(&pvcalls->requests);
        command_ring_front_init(&pvcalls->requests.ring, pvcalls->page);
        (void) command_ring_front_sleep(&pvcalls->requests.ring);
        return 0;
}

static int offer(struct xcp_pvcalls *pvcalls) {
        int r;

        r = store_read_terms(&pvcalls->store, &pvcalls->terms);
        if (r == 0)
                r = page_make(pvcalls);
        if (r == 0)
                r = store_write_number(&pvcalls->store, "ring-ref", pvcalls->page_ref);
        if (r == 0)
                r = store_write_number(&pvcalls->store, "port", pvcalls->page_port);
        if (r == 0)
                r = store_write_number(&pvcalls->store, FEATURE_SUPPRESSION, pvcalls->terms.suppress);
        if (r == 0)
                r = store_write_number(&pvcalls->store, "version", 1);
        if (r == 0)
                set_state(pvcalls, XENBUS_INITIALISED);
        return r;
}

static bool is_listener(const struct xcp_pvcalls_socket *socket) {
        return (socket->kind == SOCKET_BOUND || socket->kind == SOCKET_LISTENING) && !socket->released;
}

static void connected(struct xcp_pvcalls *pvcalls) {
        struct xcp_pvcalls_socket *next;

        set_state(pvcalls, XENBUS_CONNECTED);
        pvcalls->epoch++;
        pvcalls->parked_max = PARKED_MAX;
        for (struct xcp_pvcalls_socket *socket = pvcalls->sockets; socket; socket = next) {
                next = socket->next;
                if (is_listener(socket) && !socket->known && socket->failure == 0)
                        socket_restore(socket);
        }
        sockets_flush(pvcalls);
}

/* What a socket is after its backend has gone. */
static void socket_lost(struct xcp_pvcalls_socket *socket) {
        socket->known = false;
        socket->restoring = false;
        socket->refused = 0;
        if (socket->kind == SOCKET_CONNECTED && socket->failure == 0) {
                atomic_store(&socket->failure, -ECONNRESET);
                socket_set_ready(socket);
        }
}

/* Nothing is asked of this backend any more, and nothing that it writes is looked at, but for bytes that have come. */
static void disconnected(struct xcp_pvcalls *pvcalls) {
        struct request *request;

        set_state(pvcalls, XENBUS_CLOSING);
        for (struct xcp_pvcalls_socket *socket = pvcalls->sockets; socket; socket = socket->next)
                socket_lost(socket);
        while ((request = requests_withdraw_any(&pvcalls->requests))) {
                struct xcp_pvcalls_socket *socket = request->owner;

                /* A listener that a lost backend was asked for is asked of the next; only its user's own calls fail. */
                if ((request->wire.cmd == PVCALLS_BIND || request->wire.cmd == PVCALLS_LISTEN) && socket->result != -EINPROGRESS) {
                        socket->n_requests--;
                        free(request);
                        if (socket->released && socket->n_requests == 0)
                                socket_destroy(socket);
                } else {
                        answer_request(pvcalls, request, request->wire.cmd == PVCALLS_ACCEPT ? -ECONNABORTED : -ENETDOWN);
                }
        }
        requests_init(&pvcalls->requests);
        pvcalls->starved = pvcalls->resting = false;
        pvcalls->rest_ms = 0;
}

static bool has_connections(const struct xcp_pvcalls *pvcalls) {
        const struct xcp_pvcalls_socket *socket = pvcalls->sockets;

        while (socket && socket->kind != SOCKET_CONNECTED && socket->kind != SOCKET_CONNECTING)
                socket = socket->next;
        return socket;
}

/* Slots that are lost come back with a new ring alone. It is made when that costs nobody a connection. */
void link_renew(struct xcp_pvcalls *pvcalls) {
        if (pvcalls->n_disowned >= DISOWNED_MAX && link_is_up(pvcalls) && !has_connections(pvcalls))
                atomic_store(&pvcalls->failed, true);
}

void link_follow(struct xcp_pvcalls *pvcalls) {
        for (;;) {
                pvcalls->view.failed = atomic_load(&pvcalls->failed);
                store_look(&pvcalls->store, &pvcalls->view.backend);
                switch (front_next(&pvcalls->view)) {
                case FRONT_REST:
                        return;
                case FRONT_BEGIN:
                        set_state(pvcalls, XENBUS_INITIALISING);
                        break;
                case FRONT_OFFER:
                        if (offer(pvcalls) < 0)
                                return;         /* once more when something changes */
                        break;
                case FRONT_CONNECT:
                        connected(pvcalls);
                        break;
                case FRONT_CLOSE:
                        disconnected(pvcalls);
                        break;
                case FRONT_CLOSED:
                        page_drop(pvcalls);
                        rings_forget(&pvcalls->rings);
                        atomic_store(&pvcalls->failed, false);
                        set_state(pvcalls, XENBUS_CLOSED);
                        break;
                }
        }
}
