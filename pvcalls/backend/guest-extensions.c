/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The commands of docs/pvcalls-extensions.md. Each function returns what to answer, 0 or a negative errno; what there is besides is put
 * into the response.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"
#include "guest-private.h"

/* Says a part of something that may be longer than a response: all its length, and what is there from offset on. */
static void say_piece(struct pvcalls_response *response, const uint8_t *bytes, uint32_t n, uint32_t offset) {
        uint32_t left = offset < n ? n - offset : 0;

        response->len = n;
        memcpy(response->piece, bytes + (n - left), left < PVCALLS_PIECE_SIZE ? left : PVCALLS_PIECE_SIZE);
}

static void say_address(struct pvcalls_response *response, const struct sockaddr_in *address, uint32_t offset) {
        uint8_t bytes[PVCALLS_ADDRESS_SIZE];
        uint32_t n = pvcalls_address_format(address, bytes);

        say_piece(response, bytes, n, offset);
}

void guest_tell_peer(const struct socket *socket, struct pvcalls_response *response) {
        say_address(response, &socket->remote, 0);
}

/*
 * Its own address. Where the policy has replaced what the guest bound to, it finds what it has asked for, as far as it has asked: only the
 * host's address of a connection that came to any of its addresses, or a port that it left to the host, are what they really are.
 */
static int local_name(const struct socket *socket, struct sockaddr_in *ret_address) {
        struct sockaddr_in address = { .sin_family = AF_INET };
        socklen_t size = sizeof address;

        if (socket->fd >= 0 && getsockname(socket->fd, (struct sockaddr *) &address, &size) < 0)
                return -errno;
        if (socket->bound && socket->bound_elsewhere) {
                if (socket->bind_address.sin_addr.s_addr != INADDR_ANY || socket->state != SOCKET_CONNECTED)
                        address.sin_addr = socket->bind_address.sin_addr;
                if (socket->bind_address.sin_port != 0)
                        address.sin_port = socket->bind_address.sin_port;
        }
        *ret_address = address;
        return 0;
}

/* Its peer's: who came, or whom it has asked for, whatever the policy has made of that. */
static int peer_name(const struct socket *socket, struct sockaddr_in *ret_address) {
        if (socket->state != SOCKET_CONNECTED)
                return -ENOTCONN;
        *ret_address = socket->connect_asked ? socket->connect_address : socket->remote;
        return 0;
}

static int execute_getname(struct guest *guest, const struct pvcalls_request *request, struct pvcalls_response *response) {
        const struct socket *socket = socket_find(guest, request->u.getname.id);
        struct sockaddr_in address;
        int r;

        if (!socket)
                return -EBADF;
        switch (request->u.getname.which) {
        case PVCALLS_NAME_LOCAL: r = local_name(socket, &address); break;
        case PVCALLS_NAME_PEER: r = peer_name(socket, &address); break;
        default: return -EINVAL;
        }
        if (r == 0)
                say_address(response, &address, request->u.getname.offset);
        return r;
}

/* Answered at once, as shutdown(2) is: out ends when what it holds has been sent. */
static int execute_shutdown(struct guest *guest, const struct pvcalls_request *request, struct pvcalls_response *response) {
        struct socket *socket = socket_find(guest, request->u.shutdown.id);
        uint32_t how = request->u.shutdown.how;
        int r = 0;

        if (!socket)
                return -EBADF;
        if (how > PVCALLS_SHUTDOWN_BOTH)
                return -EINVAL;
        if (socket->state != SOCKET_CONNECTED)
                return -ENOTCONN;
        if (how != PVCALLS_SHUTDOWN_READ)
                r = stream_shutdown_out(&socket->stream, request->u.shutdown.out_prod);
        if (r < 0)
                return r;
        if (how != PVCALLS_SHUTDOWN_WRITE)
                stream_shutdown_in(&socket->stream);
        guest_enqueue(socket);
        return 0;
}

bool guest_execute_extension(struct guest *guest, const struct pvcalls_request *request, struct pvcalls_response *response, int *ret_r) {
        static int (*const executors[])(struct guest *guest, const struct pvcalls_request *request, struct pvcalls_response *response) = {
                [PVCALLS_GETNAME - PVCALLS_GETNAME] = execute_getname,
                [PVCALLS_SHUTDOWN - PVCALLS_GETNAME] = execute_shutdown,
        };

        if (request->cmd < PVCALLS_GETNAME || request->cmd - PVCALLS_GETNAME >= sizeof executors / sizeof executors[0])
                return false;
        *ret_r = executors[request->cmd - PVCALLS_GETNAME](guest, request, response);
        return true;
}
