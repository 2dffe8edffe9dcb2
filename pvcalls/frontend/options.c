/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Options of the backend's socket. Nobody waits for what becomes of them. */

#include <errno.h>
#include <string.h>

#include "private.h"

#define WAITING_MAX 32u                 /* requests of one socket: a caller can be faster than the backend */

/* Level and name are Linux's on x86. */
int socket_ask_option(struct xcp_pvcalls_socket *socket, uint32_t level, uint32_t name, const void *value, uint32_t n) {
        struct request *request = request_new(PVCALLS_SETSOCKOPT, socket->id, socket);

        if (!request)
                return -ENOMEM;
        request->wire.u.sockopt.level = level;
        request->wire.u.sockopt.name = name;
        request->wire.u.sockopt.len = n;
        memcpy(request->wire.u.sockopt.value, value, n);
        socket_queue(socket, request);
        return 0;
}

int xcp_pvcalls_set_v6_only(struct xcp_pvcalls_socket *socket) {
        int r = 0;

        pthread_mutex_lock(&socket->pvcalls->lock);
        if (socket->known)
                r = -EINVAL;
        else
                socket->v6_only = true;
        pthread_mutex_unlock(&socket->pvcalls->lock);
        return r;
}

int xcp_pvcalls_set_option(struct xcp_pvcalls_socket *socket, int level, int name, const void *value, socklen_t size) {
        int r;

        if (level < 0 || name < 0 || size == 0 || size > PVCALLS_PIECE_SIZE)
                return -EINVAL;
        pthread_mutex_lock(&socket->pvcalls->lock);
        if (socket->kind != SOCKET_CONNECTED || socket->failure != 0) {
                r = -ENOTCONN;
        } else if (!socket->pvcalls->terms.options) {
                r = -EOPNOTSUPP;
        } else if (socket->n_requests >= WAITING_MAX) {
                r = -EAGAIN;
        } else {
                r = socket_ask_option(socket, (uint32_t) level, (uint32_t) name, value, size);
                sockets_flush(socket->pvcalls);
        }
        pthread_mutex_unlock(&socket->pvcalls->lock);
        return r;
}
