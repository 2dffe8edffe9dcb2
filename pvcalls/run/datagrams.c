/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * UDP sockets. The program's is connected to one of ours over the loopback if the program has connected it, so that sending and receiving without an
 * address is the kernel's own doing, as polling is. Calls that give or want an address are sending.c's and receiving.c's: the kernel would know only the
 * loopback's.
 *
 * One that is connected to nobody is bound on the loopback, and what it gets is from an address there that says who has sent it (peers.h).
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopback.h"
#include "supervisor.h"

#define TURN_DATAGRAMS 64u              /* each way; then others have theirs */

uint8_t datagrams_bytes[DATAGRAMS_BYTES];

bool datagrams_are(int fd) {
        int domain = 0, type = 0, protocol = 0;
        socklen_t n = sizeof domain;

        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && (domain == AF_INET || domain == AF_INET6) &&
               getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_DGRAM &&
               getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) == 0 && protocol == IPPROTO_UDP;
}

static int family_of(int fd) {
        int domain = 0;
        socklen_t n = sizeof domain;

        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0 ? -errno : domain;
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

/* The backend's socket for one of the program's. */
static int carry(struct supervisor *supervisor, int fd, struct carried **ret_carried) {
        struct carried *carried = carried_new(supervisor);
        int r;

        if (!carried)
                return -ENOMEM;
        carried->datagrams = true;
        carried->family = family_of(fd);
        r = xcp_pvcalls_datagrams_new(supervisor->pvcalls, carried, &carried->socket);
        if (r == 0)
                r = carried_adopt(carried, fd);
        if (r < 0) {
                xcp_pvcalls_socket_release(carried->socket);
                free(carried);
                return r;
        }
        *ret_carried = carried;
        return 0;
}

/*
 * The backend was asked for something, with this result. The call waits, also if the program does not: it would not have to with a network of
 * its own.
 */
static int64_t begun(struct carried *carried, struct call *call, enum carried_kind kind, int r) {
        if (r != -EINPROGRESS) {
                carried_end(carried);
                return r == -EOPNOTSUPP ? CALL_CONTINUES : r;   /* this backend has none: they are the domain's own, as without us */
        }
        carried->kind = kind;
        carried_wait(carried, call);
        return CALL_WAITS;
}

/* Connects the socket, also one that is connected to another, or to nobody; its port stays. */
static int64_t connect_begin(struct supervisor *supervisor, struct call *call, int fd, struct carried *carried, const struct pvcalls_name *address) {
        int r = carried ? 0 : carry(supervisor, fd, &carried);

        if (r < 0)
                return r;
        carried->asked = *address;
        return begun(carried, call, CARRIED_CONNECTING, xcp_pvcalls_connect(carried->socket, &address->any, address->size));
}

/* Its own end is another from now on: connected to ours if the program has connected it, or only bound. */
static int join(struct carried *carried, int fd) {
        bool connected = carried->asked.size > 0;
        int own;

        if (carried->fd >= 0) {
                close(carried->fd);
                carried->fd = -1;
                carried->supervisor->n_connections--;
                disconnect(fd);
        }
        free(carried->held);            /* it was for whom it was connected to before */
        carried->held = NULL;
        if (!connected && !carried->peers && !(carried->peers = calloc(1, sizeof *carried->peers)))
                return -ENOMEM;
        own = loopback_join(fd, carried->family, connected);
        if (own < 0)
                return own;
        carried->peer = carried->asked;
        carried->confirmed = true;
        connection_begin(carried, own);
        return 0;
}

/* The backend has answered. Returns what becomes of the call, 0 if it has what it needs of the backend. */
static int64_t connect_end(int fd, struct carried *carried) {
        int error = carried->error, r;

        if (carried->kind == CARRIED_CONNECTED) {
                r = join(carried, fd);
                if (r < 0)
                        carried_end(carried);
                return r;
        }
        if (carried->fd >= 0) {                 /* it was connected before, and is as it was */
                carried->kind = CARRIED_CONNECTED;
                carried->error = 0;
        } else {
                carried_end(carried);
        }
        return error == EOPNOTSUPP ? CALL_CONTINUES : -error;
}

static bool is_unspecified(const struct target *target, const struct call *call) {
        sa_family_t family = AF_INET;

        return (uint32_t) call->data.args[2] >= sizeof family && target_read(target, call->data.args[1], &family, sizeof family) == 0 &&
               family == AF_UNSPEC;
}

int64_t datagrams_connect(struct supervisor *supervisor, struct call *call, const struct target *target, int fd, struct carried *carried) {
        struct pvcalls_name address;
        int r;

        if (carried && carried->kind == CARRIED_CONNECTING) {
                if (!call->started)
                        return -EALREADY;
                carried_wait(carried, call);
                return CALL_WAITS;
        }
        if (call->started)
                return carried ? connect_end(fd, carried) : -ECONNABORTED;
        if (carried && carried->socket && is_unspecified(target, call)) {
                carried->asked = (struct pvcalls_name) {};
                return begun(carried, call, CARRIED_CONNECTING, xcp_pvcalls_connect(carried->socket, &carried->asked.any, sizeof carried->asked.any));
        }
        r = destination_read(target, call->data.args[1], call->data.args[2], &address);
        if (r < 0)
                return r;
        if (carried && carried->socket && r == 0 && ranges_have(&call->program->ranges, &address))
                return connect_begin(supervisor, call, fd, carried, &address);
        if (carried) {                  /* where it is not carried to, or its backend has gone */
                disconnect(fd);
                carried_end(carried);
        }
        if (r != 0 || !ranges_have(&call->program->ranges, &address) || is_bound(fd))
                return CALL_CONTINUES;
        return connect_begin(supervisor, call, fd, NULL, &address);
}

/* Has the backend's socket receive from anybody. */
static int64_t attach_begin(struct call *call, struct carried *carried, int family) {
        carried->asked = (struct pvcalls_name) {};
        return begun(carried, call, CARRIED_CONNECTING, xcp_pvcalls_attach(carried->socket, family));
}

int64_t datagrams_bind(struct supervisor *supervisor, struct call *call, const struct pvcalls_name *address, int fd, struct carried *carried) {
        int r;

        if (!call->started) {
                if (carried)
                        return -EINVAL;
                r = carry(supervisor, fd, &carried);
                if (r < 0)
                        return r;
                carried->local = *address;
                return begun(carried, call, CARRIED_BOUND, xcp_pvcalls_bind(carried->socket, &address->any, address->size));
        }
        if (!carried)
                return -ECONNABORTED;
        r = carried->kind == CARRIED_BOUND ? xcp_pvcalls_result(carried->socket) : 0;
        if (r == -EINPROGRESS || carried->kind == CARRIED_CONNECTING) {
                carried_wait(carried, call);
                return CALL_WAITS;
        }
        if (r < 0) {
                carried_end(carried);
                return r == -EOPNOTSUPP ? CALL_CONTINUES : r;
        }
        if (carried->kind == CARRIED_BOUND)
                return attach_begin(call, carried, carried->local.any.sa_family);
        return connect_end(fd, carried);
}

/* One that is not carried yet sends: it is from now on, if it sends to what is, and not bound to an address of the domain's own. */
static int64_t send_first(struct supervisor *supervisor, struct call *call, const struct pvcalls_name *address, int fd) {
        struct carried *carried;
        int r;

        if (!datagrams_are(fd) || is_bound(fd))
                return CALL_CONTINUES;
        r = carry(supervisor, fd, &carried);
        return r < 0 ? r : attach_begin(call, carried, address->any.sa_family);
}

int64_t datagrams_begin(struct supervisor *supervisor, struct call *call, const struct pvcalls_name *address, int fd, struct carried *carried) {
        if (!carried)
                return call->started ? -ECONNABORTED : send_first(supervisor, call, address, fd);
        if (carried->kind == CARRIED_CONNECTING || carried->kind == CARRIED_BOUND) {
                carried_wait(carried, call);
                return CALL_WAITS;
        }
        if (carried->fd >= 0)
                return 0;
        return call->started ? connect_end(fd, carried) : CALL_CONTINUES;
}

/* Keeps one until there is room for it. */
static void hold(struct carried *carried, size_t n) {
        carried->held = malloc(n > 0 ? n : 1);
        if (!carried->held)
                return;
        memcpy(carried->held, datagrams_bytes, n);
        carried->n_held = n;
}

static int send_held(struct carried *carried) {
        int r = carried->held ? xcp_pvcalls_send_to(carried->socket, carried->held, carried->n_held, NULL, 0) : 0;

        if (r != -EAGAIN) {
                free(carried->held);
                carried->held = NULL;
        }
        return r;
}

/* Moves one from the program to the backend. Returns whether there may be more. */
static bool move_out(struct carried *carried) {
        ssize_t n;

        if ((!carried->readable && !carried->held) || !(xcp_pvcalls_poll(carried->socket, POLLOUT) & POLLOUT) || send_held(carried) == -EAGAIN)
                return false;
        n = recv(carried->fd, datagrams_bytes, sizeof datagrams_bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
                carried->readable = false;
                return false;
        }
        /* An error is of one that was sent to the program, which has closed its socket. */
        if (n >= 0 && xcp_pvcalls_send_to(carried->socket, datagrams_bytes, (size_t) n, NULL, 0) == -EAGAIN)
                hold(carried, (size_t) n);
        return true;
}

static bool move_in(struct carried *carried) {
        struct pvcalls_name from;
        ssize_t n;

        from.size = sizeof from.local;
        n = xcp_pvcalls_receive_from(carried->socket, datagrams_bytes, sizeof datagrams_bytes, &from.any, &from.size);

        if (n == -EAGAIN)
                return false;
        if (n >= 0 && xcp_pvcalls_datagram_was_cut(carried->socket))
                return true;            /* lost: a program takes what it gets for the whole, and a part of it for a lie */
        if (n >= 0)
                loopback_send(carried->fd, datagrams_bytes, (size_t) n,           /* no room: lost */
                              carried->peer.size == 0 && carried->peers && from.size > 0 ? peers_number(carried->peers, &from) : 0);
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
        if (carried->closed && out < TURN_DATAGRAMS && !carried->held) {
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
