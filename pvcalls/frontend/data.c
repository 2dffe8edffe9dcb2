/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The bytes of sockets. Without the device's lock: each direction is one thread's at a time, and the ring stays for as long as the socket,
 * also when its backend has gone. What came before an end is there to be received after it.
 */

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "error.h"
#include "private.h"

static bool is_connected(const struct xcp_pvcalls_socket *socket) {
        return socket->ring && (socket->kind == SOCKET_CONNECTED);
}

/* The backend has broken the protocol: the socket is lost, and with it, at the next dispatch, all others. */
int data_broken(struct xcp_pvcalls_socket *socket) {
        atomic_store(&socket->failure, -EIO);
        atomic_store(&socket->pvcalls->failed, true);
        (void) eventfd_write(socket->pvcalls->wake, 1);
        return -EIO;
}

/* Looks without asking to be told. As xcp_pvcalls_receive_data(), with -EAGAIN for nothing. */
static ssize_t look_in(struct xcp_pvcalls_socket *socket, struct iovec pieces[2]) {
        int failure = atomic_load(&socket->failure);
        int32_t error;
        size_t n;

        if (!is_connected(socket))
                return failure != 0 ? failure : -ENOTCONN;
        if (data_consumer_next(&socket->in, pieces, &n, &error) < 0)
                return data_broken(socket);
        if (n > 0)
                return (ssize_t) n;
        if (error == PVCALLS_ENOTCONN)
                return 0;
        if (error < 0)
                return pvcalls_error_from_wire(error);
        return failure != 0 ? failure : -EAGAIN;
}

static ssize_t look_out(struct xcp_pvcalls_socket *socket, struct iovec pieces[2]) {
        int failure = atomic_load(&socket->failure);
        int32_t error;
        size_t n;

        if (!is_connected(socket))
                return failure != 0 ? failure : -ENOTCONN;
        error = data_producer_error(&socket->out);
        if (error < 0)
                return error == PVCALLS_ENOTCONN ? -EPIPE : pvcalls_error_from_wire(error);
        if (failure != 0)
                return failure;
        if (data_producer_space(&socket->out, pieces, &n) < 0)
                return data_broken(socket);
        return n > 0 ? (ssize_t) n : -EAGAIN;
}

ssize_t data_wait_in(struct xcp_pvcalls_socket *socket, struct iovec pieces[2]) {
        ssize_t n = look_in(socket, pieces);

        if (n != -EAGAIN)
                return n;
        (void) data_consumer_sleep(&socket->in);
        return look_in(socket, pieces);
}

ssize_t xcp_pvcalls_receive_data(struct xcp_pvcalls_socket *socket, struct iovec ret_pieces[2]) {
        return socket->datagrams ? -EOPNOTSUPP : data_wait_in(socket, ret_pieces);
}

void data_received(struct xcp_pvcalls_socket *socket, size_t n) {
        if (n > 0)
                data_consumer_commit(&socket->in, n);
        if (data_consumer_must_notify(&socket->in))
                xenevtchn_notify(socket->pvcalls->rings.events, socket->ring->port);
}

void xcp_pvcalls_receive_done(struct xcp_pvcalls_socket *socket, size_t n) {
        if (!socket->datagrams)
                data_received(socket, n);
}

static ssize_t wait_out(struct xcp_pvcalls_socket *socket, struct iovec pieces[2]) {
        ssize_t n = look_out(socket, pieces);

        if (n != -EAGAIN)
                return n;
        (void) data_producer_sleep(&socket->out, socket->out.size / 2);
        return look_out(socket, pieces);
}

ssize_t data_wait_room(struct xcp_pvcalls_socket *socket, struct iovec pieces[2], size_t needed) {
        ssize_t n = look_out(socket, pieces);

        if (n == -EAGAIN || (n > 0 && (size_t) n < needed)) {
                (void) data_producer_sleep(&socket->out, needed);
                n = look_out(socket, pieces);
        }
        return n > 0 && (size_t) n < needed ? -EAGAIN : n;
}

ssize_t xcp_pvcalls_send_space(struct xcp_pvcalls_socket *socket, struct iovec ret_pieces[2]) {
        return socket->datagrams ? -EOPNOTSUPP : wait_out(socket, ret_pieces);
}

void data_sent(struct xcp_pvcalls_socket *socket, size_t n) {
        if (n > 0)
                data_producer_commit(&socket->out, n);
        if (data_producer_must_notify(&socket->out))
                xenevtchn_notify(socket->pvcalls->rings.events, socket->ring->port);
}

void xcp_pvcalls_send_done(struct xcp_pvcalls_socket *socket, size_t n) {
        if (!socket->datagrams)
                data_sent(socket, n);
}

ssize_t xcp_pvcalls_send(struct xcp_pvcalls_socket *socket, const void *data, size_t size) {
        struct iovec pieces[2];
        ssize_t space = xcp_pvcalls_send_space(socket, pieces);
        size_t n, first;

        if (space < 0)
                return space;
        n = size < (size_t) space ? size : (size_t) space;
        first = n < pieces[0].iov_len ? n : pieces[0].iov_len;
        memcpy(pieces[0].iov_base, data, first);
        memcpy(pieces[1].iov_base, (const uint8_t *) data + first, n - first);
        xcp_pvcalls_send_done(socket, n);
        return (ssize_t) n;
}

ssize_t xcp_pvcalls_receive(struct xcp_pvcalls_socket *socket, void *data, size_t size) {
        struct iovec pieces[2];
        ssize_t there = xcp_pvcalls_receive_data(socket, pieces);
        size_t n, first;

        if (there <= 0)
                return there;
        n = size < (size_t) there ? size : (size_t) there;
        first = n < pieces[0].iov_len ? n : pieces[0].iov_len;
        memcpy(data, pieces[0].iov_base, first);
        memcpy((uint8_t *) data + first, pieces[1].iov_base, n - first);
        xcp_pvcalls_receive_done(socket, n);
        return (ssize_t) n;
}

/* Of a socket that is no connection, with the lock held. */
static int poll_other(const struct xcp_pvcalls_socket *socket) {
        if (socket->failure != 0)
                return POLLIN | POLLOUT | POLLERR | POLLHUP;
        switch (socket->kind) {
        case SOCKET_LISTENING:
                return socket->waiting ? POLLIN : 0;
        case SOCKET_CONNECTING:
                return 0;
        default:
                return socket->result < 0 && socket->result != -EINPROGRESS ? POLLOUT | POLLERR | POLLHUP : POLLOUT | POLLHUP;
        }
}

int xcp_pvcalls_poll(struct xcp_pvcalls_socket *socket, int events) {
        struct iovec pieces[2];
        int fd = atomic_load(&socket->event_fd), ready = 0;
        ssize_t in, out;
        eventfd_t count;
        bool connected;

        if (fd >= 0)
                (void) eventfd_read(fd, &count);
        pthread_mutex_lock(&socket->pvcalls->lock);
        connected = is_connected(socket);
        if (!connected)
                ready = poll_other(socket);
        pthread_mutex_unlock(&socket->pvcalls->lock);
        if (!connected)
                return ready & (events | POLLERR | POLLHUP);
        in = events & POLLIN ? data_wait_in(socket, pieces) : look_in(socket, pieces);
        if (!(events & POLLOUT))
                out = look_out(socket, pieces);
        else
                out = socket->datagrams ? data_wait_room(socket, pieces, datagram_room(socket)) : wait_out(socket, pieces);
        if (in != -EAGAIN)
                ready |= POLLIN;
        if (out != -EAGAIN)
                ready |= POLLOUT;
        if ((in < 0 && in != -EAGAIN) || (out < 0 && out != -EAGAIN && out != -EPIPE))
                ready |= POLLERR;
        if (in <= 0 && in != -EAGAIN && out < 0 && out != -EAGAIN)
                ready |= POLLHUP;
        return ready & (events | POLLERR | POLLHUP);
}
