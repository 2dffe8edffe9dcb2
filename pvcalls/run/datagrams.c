/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * UDP sockets that a program connects. Its socket is connected to one of ours over the loopback, so that sending and receiving without an address
 * is the kernel's own doing, as polling is. Calls that give or want an address are made here: the kernel would know only the loopback's.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "loopback.h"
#include "supervisor.h"

#define TURN_DATAGRAMS 64u              /* each way; then others have theirs */

static uint8_t bytes[65536];            /* one at a time: no datagram is longer */

bool datagrams_are(int fd) {
        int domain = 0, type = 0, protocol = 0;
        socklen_t n = sizeof domain;

        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && (domain == AF_INET || domain == AF_INET6) &&
               getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_DGRAM &&
               getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) == 0 && protocol == IPPROTO_UDP;
}

static bool is_v6(int fd) {
        int domain = 0;
        socklen_t n = sizeof domain;

        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain == AF_INET6;
}

/* Whether a program has bound it to an address of the domain's own: there it stays then. */
static bool is_bound(int fd) {
        union {
                struct sockaddr any;
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
        } address = {};
        socklen_t n = sizeof address;

        if (getsockname(fd, &address.any, &n) < 0)
                return false;
        return address.any.sa_family == AF_INET6 ? !IN6_IS_ADDR_UNSPECIFIED(&address.in6.sin6_addr) : address.in.sin_addr.s_addr != INADDR_ANY;
}

static void disconnect(int fd) {
        (void) connect(fd, &(struct sockaddr) { .sa_family = AF_UNSPEC }, sizeof(struct sockaddr));
}

static int64_t connect_begin(struct supervisor *supervisor, struct call *call, int fd, const struct sockaddr_in *address) {
        struct carried *carried = carried_new(supervisor);
        int r;

        if (!carried)
                return -ENOMEM;
        carried->datagrams = true;
        carried->v6 = is_v6(fd);
        r = xcp_pvcalls_datagrams_new(supervisor->pvcalls, carried, &carried->socket);
        if (r == 0)
                r = carried_adopt(carried, fd);
        if (r < 0) {
                xcp_pvcalls_socket_release(carried->socket);
                free(carried);
                return r;
        }
        r = xcp_pvcalls_connect(carried->socket, address);
        if (r != -EINPROGRESS) {
                carried_end(carried);
                return r == -EOPNOTSUPP ? CALL_CONTINUES : r;   /* this backend has none: they are the domain's own, as without us */
        }
        carried->peer = *address;
        carried->kind = CARRIED_CONNECTING;
        carried_wait(carried, call);            /* also if the program does not wait: it would not have to with a network of its own */
        return CALL_WAITS;
}

/* The backend has answered. */
static int64_t connect_end(struct supervisor *supervisor, int fd, struct carried *carried) {
        int error = carried->error, own;

        if (carried->kind != CARRIED_CONNECTED) {
                carried_end(carried);
                return -error;
        }
        own = loopback_join(fd, carried->v6);
        if (own < 0) {
                carried_end(carried);
                return own;
        }
        carried->confirmed = true;
        connection_begin(carried, own);
        return 0;
}

int64_t datagrams_connect(struct supervisor *supervisor, struct call *call, const struct target *target, int fd, struct carried *carried) {
        struct sockaddr_in address;
        int r;

        if (carried && carried->kind == CARRIED_CONNECTING) {
                if (!call->started)
                        return -EALREADY;
                carried_wait(carried, call);
                return CALL_WAITS;
        }
        if (call->started)
                return carried ? connect_end(supervisor, fd, carried) : -ECONNABORTED;
        r = address_read(target, call->data.args[1], call->data.args[2], false, &address);
        if (r < 0)
                return r;
        if (carried) {                  /* to another, or to nobody */
                disconnect(fd);
                carried_end(carried);
        }
        if (r != 0 || !ranges_have(&call->program->ranges, address.sin_addr) || is_bound(fd))
                return CALL_CONTINUES;
        return connect_begin(supervisor, call, fd, &address);
}

/* recvfrom(2) with an address. */
int64_t datagrams_receive(struct supervisor *supervisor, struct call *call, const struct target *target, int fd, struct carried *carried) {
        const __u64 *args = call->data.args;
        int flags = (int) args[3], r;
        ssize_t n;
        size_t copied;

        if (!carried->datagrams || carried->fd < 0 || flags & MSG_ERRQUEUE)
                return CALL_CONTINUES;
        n = recv(fd, bytes, sizeof bytes, (flags & MSG_PEEK) | MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && errno == EAGAIN && !(flags & MSG_DONTWAIT) && !(fcntl(fd, F_GETFL) & O_NONBLOCK)) {
                timeout_set(supervisor, call, fd);
                carried_wait(carried, call);
                return CALL_WAITS;
        }
        if (n < 0)
                return -errno;
        copied = (size_t) n < args[2] ? (size_t) n : args[2];
        r = target_write(target, args[1], bytes, copied);
        if (r == 0)
                r = address_write(target, args[4], args[5], &carried->peer, carried->v6);
        return r < 0 ? r : flags & MSG_TRUNC ? n : (ssize_t) copied;
}

/* sendto(2) with an address. */
int64_t datagrams_send(struct call *call, const struct target *target, struct carried *carried) {
        const __u64 *args = call->data.args;
        struct sockaddr_in address;
        int r;

        if (!carried->datagrams || carried->fd < 0)
                return CALL_CONTINUES;
        if (args[2] > sizeof bytes)
                return -EMSGSIZE;
        r = address_read(target, args[4], args[5], false, &address);
        if (r != 0 || !ranges_have(&call->program->ranges, address.sin_addr))
                return r < 0 ? r : CALL_CONTINUES;
        r = target_read(target, args[1], bytes, args[2]);
        if (r < 0)
                return r;
        r = xcp_pvcalls_send_to(carried->socket, bytes, args[2], &address);
        return r < 0 && r != -EAGAIN ? r : (int64_t) args[2];   /* without room for it, it is lost, as in any queue that is full */
}

/* Moves one from the program to the backend. Returns whether there may be more. */
static bool move_out(struct carried *carried) {
        ssize_t n;

        if (!carried->readable || !(xcp_pvcalls_poll(carried->socket, POLLOUT) & POLLOUT))
                return false;
        n = recv(carried->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
                carried->readable = false;
                return false;
        }
        if (n >= 0)                     /* an error is of one that was sent to the program, which has closed its socket */
                (void) xcp_pvcalls_send_to(carried->socket, bytes, (size_t) n, NULL);
        return true;
}

static bool move_in(struct carried *carried) {
        struct sockaddr_in from;
        ssize_t n = xcp_pvcalls_receive_from(carried->socket, bytes, sizeof bytes, &from);

        if (n == -EAGAIN)
                return false;
        if (n >= 0)
                (void) send(carried->fd, bytes, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);       /* no room: lost */
        else if (xcp_pvcalls_poll(carried->socket, 0) & POLLHUP)
                return false;           /* and not what has become of a datagram */
        return true;
}

/* Whether one is on its way to the program's socket: the kernel takes it there a little later if it is busy. */
static bool is_under_way(const struct carried *carried) {
        int n = 0;

        return ioctl(carried->fd, SIOCOUTQ, &n) == 0 && n > 0;
}

void datagrams_run(struct carried *carried) {
        unsigned out = 0, in = 0;

        if (carried->closed)
                carried->readable = true;       /* of the last ones, no event may have told yet */
        while (out < TURN_DATAGRAMS && move_out(carried))
                out++;
        while (!carried->closed && in < TURN_DATAGRAMS && move_in(carried))
                in++;
        if (carried->closed && out < TURN_DATAGRAMS) {
                carried_end(carried);
                return;
        }
        if (xcp_pvcalls_poll(carried->socket, 0) & POLLHUP) {
                connection_abort(carried, false);       /* the next that the program sends is refused, as nobody is there */
                if (carried->dead)
                        return;
        } else if (out == TURN_DATAGRAMS || in == TURN_DATAGRAMS || (carried->calls && is_under_way(carried))) {
                connection_run_again(carried);
        }
        calls_retry(carried);
}
