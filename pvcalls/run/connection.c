/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A carried connection's bytes, between the loopback and the rings, its end; and the connections that come to a listener. */

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "loopback.h"
#include "supervisor.h"

#define TURN_BYTES (256u * 1024)        /* each way; then others have theirs */

/* fd is our end of the program's socket. */
void connection_begin(struct carried *carried, int fd) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = carried };

        carried->fd = fd;
        carried->readable = carried->writable = true;
        carried->supervisor->n_connections++;
        (void) epoll_ctl(carried->supervisor->epoll, EPOLL_CTL_ADD, fd, &event);
}

/* The connection is no more, in whatever way; what the program still has of it, it can look at until it closes it. */
static void connection_end(struct carried *carried) {
        carried->in_done = carried->out_done = true;
        if (carried->closed || carried->inode == 0)
                carried_end(carried);
        else
                carried_release(carried);
}

void connection_abort(struct carried *carried, bool reset) {
        if (carried->fd >= 0 && reset) {
                loopback_reset(carried->fd);
                carried->supervisor->n_connections--;
                carried->fd = -1;
        }
        connection_end(carried);
}

/* Cuts pieces to n bytes; returns how many are left. */
static int pieces_cut(struct iovec pieces[2], size_t n) {
        if (n <= pieces[0].iov_len) {
                pieces[0].iov_len = n;
                return 1;
        }
        pieces[1].iov_len = n - pieces[0].iov_len;
        return 2;
}

/* The program has ended its side, or all of it. */
static void program_ended(struct carried *carried) {
        carried->out_done = true;
        if (!carried->closed)
                (void) xcp_pvcalls_shutdown(carried->socket, SHUT_WR);  /* a backend without it learns of it when the socket is closed */
}

/* The program has reset it, or closed it with bytes that it has not read: the peer sees what it would see then. */
static void program_reset(struct carried *carried) {
        carried->socket = xcp_pvcalls_socket_reset(carried->socket);
        connection_abort(carried, false);
}

/* Reads and forgets what loopback_plug() has put in. Returns whether the rest is the program's own. */
static bool junk_discard(struct carried *carried) {
        static uint8_t junk[65536];

        while (carried->junk > 0) {
                ssize_t n = recv(carried->fd, junk, carried->junk < sizeof junk ? carried->junk : sizeof junk, MSG_DONTWAIT);

                if (n <= 0) {
                        carried->readable = n < 0 && errno == EAGAIN ? false : carried->readable;
                        return n == 0 || errno != EAGAIN;
                }
                carried->junk -= (size_t) n;
        }
        return true;
}

/* Moves once from the program to the backend. Returns bytes; 0: there is nothing to do for now. */
static size_t move_out(struct carried *carried, size_t budget) {
        struct iovec pieces[2];
        ssize_t n = xcp_pvcalls_send_space(carried->socket, pieces);

        if (n == -EAGAIN)
                return 0;
        if (n < 0) {
                carried->out_done = true;       /* why, the other direction tells; its data come first */
                return 0;
        }
        n = readv(carried->fd, pieces, pieces_cut(pieces, (size_t) n < budget ? (size_t) n : budget));
        if (n > 0) {
                xcp_pvcalls_send_done(carried->socket, (size_t) n);
                carried->n_out += (size_t) n;
                return (size_t) n;
        }
        carried->readable = false;
        if (n == 0)
                program_ended(carried);
        else if (errno != EAGAIN)
                program_reset(carried);
        return 0;
}

static size_t move_in(struct carried *carried, size_t budget) {
        struct msghdr message = {};
        struct iovec pieces[2];
        ssize_t n = xcp_pvcalls_receive_data(carried->socket, pieces);

        if (n == -EAGAIN)
                return 0;
        if (n == 0) {
                carried->in_done = true;
                (void) shutdown(carried->fd, SHUT_WR);
                return 0;
        }
        if (n < 0) {
                connection_abort(carried, true);
                return 0;
        }
        message.msg_iov = pieces;
        message.msg_iovlen = (size_t) pieces_cut(pieces, (size_t) n < budget ? (size_t) n : budget);
        n = sendmsg(carried->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
                xcp_pvcalls_receive_done(carried->socket, (size_t) n);
                return (size_t) n;
        }
        carried->writable = false;
        if (errno != EAGAIN)
                program_reset(carried);
        return 0;
}

/* Has the rest done after the others' turn. */
void connection_run_again(struct carried *carried) {
        struct supervisor *supervisor = carried->supervisor;

        if (carried->is_more)
                return;
        carried->is_more = true;
        carried->next_more = supervisor->more;
        supervisor->more = carried;
}

void connection_run(struct carried *carried) {
        size_t out = 0, in = 0, n;

        if (carried->kind != CARRIED_CONNECTED || carried->fd < 0)
                return;
        if (carried->datagrams) {
                datagrams_run(carried);
                return;
        }
        if (!junk_discard(carried))
                return;
        while (carried->fd >= 0 && carried->readable && !carried->out_done && out < TURN_BYTES && (n = move_out(carried, TURN_BYTES - out)) > 0)
                out += n;
        while (carried->fd >= 0 && carried->writable && !carried->in_done && in < TURN_BYTES && (n = move_in(carried, TURN_BYTES - in)) > 0)
                in += n;
        if (carried->fd < 0 || carried->dead)
                return;
        if (carried->out_done && (carried->in_done || carried->closed))
                connection_end(carried);
        else if (out >= TURN_BYTES || in >= TURN_BYTES)
                connection_run_again(carried);
}

/*
 * Lets the program's socket, which was connected without being waited for, have a buffer of normal size, and the connection its options. It is looked for
 * where it was: in most programs it is still there. Otherwise it stays with a small one, and is slower to send.
 */
static void look_at_program(struct carried *carried) {
        int fd = carried->fd >= 0 && !carried->datagrams ? target_socket(carried->caller, carried->caller_fd, carried->inode) : -1;

        if (fd < 0)
                return;
        if (carried->locked)
                loopback_unlock(fd);
        carried->locked = false;
        options_pass_on(carried, fd);
        close(fd);
}

/* A connect that was or was not waited for has ended. */
static void connect_ended(struct carried *carried, int result) {
        if (result == 0) {
                carried->kind = CARRIED_CONNECTED;
                look_at_program(carried);
                if (carried->junk > 0)
                        loopback_open_up(carried->fd);
                connection_run(carried);
                return;
        }
        carried->kind = CARRIED_FAILED;
        carried->error = -result;
        if (carried->datagrams && carried->fd >= 0)
                return;                 /* it was connected to another before, and still is */
        carried->junk = 0;
        if (carried->fd >= 0) {
                loopback_reset(carried->fd);
                carried->supervisor->n_connections--;
                carried->fd = -1;
        }
        carried->socket = xcp_pvcalls_socket_release(carried->socket);
}

/* Makes a connection that has come to the program's listener. */
static int deliver(struct carried *listener, struct carried *connection) {
        int fd = loopback_dial(&listener->supervisor->loopback, listener->family, listener->port, &connection->own_port);
        socklen_t size = sizeof connection->peer.local;

        if (fd < 0)
                return fd;
        if (xcp_pvcalls_peer_address(connection->socket, &connection->peer.any, &size) == 0)    /* or this backend does not tell */
                connection->peer.size = size;
        connection->kind = CARRIED_CONNECTED;
        connection->confirmed = true;
        connection->listener = listener;
        listener->supervisor->by_port[connection->own_port] = connection;
        listener->n_delivered++;
        connection_begin(connection, fd);
        connection_run(connection);
        return 0;
}

/* No more than the program's backlog: others wait at the backend. */
void listener_deliver(struct carried *listener) {
        struct carried *leader = listener->leader ?: listener;

        while (!leader->dead && leader->socket && (listener = shared_next(leader))) {
                struct carried *connection = carried_new(listener->supervisor);
                int r;

                if (!connection)
                        return;
                r = xcp_pvcalls_accept(leader->socket, connection, &connection->socket);
                if (r < 0) {
                        free(connection);
                        return;
                }
                leader->turn = listener == leader ? NULL : listener;
                if (deliver(listener, connection) < 0)
                        carried_refuse(connection);     /* its listener has been closed, for example */
        }
}

void connection_happened(struct carried *carried) {
        int r;

        switch (carried->kind) {
        case CARRIED_CONNECTING:
                r = xcp_pvcalls_result(carried->socket);
                if (r == -EINPROGRESS)
                        break;          /* its name has come, perhaps */
                connect_ended(carried, r);
                break;
        case CARRIED_CONNECTED:
                connection_run(carried);
                break;
        case CARRIED_BOUND:
        case CARRIED_LISTENING:
                listener_deliver(carried);
                if (!carried->dead)
                        shared_retry(carried);
                break;
        default:
                break;
        }
        if (!carried->dead)
                calls_retry(carried);
}
