/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The system calls that say where a socket goes. Each is handled with what the socket is at the time; if it has to wait, it is handled once more
 * whenever something has happened to the socket, until there is an answer. A program that is interrupted meanwhile is not there any more
 * when the answer is; it calls again, and finds the socket as it is then.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loopback.h"
#include "supervisor.h"

static int option(int fd, int name) {
        int value = 0;
        socklen_t n = sizeof value;

        return getsockopt(fd, SOL_SOCKET, name, &value, &n) < 0 ? -errno : value;
}

/* A socket of the kind that is carried, which can have such an address. */
static bool is_stream(int fd, int family) {
        int domain = option(fd, SO_DOMAIN);

        if (option(fd, SO_TYPE) != SOCK_STREAM || (domain != family && (domain != AF_INET6 || family != AF_INET)))
                return false;
        return domain == AF_UNIX || option(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

bool is_packet_unix(int fd) {
        return option(fd, SO_DOMAIN) == AF_UNIX && option(fd, SO_TYPE) != SOCK_STREAM;
}

static bool is_v6_only(int fd) {
        int value = 0;
        socklen_t n = sizeof value;

        return getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &n) == 0 && value;
}

static bool is_any_v6(const struct pvcalls_name *name) {
        return name->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&name->inet6.sin6_addr);
}

/* A socket of the backend for one of the program's, which may be carried already and has none at the time. */
static int carry(struct supervisor *supervisor, int fd, struct carried **carried) {
        struct carried *new = *carried ?: carried_new(supervisor);
        int r;

        if (!new)
                return -ENOMEM;
        r = xcp_pvcalls_socket_new(supervisor->pvcalls, new, &new->socket);
        if (r == 0 && !*carried) {
                new->family = option(fd, SO_DOMAIN);
                r = carried_adopt(new, fd);
        }
        if (r < 0) {
                if (!*carried) {
                        xcp_pvcalls_socket_release(new->socket);
                        free(new);
                }
                return r;
        }
        *carried = new;
        return 0;
}

/* What the reset of the loopback has left there says the same in other words: who knows the error is not to hear of it once more. */
static void forget_reset(int fd, const struct carried *carried) {
        if (carried->kind == CARRIED_FAILED)
                (void) option(fd, SO_ERROR);    /* reading takes it */
}

/* A connect has failed: the error is the program's to know once, and then it can try again. */
static int64_t take_error(int fd, struct carried *carried) {
        int error = carried->error;

        forget_reset(fd, carried);
        carried->error = 0;
        return -error;
}

/* The program hears of ENOBUFS, which can mean anything; what it is here, and what helps, is in the log. Once is enough. */
static void tell_scarce(struct supervisor *supervisor) {
        if (!supervisor->scarce_told)
                fprintf(stderr, "ENOBUFS: there are no more pages that this domain can share (/sys/module/xen_gntalloc/parameters/limit), "
                                "event channels, or descriptors for sockets\n");
        supervisor->scarce_told = true;
}

static int64_t connect_begin(struct supervisor *supervisor, struct call *call, int fd, struct carried *carried,
                             const struct pvcalls_name *address) {
        bool waits = option(fd, SO_DOMAIN) == AF_UNIX || !(fcntl(fd, F_GETFL) & O_NONBLOCK);      /* no connect of a UNIX socket is under way, to poll(2) */
        int r = 0, own;

        if (!carried || !carried->socket)
                r = carry(supervisor, fd, &carried);
        if (r < 0)
                return r;
        r = xcp_pvcalls_connect(carried->socket, &address->any, address->size);
        if (r == -ENOBUFS)
                tell_scarce(supervisor);
        if (r != -EINPROGRESS) {
                if (carried->kind != CARRIED_BOUND)
                        carried_end(carried);
                return r;
        }
        carried->peer = *address;
        carried->kind = CARRIED_CONNECTING;
        if (waits) {
                timeout_set(supervisor, call, fd);
                carried_wait(carried, call);
                return CALL_WAITS;
        }
        own = loopback_plug(&supervisor->loopback, fd, carried->family, true, &carried->junk, &carried->locked);
        if (own < 0) {
                carried_end(carried);
                return own;
        }
        carried->caller = call->pid;
        carried->caller_fd = (int) call->data.args[0];
        connection_begin(carried, own);
        return -EINPROGRESS;
}

/* A connection that was waited for has come about. */
static int64_t connect_end(struct supervisor *supervisor, int fd, struct carried *carried) {
        int own = loopback_plug(&supervisor->loopback, fd, carried->family, false, &carried->junk, &carried->locked);

        if (own < 0) {
                carried_end(carried);
                return own;
        }
        connection_begin(carried, own);
        options_pass_on(carried, fd);
        connection_run(carried);
        return 0;
}

static int64_t call_connect(struct supervisor *supervisor, struct call *call, const struct target *target, int fd, struct carried *carried) {
        struct pvcalls_name address;
        int r;

        if (call->program->ranges.datagrams && datagrams_are(fd))
                return datagrams_connect(supervisor, call, target, fd, carried);
        if (carried && carried->kind == CARRIED_CONNECTED) {
                bool confirmed = carried->confirmed;

                carried->confirmed = true;
                return confirmed ? -EISCONN : carried->fd < 0 && carried->socket ? connect_end(supervisor, fd, carried) : 0;
        }
        if (carried && carried->kind == CARRIED_LISTENING)
                return -EISCONN;
        if (carried && carried->kind == CARRIED_CONNECTING) {
                if (!call->started && fcntl(fd, F_GETFL) & O_NONBLOCK)
                        return -EALREADY;
                timeout_set(supervisor, call, fd);
                carried_wait(carried, call);
                return CALL_WAITS;
        }
        if (carried && carried->error != 0)
                return take_error(fd, carried);
        r = destination_read(target, call->data.args[1], call->data.args[2], &address);
        if (r != 0)
                return r < 0 ? r : CALL_CONTINUES;
        if (!ranges_have(&call->program->ranges, &address))
                return CALL_CONTINUES;
        if (!is_stream(fd, address.any.sa_family))
                return is_packet_unix(fd) ? -ESOCKTNOSUPPORT : CALL_CONTINUES;
        return connect_begin(supervisor, call, fd, carried, &address);
}

static int64_t call_bind(struct supervisor *supervisor, struct call *call, const struct target *target, int fd, struct carried *carried) {
        struct pvcalls_name address;
        int r;

        if (call->started && datagrams_are(fd))
                return datagrams_bind(supervisor, call, NULL, fd, carried);
        if (call->started && carried) {
                r = xcp_pvcalls_result(carried->socket);
                if (r == 0)
                        return 0;
                if (r != -EINPROGRESS) {
                        carried_end(carried);
                        return r;
                }
                carried_wait(carried, call);
                return CALL_WAITS;
        }
        r = address_read(target, call->data.args[1], call->data.args[2], &address);
        if (r != 0)
                return r < 0 ? r : CALL_CONTINUES;
        if (is_any_v6(&address) && !ranges_have_v6(&call->program->ranges) && !is_v6_only(fd)) {
                address.inet = (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = address.inet6.sin6_port };
                address.size = sizeof address.inet;     /* that part of it that is carried */
        }
        if (call->program->ranges.datagrams && datagrams_are(fd) && ranges_have_listener(&call->program->ranges, &address))
                return datagrams_bind(supervisor, call, &address, fd, carried);
        if (!ranges_have_listener(&call->program->ranges, &address))
                return CALL_CONTINUES;
        if (!is_stream(fd, address.any.sa_family))
                return is_packet_unix(fd) ? -ESOCKTNOSUPPORT : CALL_CONTINUES;
        if (carried && (carried->socket || carried->leader))
                return -EINVAL;
        r = carried ? 0 : shared_join(supervisor, fd, &address);
        if (r != 0)
                return r < 0 ? r : 0;
        r = carry(supervisor, fd, &carried);
        if (r < 0)
                return r;
        if (address.any.sa_family == AF_INET6 && is_v6_only(fd))
                (void) xcp_pvcalls_set_v6_only(carried->socket);
        r = xcp_pvcalls_bind(carried->socket, &address.any, address.size);
        if (r != -EINPROGRESS) {
                carried_end(carried);
                return r;
        }
        carried->kind = CARRIED_BOUND;
        shared_begin(carried, fd);
        carried->local = address;
        carried->local_known = address.any.sa_family == AF_UNIX || pvcalls_name_port(&address) != 0;
        carried_wait(carried, call);
        return CALL_WAITS;
}

static int64_t call_listen(struct call *call, int fd, struct carried *carried) {
        int backlog = (int) call->data.args[1], r;

        if (carried->kind == CARRIED_LISTENING && carried->shut)
                return -EINVAL;         /* it has no address any more */
        if (call->started) {
                r = xcp_pvcalls_result(shared_socket(carried));
                if (r == -EINPROGRESS) {
                        carried_wait(carried, call);
                        return CALL_WAITS;
                }
                if (r < 0)
                        carried->kind = CARRIED_BOUND;
                return r;
        }
        if (carried->kind != CARRIED_BOUND && carried->kind != CARRIED_LISTENING)
                return carried->kind == CARRIED_NEW ? CALL_CONTINUES : -EINVAL;
        r = loopback_listen(fd, carried->family, backlog);
        if (r < 0)
                return r;
        carried->port = (uint32_t) r;
        carried->backlog = backlog > 0 ? (unsigned) backlog : backlog < 0 ? SOMAXCONN : 1;
        r = xcp_pvcalls_listen(shared_socket(carried), backlog);
        if (r != -EINPROGRESS)
                return r;
        carried->kind = CARRIED_LISTENING;
        carried_wait(carried, call);
        return CALL_WAITS;
}

/* Takes a connection off the listener's twin. Returns a descriptor of it, -EAGAIN, or another error. Strangers who got in there are let go of. */
static int take_connection(struct supervisor *supervisor, int fd, struct carried *listener, int flags, struct carried **ret_connection) {
        for (;;) {
                struct pollfd readable = { .fd = fd, .events = POLLIN };
                int own, port;

                if (poll(&readable, 1, 0) <= 0)
                        return -EAGAIN;
                own = accept4(fd, NULL, NULL, SOCK_CLOEXEC | (flags & SOCK_NONBLOCK));
                if (own < 0)
                        return -errno;
                port = loopback_peer_port(own);
                if (port >= 0 && supervisor->by_port[port] && supervisor->by_port[port]->listener == listener) {
                        *ret_connection = supervisor->by_port[port];
                        return own;
                }
                close(own);
        }
}

static int64_t accept_one(struct supervisor *supervisor, struct call *call, const struct target *target, struct carried *listener, int fd,
                          int flags) {
        struct carried *connection = listener->spares;
        int own = connection ? connection->spare : take_connection(supervisor, fd, listener, flags, &connection), r = 0;

        if (own < 0)
                return own;
        if (connection == listener->spares) {
                listener->spares = connection->next_spare;
                connection->spare = -1;
                (void) fcntl(own, F_SETFL, flags & SOCK_NONBLOCK ? O_RDWR | O_NONBLOCK : O_RDWR);
        } else {
                supervisor->by_port[connection->own_port] = NULL;
                connection->listener = NULL;
                connection->family = listener->family;
                listener->n_delivered--;
                r = carried_adopt(connection, own);
                options_pass_on(connection, own);
        }
        if (r == 0 && call->data.args[1] != 0)
                r = address_write(target, call->data.args[1], call->data.args[2], &connection->peer, connection->family);
        if (r == 0)
                r = call_answer_fd(call->program->listener, call->id, own, flags & SOCK_CLOEXEC);
        if (r == -ENOENT) {             /* a signal has interrupted it meanwhile: the connection is the next accept's */
                connection->spare = own;
                connection->next_spare = listener->spares;
                listener->spares = connection;
        } else {
                close(own);
        }
        listener_deliver(listener);
        return r < 0 ? r : CALL_ANSWERED;
}

static int64_t call_accept(struct supervisor *supervisor, struct call *call, const struct target *target, int fd, struct carried *carried) {
        int flags = call->data.nr == __NR_accept4 ? (int) call->data.args[3] : 0;
        int64_t r;

        if (carried->kind != CARRIED_LISTENING)
                return CALL_CONTINUES;
        if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK) || carried->shut)
                return -EINVAL;
        r = accept_one(supervisor, call, target, carried, fd, flags);
        if (r != -EAGAIN || fcntl(fd, F_GETFL) & O_NONBLOCK)
                return r;
        timeout_set(supervisor, call, fd);
        carried_wait(carried, call);
        return CALL_WAITS;
}

/* It listens no more, at the backend neither: who comes now is refused. Others that share its address go on. */
static void listener_shut(struct carried *carried) {
        struct carried *left = shared_leave(carried);

        carried->shut = true;
        carried->socket = xcp_pvcalls_socket_release(carried->socket);
        carried_refuse_all(carried);
        calls_retry(carried);           /* accepts that wait fail now */
        if (left)
                listener_deliver(left);
}

static int64_t call_shutdown(const struct call *call, struct carried *carried) {
        int how = (int) call->data.args[1];

        if (carried->kind != CARRIED_LISTENING)
                return carried->kind == CARRIED_CONNECTING ? -ENOTCONN : CALL_CONTINUES;
        if ((how == SHUT_RD || how == SHUT_RDWR) && !carried->shut)
                listener_shut(carried);
        return CALL_CONTINUES;
}

static int64_t handle(struct supervisor *supervisor, struct call *call, const struct target *target, int fd) {
        struct carried *carried = carried_find(supervisor, inode_of(fd));
        int64_t r;

        if (call->data.nr == __NR_connect)
                return call_connect(supervisor, call, target, fd, carried);
        if (call->data.nr == __NR_bind)
                return call_bind(supervisor, call, target, fd, carried);
        if (call->data.nr == __NR_sendto || call->data.nr == __NR_sendmsg || call->data.nr == __NR_sendmmsg ||
            call->data.nr == __NR_write)
                return call_send(supervisor, call, target, fd, carried);
        if (!carried)
                return CALL_CONTINUES;
        switch (call->data.nr) {
        case __NR_listen:
                return carried->datagrams ? CALL_CONTINUES : call_listen(call, fd, carried);
        case __NR_recvfrom:
        case __NR_recvmsg:
        case __NR_recvmmsg:
                return call_receive(supervisor, call, target, fd, carried);
        case __NR_accept:
        case __NR_accept4:
                return call_accept(supervisor, call, target, fd, carried);
        case __NR_getsockname:
                r = call_getsockname(carried, call, target);
                if (r == CALL_WAITS)
                        carried_wait(carried, call);
                return r;
        case __NR_getpeername:
                return call_getpeername(carried, call, target);
        case __NR_getsockopt:
                forget_reset(fd, carried);
                return call_get_error(carried, call, target);
        case __NR_setsockopt:
                return call_set_option(carried, call, target);
        case __NR_shutdown:
                return call_shutdown(call, carried);
        default:
                return CALL_CONTINUES;
        }
}

void call_handle(struct supervisor *supervisor, struct call *call) {
        int listener = call->program->listener, fd;
        struct target target;
        int64_t r;

        r = target_open(&target, listener, call->id, call->pid);
        if (r == 0) {
                fd = target_fd(&target, (int) call->data.args[0]);
                r = fd < 0 ? fd : handle(supervisor, call, &target, fd);
                if (fd >= 0)
                        close(fd);
                target_close(&target);
        }
        if (r == CALL_WAITS)
                return;
        if (r == CALL_CONTINUES || r == -EBADF)         /* the kernel knows best what is wrong with a descriptor */
                (void) call_continue(listener, call->id);
        else if (r != CALL_ANSWERED)
                (void) call_answer(listener, call->id, r);
        free(call);
}

void calls_retry(struct carried *carried) {
        struct call *calls = carried->calls, *call;

        carried->calls = NULL;
        while ((call = calls)) {
                calls = call->next;
                if (call_waits(call->program->listener, call->id))
                        call_handle(carried->supervisor, call);
                else
                        free(call);
        }
}
