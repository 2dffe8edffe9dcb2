/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The commands of docs/pvcalls-extensions.md. Each function returns what to answer, 0 or a negative errno; what there is besides is put
 * into the response.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "guest-join.h"
#include "guest-private.h"

/* Says a part of something that may be longer than a response: all its length, and what is there from offset on. */
static void say_piece(struct pvcalls_response *response, const uint8_t *bytes, uint32_t n, uint32_t offset) {
        uint32_t left = offset < n ? n - offset : 0;

        response->len = n;
        memcpy(response->piece, bytes + (n - left), left < PVCALLS_PIECE_SIZE ? left : PVCALLS_PIECE_SIZE);
}

static void say_address(struct pvcalls_response *response, const struct pvcalls_name *address, uint32_t offset) {
        uint8_t bytes[PVCALLS_NAME_MAX];
        uint32_t n = pvcalls_name_format(address, bytes);

        say_piece(response, bytes, n, offset);
}

void guest_tell_peer(const struct socket *socket, struct pvcalls_response *response) {
        say_address(response, &socket->remote, 0);
}

static bool is_any_address(const struct pvcalls_name *name) {
        return (name->any.sa_family == AF_INET && name->inet.sin_addr.s_addr == INADDR_ANY) ||
               (name->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&name->inet6.sin6_addr));
}

/*
 * Its own address. Where the policy has replaced what the guest bound to, it finds what it has asked for, as far as it has asked: only the
 * host's address of a connection that came to any of its addresses, or a port that it left to the host, are what they really are.
 */
static int local_name(const struct socket *socket, struct pvcalls_name *ret_address) {
        struct pvcalls_name address;
        uint16_t port;
        int r;

        pvcalls_name_init(&address, socket->family);
        if (guest_join_local_name(socket, &address) < 0 && socket->fd >= 0) {
                r = socket_local_name(socket, &address);
                if (r < 0)
                        return r;
        }
        if (socket->bound && socket->bound_elsewhere) {
                port = pvcalls_name_port(&address);
                if (socket->state != SOCKET_CONNECTED || !is_any_address(&socket->bind_address))
                        address = socket->bind_address;
                if (pvcalls_name_port(&socket->bind_address) != 0)
                        port = pvcalls_name_port(&socket->bind_address);
                pvcalls_name_set_port(&address, port);
        }
        *ret_address = address;
        return 0;
}

/* Its peer's: who came, or whom it has asked for, whatever the policy has made of that. */
static int peer_name(const struct socket *socket, struct pvcalls_name *ret_address) {
        if (socket->state != SOCKET_CONNECTED || (socket->type == SOCK_DGRAM && !socket->connect_asked))
                return -ENOTCONN;
        *ret_address = socket->connect_asked ? socket->connect_address : socket->remote;
        return 0;
}

static int execute_getname(struct guest *guest, const struct pvcalls_request *request, struct pvcalls_response *response) {
        const struct socket *socket = socket_find(guest, request->u.getname.id);
        struct pvcalls_name address;
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
        if (socket->stream.elsewhere) {
                guest_join_shutdown(socket, how, request->u.shutdown.out_prod);
                return 0;
        }
        if (how != PVCALLS_SHUTDOWN_READ)
                r = stream_shutdown_out(&socket->stream, request->u.shutdown.out_prod);
        if (r < 0)
                return r;
        if (how != PVCALLS_SHUTDOWN_WRITE)
                stream_shutdown_in(&socket->stream);
        guest_enqueue(socket);
        return 0;
}

static int execute_getsockopt(struct guest *guest, const struct pvcalls_request *request, struct pvcalls_response *response) {
        struct socket *socket = socket_find(guest, request->u.sockopt.id);
        uint8_t value[PVCALLS_PIECE_SIZE];
        uint32_t n;
        int r;

        if (!socket)
                return -EBADF;
        r = guest_get_option(socket, request->u.sockopt.level, request->u.sockopt.name, value, &n);
        if (r == 0)
                say_piece(response, value, n, 0);
        return r;
}

static int execute_setsockopt(struct guest *guest, const struct pvcalls_request *request, struct pvcalls_response *response) {
        struct socket *socket = socket_find(guest, request->u.sockopt.id);

        if (!socket)
                return -EBADF;
        return guest_set_option(socket, request->u.sockopt.level, request->u.sockopt.name, request->u.sockopt.value, request->u.sockopt.len);
}

static int execute_attach(struct guest *guest, const struct pvcalls_request *request, struct pvcalls_response *response) {
        struct socket *socket = socket_find(guest, request->u.attach.id);

        return socket ? guest_attach_datagrams(socket, request->u.attach.ref, request->u.attach.evtchn) : -EBADF;
}

static int execute_setname(struct guest *guest, const struct pvcalls_request *request, struct pvcalls_response *response) {
        struct socket *socket = socket_find(guest, request->u.setname.id);

        if (!socket)
                return -EBADF;
        return guest_stage_name(socket, request->u.setname.len, request->u.setname.offset, request->u.setname.piece);
}

bool guest_execute_extension(struct guest *guest, const struct pvcalls_request *request, struct pvcalls_response *response, int *ret_r) {
        static int (*const executors[])(struct guest *guest, const struct pvcalls_request *request, struct pvcalls_response *response) = {
                [PVCALLS_GETNAME - PVCALLS_GETNAME] = execute_getname,
                [PVCALLS_SHUTDOWN - PVCALLS_GETNAME] = execute_shutdown,
                [PVCALLS_GETSOCKOPT - PVCALLS_GETNAME] = execute_getsockopt,
                [PVCALLS_SETSOCKOPT - PVCALLS_GETNAME] = execute_setsockopt,
                [PVCALLS_ATTACH - PVCALLS_GETNAME] = execute_attach,
                [PVCALLS_SETNAME - PVCALLS_GETNAME] = execute_setname,
        };

        if (request->cmd < PVCALLS_GETNAME || request->cmd - PVCALLS_GETNAME >= sizeof executors / sizeof executors[0])
                return false;
        *ret_r = executors[request->cmd - PVCALLS_GETNAME](guest, request, response);
        return true;
}
