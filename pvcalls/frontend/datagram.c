/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Datagrams: frames in the rings (docs/pvcalls-extensions.md, "Datagrams"). Sending and receiving are without the device's lock, as in data.c. */

#include <errno.h>
#include <string.h>

#include "error.h"
#include "frame.h"
#include "private.h"

int xcp_pvcalls_datagrams_new(struct xcp_pvcalls *pvcalls, void *userdata, struct xcp_pvcalls_socket **ret_socket) {
        int r;

        pthread_mutex_lock(&pvcalls->lock);
        r = socket_make(pvcalls, userdata, ret_socket);
        if (r == 0)
                (*ret_socket)->datagrams = true;
        pthread_mutex_unlock(&pvcalls->lock);
        return r;
}

static int attach_locked(struct xcp_pvcalls_socket *socket, int family) {
        int r = socket_callable(socket);

        if (r < 0)
                return r;
        if (!socket->datagrams)
                return -EOPNOTSUPP;
        if (socket->kind != SOCKET_NEW && socket->kind != SOCKET_BOUND)
                return -EISCONN;
        r = name_family(socket, family);
        if (r < 0)
                return r;
        r = socket_take_ring(socket);
        if (r < 0)
                return r;
        r = socket_ask_known(socket, PVCALLS_ATTACH);
        if (r < 0) {
                socket_drop_ring(socket, false);
                return r;
        }
        socket->kind = SOCKET_CONNECTING;
        return -EINPROGRESS;
}

int xcp_pvcalls_attach(struct xcp_pvcalls_socket *socket, int family) {
        pthread_mutex_lock(&socket->pvcalls->lock);
        return socket_call_end(socket, attach_locked(socket, family));
}

/* Who has been told that one does not fit is told when it does; before that, half a ring is enough to try. */
size_t datagram_room(const struct xcp_pvcalls_socket *socket) {
        return socket->room_wanted > 0 ? socket->room_wanted : socket->out.size / 2;
}

/* Its size is a multiple of what a frame's is: then its padding fits as well. */
static size_t longest(const struct xcp_pvcalls_socket *socket) {
        return socket->out.size - FRAME_HEADER;
}

size_t xcp_pvcalls_datagram_max(struct xcp_pvcalls_socket *socket) {
        size_t n;

        pthread_mutex_lock(&socket->pvcalls->lock);
        n = socket->datagrams && socket->kind == SOCKET_CONNECTED && socket->ring ? longest(socket) : 0;
        pthread_mutex_unlock(&socket->pvcalls->lock);
        return n;
}

int xcp_pvcalls_send_to(struct xcp_pvcalls_socket *socket, const void *data, size_t size, const struct sockaddr *address, socklen_t address_size) {
        struct pvcalls_datagram header = { .length = (uint32_t) size };
        struct pvcalls_name name;
        struct iovec pieces[2];
        ssize_t room;
        int r = 0;

        if (!socket->datagrams)
                return -EOPNOTSUPP;
        if (address)
                r = name_read(address, address_size, &name);
        if (r == 0 && address && name.any.sa_family != socket->family)
                r = -EAFNOSUPPORT;
        if (r < 0)
                return r;
        room = data_wait_room(socket, pieces, 1);
        if (room < 0 && room != -EAGAIN)
                return (int) room;
        if (size > longest(socket))
                return -EMSGSIZE;
        room = data_wait_room(socket, pieces, frame_length(size));
        socket->room_wanted = room == -EAGAIN ? frame_length(size) : 0;
        if (room < 0)
                return (int) room;
        if (address)
                header.addr_len = name_fill(&name, header.addr);
        pieces_put(pieces, &header, FRAME_HEADER);
        pieces_put(pieces, data, size);
        data_sent(socket, frame_length(size));
        return 0;
}

/* What a frame of no datagram tells. */
static int error_of(const struct pvcalls_datagram *header) {
        int error = header->error >= -4095 && header->error < 0 ? pvcalls_error_from_wire(header->error) : -EIO;

        return error == -EAGAIN ? -EIO : error;         /* which would mean that nothing is there */
}

ssize_t xcp_pvcalls_receive_from(struct xcp_pvcalls_socket *socket, void *data, size_t size, struct sockaddr *ret_address,
                                 socklen_t *address_size) {
        struct pvcalls_datagram untrusted;
        struct pvcalls_name from = {};          /* stays so with none, or with one that cannot be: it is nobody's */
        struct iovec pieces[2];
        ssize_t n;

        if (!socket->datagrams)
                return -EOPNOTSUPP;
        n = data_wait_in(socket, pieces);
        if (n <= 0)
                return n < 0 ? n : -ENOTCONN;           /* an empty datagram is no end, so an end is an error */
        if (frame_get(pieces, (size_t) n, &untrusted) < 0)
                return data_broken(socket);
        if (untrusted.addr_len <= PVCALLS_ADDRESS_SIZE)
                (void) pvcalls_name_parse(untrusted.addr, untrusted.addr_len, &from);
        memcpy(ret_address, &from.any, *address_size < sizeof from.inet6 ? *address_size : sizeof from.inet6);
        *address_size = from.size;
        socket->cut = untrusted.flags & PVCALLS_DATAGRAM_TRUNCATED;
        pieces_get(pieces, data, untrusted.length < size ? untrusted.length : size);
        data_received(socket, frame_length(untrusted.length));
        return untrusted.error != 0 ? error_of(&untrusted) : (ssize_t) untrusted.length;
}

int xcp_pvcalls_datagram_was_cut(const struct xcp_pvcalls_socket *socket) {
        return socket->cut;
}
