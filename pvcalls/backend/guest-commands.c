/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The seven commands. Each function returns what to answer: 0 or a negative errno, or ANSWERED_LATER if the answer is given elsewhere. None
 * of them waits for anything.
 *
 * What the specification leaves open is settled in docs/pvcalls.md, "Settled".
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "error.h"
#include "guest-join.h"
#include "guest-private.h"

#define PROTOCOL_TCP 6u                 /* on the ring, whatever it is here: "Socket" */
#define PROTOCOL_UDP 17u

enum { ANSWERED_LATER = 1 };

static int family_of(uint32_t number) {
        switch (number) {
        case PVCALLS_INET: return AF_INET;
        case PVCALLS_INET6: return AF_INET6;
        case PVCALLS_UNIX: return AF_UNIX;
        default: return AF_UNSPEC;
        }
}

/* What can be carried. The text of version 1 allows protocol 0 only. A protocol by its number means the same, and is what programs write. */
static bool is_carried(int family, uint32_t type, uint32_t protocol) {
        switch (type) {
        case PVCALLS_STREAM: return family != AF_UNSPEC && (protocol == 0 || (family != AF_UNIX && protocol == PROTOCOL_TCP));
        case PVCALLS_DATAGRAM: return (family == AF_INET || family == AF_INET6) && (protocol == 0 || protocol == PROTOCOL_UDP);
        default: return false;
        }
}

static int execute_socket(struct guest *guest, const struct pvcalls_request *request) {
        int family = family_of(request->u.socket.domain);
        struct socket *socket;

        if (!is_carried(family, request->u.socket.type, request->u.socket.protocol))
                return -ENOTSUP;
        return socket_new(guest, request->u.socket.id, family, request->u.socket.type == PVCALLS_STREAM ? SOCK_STREAM : SOCK_DGRAM, &socket);
}

int guest_ask_policy(struct socket *socket, enum policy_call call, const struct pvcalls_name *address, struct pvcalls_name *ret_address) {
        struct guest *guest = socket->guest;
        struct policy_verdict verdict;

        policy_decide(&guest->terms->policy, call, socket->type, address, guest_now(guest), &verdict);
        if (!verdict.allow) {
                guest->terms->counters.denied++;
                guest->listener->denied(call, address, &verdict, guest->userdata);
                return verdict.over_rate ? -ENOBUFS : -EACCES;
        }
        *ret_address = verdict.address;
        return 0;
}

/* The address of CONNECT or BIND, which must be of the socket's family. */
static int parse_address(struct socket *socket, const uint8_t untrusted_addr[PVCALLS_ADDRESS_SIZE], uint32_t untrusted_len,
                         struct pvcalls_name *ret_name) {
        if (untrusted_len < 2 || (untrusted_len > PVCALLS_ADDRESS_SIZE && socket->family != AF_UNIX))
                return -EINVAL;
        if (family_of(untrusted_addr[0] | (uint32_t) untrusted_addr[1] << 8) != socket->family)
                return -EAFNOSUPPORT;
        if (untrusted_len > PVCALLS_ADDRESS_SIZE)
                return guest_staged_name(socket, untrusted_len, ret_name);
        return pvcalls_name_parse(untrusted_addr, untrusted_len, ret_name);
}

static void connected(struct socket *socket) {
        socket->guest->terms->counters.connected++;
        guest_open_stream(socket);
}

/* It did not come about: the socket is as it was before CONNECT, and may try again, as on Linux. */
static int connect_failed(struct socket *socket, int error) {
        const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

        socket->guest->terms->counters.connect_failed++;
        socket_detach(socket);
        if (socket->fd >= 0) {
                (void) guest_watch(socket->guest, socket, EPOLL_CTL_DEL, 0);
                (void) connect(socket->fd, &nowhere, sizeof nowhere);   /* or Linux tells the failure again at the next try */
        }
        socket->stream.fd = -1;
        socket->state = socket->bound ? SOCKET_BOUND : SOCKET_NEW;
        socket->connect_asked = false;
        return error;
}

static int start_connect(struct socket *socket, const struct pvcalls_name *address, uint32_t req_id) {
        bool is_connected;
        int r;

        if (guest_join_connect(socket, address)) {
                socket->guest->terms->counters.connected++;
                socket->state = SOCKET_CONNECTED;
                return 0;
        }
        r = socket_make_fd(socket);
        if (r < 0)
                return connect_failed(socket, r);
        is_connected = connect(socket->fd, &address->any, address->size) == 0;
        if (!is_connected && errno != EINPROGRESS)
                return connect_failed(socket, -errno);
        r = guest_watch(socket->guest, socket, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
        if (r < 0)
                return connect_failed(socket, r);
        if (is_connected) {
                connected(socket);
                return 0;
        }
        socket->state = SOCKET_CONNECTING;
        socket->guest->connects_begun = true;
        socket->req_id = req_id;
        return ANSWERED_LATER;
}

/* Whether CONNECT is possible in this state; if not, what Linux's connect(2) says. */
static int may_connect(const struct socket *socket) {
        switch (socket->state) {
        case SOCKET_NEW:
        case SOCKET_BOUND: return 0;
        case SOCKET_CONNECTING: return -EALREADY;
        case SOCKET_CONNECTED: return socket->type == SOCK_DGRAM ? 0 : -EISCONN;
        case SOCKET_LISTENING: return -EISCONN;
        default: return -EBADF;
        }
}

static int execute_connect(struct guest *guest, const struct pvcalls_request *request) {
        struct socket *socket = socket_find(guest, request->u.connect.id);
        struct pvcalls_name asked, address;
        int r;

        if (!socket)
                return -EBADF;
        r = may_connect(socket);
        if (r == 0 && socket->state == SOCKET_CONNECTED && request->u.connect.len >= 2 && request->u.connect.addr[0] == 0 &&
            request->u.connect.addr[1] == 0)    /* AF_UNSPEC, by which datagrams go to nobody in particular again */
                return guest_disconnect_datagrams(socket);
        if (r == 0)
                r = parse_address(socket, request->u.connect.addr, request->u.connect.len, &asked);
        if (r == 0)
                pvcalls_name_make_destination(&asked);
        if (r == 0 && socket->state == SOCKET_CONNECTED)
                return guest_connect_datagrams(socket, &asked);
        if (r == 0)
                r = guest_ask_policy(socket, POLICY_CONNECT, &asked, &address);
        if (r == 0)     /* before there is a connection that could be lost */
                r = socket_attach(socket, request->u.connect.ref, request->u.connect.evtchn);
        if (r < 0)
                return r;
        socket->connect_asked = true;
        socket->connect_address = asked;
        socket->remote = address;
        return start_connect(socket, &address, request->req_id);
}

void guest_connect_ready(struct socket *socket, uint32_t events) {
        struct guest *guest = socket->guest;
        socklen_t size = sizeof(int);
        int error = 0;

        if (events & (EPOLLERR | EPOLLHUP) && getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                error = errno;
        if (error == 0) {
                connected(socket);
                socket->stream.readable = false;        /* unless this event says so; what comes later has one of its own */
                stream_ready(&socket->stream, events);
        } else {
                connect_failed(socket, -error);
        }
        guest_respond(guest, PVCALLS_CONNECT, socket->req_id, socket->id, pvcalls_error_to_wire(-error));
}

/* Any address of IPv6 is any of IPv4 as well, unless the guest does not want that or may not have it. */
static void restrict_to_ipv6(const struct socket *socket, const struct pvcalls_name *address) {
        struct pvcalls_name inet;
        int only;

        if (socket->family != AF_INET6 || !IN6_IS_ADDR_UNSPECIFIED(&address->inet6.sin6_addr))
                return;
        pvcalls_name_init(&inet, AF_INET);
        pvcalls_name_set_port(&inet, pvcalls_name_port(address));
        only = socket->v6only || !policy_allows(&socket->guest->terms->policy, POLICY_BIND, socket->type, &inet);
        setsockopt(socket->fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
}

static int execute_bind(struct guest *guest, const struct pvcalls_request *request) {
        struct socket *socket = socket_find(guest, request->u.bind.id);
        struct pvcalls_name asked, address;
        const int on = 1;
        int r;

        if (!socket)
                return -EBADF;
        if (socket->state != SOCKET_NEW && !(socket->state == SOCKET_CONNECTED && socket->type == SOCK_DGRAM && !socket->bound))
                return -EINVAL;
        r = parse_address(socket, request->u.bind.addr, request->u.bind.len, &asked);
        if (r == 0)
                r = guest_ask_policy(socket, POLICY_BIND, &asked, &address);
        if (r == 0)
                r = socket_make_fd(socket);
        if (r < 0)
                return r;
        /* The protocol has no socket options, and servers that restart need this one. Two listeners still cannot have one address. */
        if (socket->type == SOCK_STREAM)        /* of datagrams, they could */
                setsockopt(socket->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        guest_prepare_path(&address);
        restrict_to_ipv6(socket, &address);
        if (bind(socket->fd, &address.any, address.size) < 0)
                return -errno;
        socket->bound = true;
        socket->bound_elsewhere = !pvcalls_name_equal(&asked, &address);
        socket->bind_address = asked;
        socket->owns_path = socket->family == AF_UNIX;
        if (socket->state == SOCKET_NEW)
                socket->state = SOCKET_BOUND;
        return 0;
}

static int execute_listen(struct guest *guest, const struct pvcalls_request *request) {
        struct socket *socket = socket_find(guest, request->u.listen.id);

        if (!socket)
                return -EBADF;
        if (socket->type != SOCK_STREAM)
                return -ENOTSUP;
        if (socket->state != SOCKET_BOUND && socket->state != SOCKET_LISTENING)
                return -EINVAL;
        return guest_listen(socket, request->u.listen.backlog);
}

static int execute_accept(struct guest *guest, const struct pvcalls_request *request) {
        struct socket *socket = socket_find(guest, request->u.accept.id);
        int r;

        if (!socket)
                return -EBADF;
        r = guest_accept(socket, request);
        return r < 0 ? r : ANSWERED_LATER;
}

static int execute_poll(struct guest *guest, const struct pvcalls_request *request) {
        struct socket *socket = socket_find(guest, request->u.poll.id);
        int r;

        if (!socket)
                return -EBADF;
        r = guest_poll(socket, request->req_id);
        return r < 0 ? r : ANSWERED_LATER;
}

static int execute_release(struct guest *guest, const struct pvcalls_request *request) {
        struct socket *socket = socket_find(guest, request->u.release.id);

        if (!socket)
                return 0;               /* as Linux's backend: to close what is not there is no mistake */
        switch (socket->state) {
        case SOCKET_CONNECTED:          /* reuse: Linux's frontend leaves other values there, which mean nothing */
                guest_release_stream(socket, request->req_id, request->u.release.reuse == 1);
                return ANSWERED_LATER;
        case SOCKET_CLOSING:
        case SOCKET_EXPECTED:           /* it ends with its listener */
                return -EBUSY;
        case SOCKET_CONNECTING:
                guest_respond(guest, PVCALLS_CONNECT, socket->req_id, socket->id, pvcalls_error_to_wire(-ECONNABORTED));
                break;
        case SOCKET_LISTENING:
                guest_listen_end(socket, pvcalls_error_to_wire(-ECONNABORTED));
                break;
        default:
                break;
        }
        socket_free(socket);
        return 0;
}

void guest_execute(struct guest *guest, const struct pvcalls_request *request) {
        static int (*const executors[])(struct guest *guest, const struct pvcalls_request *request) = {
                [PVCALLS_SOCKET] = execute_socket,
                [PVCALLS_CONNECT] = execute_connect,
                [PVCALLS_RELEASE] = execute_release,
                [PVCALLS_BIND] = execute_bind,
                [PVCALLS_LISTEN] = execute_listen,
                [PVCALLS_ACCEPT] = execute_accept,
                [PVCALLS_POLL] = execute_poll,
        };
        struct pvcalls_response response = { .req_id = request->req_id, .cmd = request->cmd, .id = request->u.id };
        int r = -ENOTSUP;

        guest->terms->counters.commands++;
        if (request->cmd < sizeof executors / sizeof executors[0])
                r = executors[request->cmd](guest, request);
        else if (!guest_execute_extension(guest, request, &response, &r))
                guest->terms->counters.unknown_commands++;
        if (r == ANSWERED_LATER)
                return;
        response.ret = r == -ENOTSUP ? PVCALLS_ENOTSUP : pvcalls_error_to_wire(r);
        guest_respond_with(guest, &response);
}
