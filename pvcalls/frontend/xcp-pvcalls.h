/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * libxcp-pvcalls: sockets that live in another domain, for programs of a guest. It is the frontend of PV Calls (docs/pvcalls-frontend.md).
 *
 * A domain has one PV Calls device, and one process at a time can have it open. All functions return 0 or more, or a negative errno.
 * None waits, except xcp_pvcalls_wait(), xcp_pvcalls_wait_fds(), xcp_pvcalls_finish() and xcp_pvcalls_close().
 *
 * The device has a descriptor to poll for POLLIN; then xcp_pvcalls_dispatch() does what there is to do, and xcp_pvcalls_next() names
 * the sockets for which something has happened. Or, with xcp_pvcalls_start_thread(), a thread of the library dispatches, and each socket's
 * own descriptor (xcp_pvcalls_socket_fd()) tells of it.
 *
 * Threads: any thread may call any function at any time, with two exceptions. Each direction of a socket's data (sending functions,
 * receiving functions) is one thread's at a time. And nobody may use a socket while it is released, or a device while it is closed.
 */

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xcp_pvcalls;
struct xcp_pvcalls_socket;

enum xcp_pvcalls_state {
        XCP_PVCALLS_ABSENT,             /* no toolstack has made the device */
        XCP_PVCALLS_WAITING,            /* no backend serves it, or not yet */
        XCP_PVCALLS_CONNECTED,
};

/* Opens the domain's device of this number (0, unless a toolstack says otherwise). Goes on without a backend, and without a device even. */
int xcp_pvcalls_open(unsigned device, struct xcp_pvcalls **ret_pvcalls);

/*
 * Releases all sockets, waits until what they had to send was sent, at most timeout_ms milliseconds, and closes the device. NULL is nothing.
 * Returns NULL.
 */
struct xcp_pvcalls *xcp_pvcalls_close(struct xcp_pvcalls *pvcalls, int timeout_ms);

int xcp_pvcalls_fd(struct xcp_pvcalls *pvcalls);

/* Takes what the backend has sent, and follows it through its restarts. -EIO: Xen's libraries failed, and nothing will work any more. */
int xcp_pvcalls_dispatch(struct xcp_pvcalls *pvcalls);

/*
 * A socket for which something has happened since it was last named: a call has ended, there are data, space, connections, or an end.
 * NULL: there is none. What it was is asked of the socket. Not for use together with socket descriptors.
 */
struct xcp_pvcalls_socket *xcp_pvcalls_next(struct xcp_pvcalls *pvcalls);

/* Waits until the device is connected. -ETIMEDOUT: it was not in time. A negative time is no limit. */
int xcp_pvcalls_wait(struct xcp_pvcalls *pvcalls, int timeout_ms);

/*
 * poll(2) for a loop: waits for any of these descriptors, the device's or an epoll set with it among them, and looks for up to 50 microseconds before
 * it sleeps, if waits have lately been that short, there is more than one CPU, and nobody else wants it. It does not dispatch.
 */
int xcp_pvcalls_wait_fds(struct xcp_pvcalls *pvcalls, struct pollfd *fds, unsigned n, int timeout_ms);

enum xcp_pvcalls_state xcp_pvcalls_get_state(struct xcp_pvcalls *pvcalls);

/* How many times it has connected: another number than before means that all connections of before are lost. */
unsigned xcp_pvcalls_get_epoch(struct xcp_pvcalls *pvcalls);

/* Dispatches in a thread of the library from now on, until it is closed. */
int xcp_pvcalls_start_thread(struct xcp_pvcalls *pvcalls);

/*
 * The size of new sockets' buffers: 2^order pages, half of them each way. 4 at first, which is 32 KiB each way; the backend may allow less.
 * If there are many sockets, or the domain can share no more pages, new ones get smaller buffers by themselves.
 */
int xcp_pvcalls_set_page_order(struct xcp_pvcalls *pvcalls, unsigned order);

/* A stream socket: TCP, or, by its first address, UNIX. Nothing is asked of the backend before it is connected or bound. userdata is the caller's own. */
int xcp_pvcalls_socket_new(struct xcp_pvcalls *pvcalls, void *userdata, struct xcp_pvcalls_socket **ret_socket);

/*
 * A UDP socket. It is bound, if it is to have a certain address, and then either connected or attached, which lets it send to any address and
 * receive from any. Datagrams go by xcp_pvcalls_send_to() and xcp_pvcalls_receive_from() alone. Its backend's end is its own: -ECONNRESET.
 * If this backend has no UDP, the calls of the backend return -EOPNOTSUPP.
 */
int xcp_pvcalls_datagrams_new(struct xcp_pvcalls *pvcalls, void *userdata, struct xcp_pvcalls_socket **ret_socket);

/* close(2): what was sent before is delivered. The socket must not be used any more. NULL is nothing. Returns NULL. */
struct xcp_pvcalls_socket *xcp_pvcalls_socket_release(struct xcp_pvcalls_socket *socket);

/* The same, and the peer sees a reset behind what was sent, in place of an end; if the backend can do that. */
struct xcp_pvcalls_socket *xcp_pvcalls_socket_reset(struct xcp_pvcalls_socket *socket);

void *xcp_pvcalls_socket_userdata(struct xcp_pvcalls_socket *socket);
void xcp_pvcalls_socket_set_userdata(struct xcp_pvcalls_socket *socket, void *userdata);

/*
 * Calls of the backend. They return -EINPROGRESS, and xcp_pvcalls_result() tells later how they ended; or another error at once, such as
 * -ENETDOWN without a backend, -EALREADY while another call has not ended, -EISCONN, -EINVAL.
 *
 * Addresses are those of the backend's domain, as connect(2) has them: sockaddr_in, sockaddr_in6, or sockaddr_un with a path or an abstract name.
 * The first that is bound or connected to decides of which family the socket is. -EAFNOSUPPORT: it is of another, or this backend has only IPv4.
 *
 * A listener outlives its backend: when there is one again, it is bound and listens there anew.
 */
int xcp_pvcalls_connect(struct xcp_pvcalls_socket *socket, const struct sockaddr *address, socklen_t size);
int xcp_pvcalls_bind(struct xcp_pvcalls_socket *socket, const struct sockaddr *address, socklen_t size);
int xcp_pvcalls_listen(struct xcp_pvcalls_socket *socket, int backlog);

/* Of a UDP socket: it can send to addresses of this family, which is that of what it is bound to. It can be connected later, and to others. */
int xcp_pvcalls_attach(struct xcp_pvcalls_socket *socket, int family);

/* IPV6_V6ONLY, before it is bound: `::` is not also any address of IPv4. */
int xcp_pvcalls_set_v6_only(struct xcp_pvcalls_socket *socket);

/*
 * The address of the socket itself. It is asked of the backend when it is first wanted: -EINPROGRESS, and the socket is named when it is there.
 * -EOPNOTSUPP: this backend does not tell. Nothing but a family as long as the socket is bound to nothing. size is what there is room for, and
 * then how long it is, as with getsockname(2).
 */
int xcp_pvcalls_local_address(struct xcp_pvcalls_socket *socket, struct sockaddr *ret_address, socklen_t *size);

/*
 * To whom it is connected. -ENOTCONN; -EOPNOTSUPP: this backend does not tell who a connection that was accepted is from. -EINPROGRESS, as above, if
 * one is from a UNIX socket with a long name.
 */
int xcp_pvcalls_peer_address(struct xcp_pvcalls_socket *socket, struct sockaddr *ret_address, socklen_t *size);

/*
 * shutdown(2): ends a connection's sending (SHUT_WR), behind what was sent so far, receiving (SHUT_RD), or both. -EOPNOTSUPP: this backend can
 * end both at once only, by release.
 */
int xcp_pvcalls_shutdown(struct xcp_pvcalls_socket *socket, int how);

/*
 * setsockopt(2) of a connection, on the backend's side: level, name and value are Linux's on x86, and docs/pvcalls-extensions.md, "Socket options", lists
 * those that there are. It is on its way when this returns 0; a backend that refuses it does not say so. -EOPNOTSUPP: it has no options; -EAGAIN: too
 * many are on their way.
 */
int xcp_pvcalls_set_option(struct xcp_pvcalls_socket *socket, int level, int name, const void *value, socklen_t size);

/* How the last call ended: 0, its error, or -EINPROGRESS. */
int xcp_pvcalls_result(struct xcp_pvcalls_socket *socket);

/* Waits for the end of a call. Returns its result, or -ETIMEDOUT; the call then goes on. */
int xcp_pvcalls_finish(struct xcp_pvcalls_socket *socket, int timeout_ms);

/* A connection that has come. -EAGAIN: none has; else the listener's error. Connections that wait when it is released are reset. */
int xcp_pvcalls_accept(struct xcp_pvcalls_socket *listener, void *userdata, struct xcp_pvcalls_socket **ret_socket);

/* As send(2) and recv(2) with MSG_DONTWAIT and MSG_NOSIGNAL. Bytes that came before an error are received before it. 0 is the peer's end. */
ssize_t xcp_pvcalls_send(struct xcp_pvcalls_socket *socket, const void *data, size_t size);
ssize_t xcp_pvcalls_receive(struct xcp_pvcalls_socket *socket, void *data, size_t size);

/*
 * As sendto(2) with MSG_DONTWAIT, of a UDP socket. Without an address: to whom it is connected. 0: it is on its way, and what becomes of it
 * may be told by receiving. -EMSGSIZE: the buffer is too small for it ever; 65507 bytes need order 6.
 */
int xcp_pvcalls_send_to(struct xcp_pvcalls_socket *socket, const void *data, size_t size, const struct sockaddr *address, socklen_t address_size);

/* The longest datagram that a UDP socket which is connected or attached can send: what its buffer has room for. 0: it is neither. */
size_t xcp_pvcalls_datagram_max(struct xcp_pvcalls_socket *socket);

/*
 * As recvfrom(2) with MSG_DONTWAIT and MSG_TRUNC: returns the length that the datagram has, which may be more than the size that there is for it,
 * and from whom it is. Or an error of a datagram that was sent before, with the address that it was for, all zero and of size 0 if that is not
 * known: -EACCES by the backend's policy, -ECONNREFUSED and so on; the socket works on. A datagram that was cut by the ring's size is as
 * long as the ring let it be, and xcp_pvcalls_datagram_was_cut() returns 1 if that was received last.
 */
ssize_t xcp_pvcalls_receive_from(struct xcp_pvcalls_socket *socket, void *data, size_t size, struct sockaddr *ret_address,
                                 socklen_t *address_size);
int xcp_pvcalls_datagram_was_cut(const struct xcp_pvcalls_socket *socket);

/*
 * The same as xcp_pvcalls_send() and xcp_pvcalls_receive() without a copy: where the next bytes to send can be put, and where those that came lie, in at most two pieces (the second may be
 * empty). Return their number, 0 for the peer's end, or a negative errno as above. The pages are shared with the backend: it can change
 * what it has sent, so look at a byte once. Then say how many were put or taken.
 */
ssize_t xcp_pvcalls_send_space(struct xcp_pvcalls_socket *socket, struct iovec ret_pieces[2]);
void xcp_pvcalls_send_done(struct xcp_pvcalls_socket *socket, size_t n);
ssize_t xcp_pvcalls_receive_data(struct xcp_pvcalls_socket *socket, struct iovec ret_pieces[2]);
void xcp_pvcalls_receive_done(struct xcp_pvcalls_socket *socket, size_t n);

/*
 * What poll(2) would say now: POLLIN (data, an end, a connection), POLLOUT, POLLERR, POLLHUP. Asks to be told of what is not there yet,
 * among events; so do the functions above when they return -EAGAIN.
 */
int xcp_pvcalls_poll(struct xcp_pvcalls_socket *socket, int events);

/*
 * A descriptor that is readable when something has happened to the socket since it was last looked at with xcp_pvcalls_poll(), which also
 * makes it unreadable. In a loop: poll the descriptor, call xcp_pvcalls_poll(), do what it says until -EAGAIN. It is the socket's and is
 * closed with it. Somebody must dispatch: a thread (xcp_pvcalls_start_thread()), or the loop itself.
 */
int xcp_pvcalls_socket_fd(struct xcp_pvcalls_socket *socket);

#ifdef __cplusplus
}
#endif
