/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The addresses of sockets: what a program may ask for, what goes to the backend of it, and what the backend tells. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "private.h"

#define NOBODY_LENGTH 16u               /* of the address of family 0 that ends a UDP socket's connection */

/* Whether a socket of this kind can have addresses of a family, with this backend. */
static int family_check(const struct xcp_pvcalls_socket *socket, int family) {
        const struct store_terms *terms = &socket->pvcalls->terms;

        if (socket->known && socket->family != family)
                return -EAFNOSUPPORT;
        switch (family) {
        case AF_INET: return 0;
        case AF_INET6: return terms->ipv6 ? 0 : -EAFNOSUPPORT;
        case AF_UNIX: return terms->local && !socket->datagrams ? 0 : -EAFNOSUPPORT;
        default: return -EAFNOSUPPORT;
        }
}

int name_read(const struct sockaddr *address, socklen_t size, struct pvcalls_name *ret_name) {
        struct pvcalls_name name = { .size = size };
        uint8_t bytes[PVCALLS_NAME_MAX];

        if (size < sizeof(sa_family_t) || size > sizeof name.local)
                return -EINVAL;
        memcpy(&name.any, address, size);
        if ((name.any.sa_family == AF_INET && size < sizeof name.inet) || (name.any.sa_family == AF_INET6 && size < sizeof name.inet6))
                return -EINVAL;
        if (name.any.sa_family != AF_INET && name.any.sa_family != AF_INET6 && name.any.sa_family != AF_UNIX)
                return -EAFNOSUPPORT;
        return pvcalls_name_parse(bytes, pvcalls_name_format(&name, bytes), ret_name);  /* what the ring can carry of it */
}

int name_check(const struct xcp_pvcalls_socket *socket, const struct sockaddr *address, socklen_t size, struct pvcalls_name *ret_name) {
        int r;

        if (socket->datagrams && socket->kind == SOCKET_CONNECTED && size >= sizeof(sa_family_t) && address->sa_family == AF_UNSPEC) {
                *ret_name = (struct pvcalls_name) {};   /* it is connected to nobody any more */
                return 0;
        }
        r = name_read(address, size, ret_name);
        return r < 0 ? r : family_check(socket, ret_name->any.sa_family);
}

int name_family(struct xcp_pvcalls_socket *socket, int family) {
        int r = family_check(socket, family);

        if (r == 0)
                socket->family = family;
        return r;
}

uint32_t name_fill(const struct pvcalls_name *name, uint8_t ret_addr[PVCALLS_ADDRESS_SIZE]) {
        uint8_t bytes[PVCALLS_NAME_MAX];
        uint32_t n = pvcalls_name_format(name, bytes);

        memcpy(ret_addr, bytes, PVCALLS_ADDRESS_SIZE);  /* of a longer one this is the beginning, of which the backend looks at the family */
        return n > 0 ? n : NOBODY_LENGTH;
}

int name_send(struct xcp_pvcalls_socket *socket, const struct pvcalls_name *name) {
        uint8_t bytes[PVCALLS_NAME_MAX + PVCALLS_PIECE_SIZE] = {};
        uint32_t n = pvcalls_name_format(name, bytes);
        int r = 0;

        if (n <= PVCALLS_ADDRESS_SIZE)
                return 0;
        for (uint32_t offset = 0; r == 0 && offset < n; offset += PVCALLS_PIECE_SIZE) {
                struct request *request = request_new(PVCALLS_SETNAME, socket->id, socket);

                if (!request)
                        return -ENOMEM;
                request->wire.u.setname.len = n;
                request->wire.u.setname.offset = offset;
                memcpy(request->wire.u.setname.piece, bytes + offset, PVCALLS_PIECE_SIZE);
                socket_queue(socket, request);
        }
        return r;
}

/* Asks the backend for what there is of a name from here on. */
static int ask(struct xcp_pvcalls_socket *socket, enum pvcalls_which which, uint32_t offset) {
        struct request *request = request_new(PVCALLS_GETNAME, socket->id, socket);

        if (!request)
                return -ENOMEM;
        request->wire.u.getname.which = which;
        request->wire.u.getname.offset = offset;
        socket_queue(socket, request);
        return 0;
}

/* One that is there whole. A UNIX socket that is bound to nothing has a family alone. */
static int parse(const struct told_name *told, struct pvcalls_name *ret_name) {
        if (told->n == 2 && (told->bytes[0] | told->bytes[1] << 8) == PVCALLS_UNIX) {
                pvcalls_name_init(ret_name, AF_UNIX);
                return 0;
        }
        return pvcalls_name_parse(told->bytes, told->n, ret_name);
}

/* Adds a piece. Returns 1 if it is whole, 0 if there is more; or -EIO for what cannot be an answer. */
static int add(struct told_name *told, const struct request *request, uint32_t offset) {
        uint32_t n = request->len, left;

        if (n < 2 || n > PVCALLS_NAME_MAX || offset >= n || (offset > 0 && n != told->n))
                return -EIO;
        left = n - offset < PVCALLS_PIECE_SIZE ? n - offset : PVCALLS_PIECE_SIZE;
        memcpy(told->bytes + offset, request->piece, left);
        told->n = n;
        return offset + left == n;
}

void name_answered(struct xcp_pvcalls_socket *socket, const struct request *request, int result) {
        enum pvcalls_which which = request->wire.u.getname.which;
        uint32_t offset = request->wire.u.getname.offset;
        struct told_name *told = &socket->told[which];
        struct pvcalls_name name;
        int r = result < 0 ? result : add(told, request, offset);

        if (r == 0)
                r = !link_is_up(socket->pvcalls) ? -ENETDOWN : ask(socket, which, offset + PVCALLS_PIECE_SIZE) ?: -EINPROGRESS;
        if (r == 1 && parse(told, &name) < 0)
                r = -EIO;
        told->known = r;
        if (r == 1 && which == PVCALLS_NAME_LOCAL && pvcalls_name_port(&socket->address) == 0)
                pvcalls_name_set_port(&socket->address, pvcalls_name_port(&name));      /* a listener asks its next backend for the same port */
}

void name_came(struct xcp_pvcalls_socket *child, const struct request *request) {
        struct told_name *told = &child->told[PVCALLS_NAME_PEER];
        struct pvcalls_name name;
        int r = child->pvcalls->terms.names ? add(told, request, 0) : -EOPNOTSUPP;

        if (r == 1 && parse(told, &name) < 0)
                r = -EOPNOTSUPP;
        told->known = r == -EIO ? -EOPNOTSUPP : r;      /* 0: it is a long one, and asked for when it is wanted */
}

static int tell(const struct pvcalls_name *name, struct sockaddr *ret_address, socklen_t *size) {
        memcpy(ret_address, &name->any, *size < name->size ? *size : name->size);
        *size = name->size;
        return 0;
}

/* What the backend has told, or will. */
static int get(struct xcp_pvcalls_socket *socket, enum pvcalls_which which, struct sockaddr *ret_address, socklen_t *size) {
        struct told_name *told = &socket->told[which];
        struct pvcalls_name name;
        int r = told->known;

        if (r == 1)
                return parse(told, &name) < 0 ? -EIO : tell(&name, ret_address, size);
        if (r < 0)
                return r;
        r = !socket->known || !link_is_up(socket->pvcalls) ? -ENOTCONN : !socket->pvcalls->terms.names ? -EOPNOTSUPP : ask(socket, which, 0);
        if (r == 0)
                r = told->known = -EINPROGRESS;
        sockets_flush(socket->pvcalls);
        return r;
}

int xcp_pvcalls_local_address(struct xcp_pvcalls_socket *socket, struct sockaddr *ret_address, socklen_t *size) {
        int r;

        pthread_mutex_lock(&socket->pvcalls->lock);
        r = get(socket, PVCALLS_NAME_LOCAL, ret_address, size);
        pthread_mutex_unlock(&socket->pvcalls->lock);
        return r;
}

int xcp_pvcalls_peer_address(struct xcp_pvcalls_socket *socket, struct sockaddr *ret_address, socklen_t *size) {
        int r;

        pthread_mutex_lock(&socket->pvcalls->lock);
        if (socket->kind != SOCKET_CONNECTED || (!socket->accepted && socket->address.size == 0))
                r = -ENOTCONN;
        else if (socket->accepted)
                r = get(socket, PVCALLS_NAME_PEER, ret_address, size);
        else
                r = tell(&socket->address, ret_address, size);
        pthread_mutex_unlock(&socket->pvcalls->lock);
        return r;
}
