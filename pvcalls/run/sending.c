/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * sendto, sendmsg and sendmmsg: datagrams with an address are given to the backend, as the kernel would know only the loopback's; and what a UNIX socket
 * cannot carry is refused. All others are the kernel's, with a connected socket's datagrams among them, but for those that are longer than the ring: the
 * loopback would take them, and nobody behind it, so that they are refused here (EMSGSIZE). They may come by write as well.
 *
 * Of control messages, UDP_SEGMENT is done, as it says how many datagrams these are. The others say how the domain's own network is to send, and it does
 * not send this: they are ignored.
 */

#include <errno.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "message.h"
#include "supervisor.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103                 /* Linux 4.18 */
#endif
#define SEGMENTS_MAX 128u               /* the kernel's UDP_MAX_SEGMENTS; 64 before Linux 6.9 */
#define DATAGRAM_MAX 65535u

/* Where one is sent to. Returns 1: an address that is carried; 0: none, or another. */
static int goes_to(struct call *call, const struct target *target, const struct message *message, struct pvcalls_name *ret_address) {
        int r;

        if (message->header.msg_namelen == 0 || !message->header.msg_name)
                return 0;
        r = destination_read(target, (uint64_t) message->header.msg_name, message->header.msg_namelen, ret_address);
        return r < 0 ? r : r == 0 && ranges_have(&call->program->ranges, ret_address);
}

/* Whether any of them goes to an address that is carried; the first, then. */
static int any_goes(struct call *call, const struct target *target, const struct message *messages, int n, struct pvcalls_name *ret_address) {
        for (int i = 0; i < n; i++) {
                int r = goes_to(call, target, &messages[i], ret_address);

                if (r != 0)
                        return r > 0 || i == 0 ? r : 0;
        }
        return 0;
}

/* How long the datagrams are that it is cut into; 0: it is one. */
static int segment_size(const struct message *message, const struct target *target, int fd) {
        int of_socket = 0, r;
        socklen_t n = sizeof of_socket;
        uint16_t size;

        r = message_control(message, target, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
        if (r != 0)
                return r < 0 ? r : size;
        return getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &of_socket, &n) < 0 ? 0 : of_socket;
}

/* Without room for it, it is lost, as in any queue that is full. */
static int64_t send_there(struct carried *carried, int segment, size_t size, const struct pvcalls_name *address) {
        size_t step = segment > 0 ? (size_t) segment : size, sent = 0;
        int r;

        if (step > 0 && size > step * SEGMENTS_MAX)
                return -EINVAL;
        do {
                size_t now = size - sent < step ? size - sent : step;

                r = xcp_pvcalls_send_to(carried->socket, datagrams_bytes + sent, now, address ? &address->any : NULL, address ? address->size : 0);
                if (r < 0 && r != -EAGAIN)
                        return r;
                sent += now;
        } while (sent < size);
        return (int64_t) size;
}

/* To where it is not carried: from this socket, as the kernel would. */
static int64_t send_here(const struct target *target, const struct message *message, int fd, size_t size) {
        struct iovec bytes = { .iov_base = datagrams_bytes, .iov_len = size };
        struct sockaddr_storage name;
        struct msghdr header = { .msg_name = &name, .msg_namelen = message->header.msg_namelen, .msg_iov = &bytes, .msg_iovlen = 1 };
        ssize_t n;

        if (target_read(target, (uint64_t) message->header.msg_name, &name, header.msg_namelen) < 0)
                return -EFAULT;
        n = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
        return n < 0 ? -errno : n;
}

static int64_t send_one(struct call *call, const struct target *target, int fd, struct carried *carried, struct message *message) {
        struct pvcalls_name address;
        int segment = segment_size(message, target, fd), there = goes_to(call, target, message, &address);
        ssize_t size;

        if (segment < 0 || there < 0)
                return segment < 0 ? segment : there;
        size = message_gather(message, target, datagrams_bytes, DATAGRAM_MAX);
        if (size < 0)
                return size;
        if (there)
                return send_there(carried, segment, (size_t) size, &address);
        if (message->header.msg_namelen > 0)
                return send_here(target, message, fd, (size_t) size);
        return carried->peer.size > 0 ? send_there(carried, segment, (size_t) size, NULL) : -EDESTADDRREQ;
}

/* Whether any of them, which have no address, is more than the ring of a connected socket can ever have. */
static bool any_is_too_long(const struct target *target, int fd, struct carried *carried, struct message *messages, int n) {
        size_t most = xcp_pvcalls_datagram_max(carried->socket);

        for (int i = 0; i < n; i++) {
                ssize_t size = message_measure(&messages[i], target);
                int segment;

                if (size < 0 || (size_t) size <= most)
                        continue;
                segment = segment_size(&messages[i], target, fd);
                if (segment == 0 || (segment > 0 && (size_t) segment > most))
                        return true;
        }
        return false;
}

static int64_t send_all(struct call *call, const struct target *target, int fd, struct carried *carried, struct message *messages, int n) {
        int64_t r = 0;
        int i;

        for (i = 0; i < n; i++) {
                r = send_one(call, target, fd, carried, &messages[i]);
                if (r >= 0 && call->data.nr == __NR_sendmmsg)
                        r = message_set_length(&messages[i], target, (size_t) r);
                if (r < 0)
                        break;
        }
        return call->data.nr != __NR_sendmmsg ? r : i > 0 ? i : r;
}

static int64_t send_datagrams(struct supervisor *supervisor, struct call *call, const struct target *target, int fd, struct carried *carried) {
        struct pvcalls_name address;
        struct message *messages;
        int n = messages_read(target, &call->data, &messages), any = n < 0 ? 0 : any_goes(call, target, messages, n, &address);
        int64_t r;

        if (any < 0)
                return any;
        if (any == 0 && carried && carried->fd >= 0 && carried->peer.size > 0 && any_is_too_long(target, fd, carried, messages, n))
                return send_all(call, target, fd, carried, messages, n);
        if (any == 0)                   /* what is wrong with it, the kernel says */
                return CALL_CONTINUES;
        r = datagrams_begin(supervisor, call, &address, fd, carried);
        return r == 0 ? send_all(call, target, fd, carried, messages, n) : r;
}

/* Descriptors mean nothing in another domain. They are refused before anything is sent, as nothing of it could be taken back. */
static int64_t send_unix(struct call *call, const struct target *target) {
        struct message *messages;
        int n = messages_read(target, &call->data, &messages);

        for (int i = 0; i < n; i++)
                if (message_control(&messages[i], target, SOL_SOCKET, SCM_RIGHTS, NULL, 0) > 0)
                        return -EOPNOTSUPP;
        return CALL_CONTINUES;
}

/* A UNIX socket of another kind than those that are carried: it is told so, if it sends to a name that is. */
static int64_t send_packets(struct call *call, const struct target *target) {
        struct pvcalls_name address;
        struct message *messages;
        int n = messages_read(target, &call->data, &messages);

        return n > 0 && any_goes(call, target, messages, n, &address) > 0 ? -ESOCKTNOSUPPORT : CALL_CONTINUES;
}

int64_t call_send(struct supervisor *supervisor, struct call *call, const struct target *target, int fd, struct carried *carried) {
        const __u64 *args = call->data.args;

        if (call->data.nr == __NR_write)
                return carried && carried->datagrams ? send_datagrams(supervisor, call, target, fd, carried) : CALL_CONTINUES;
        if ((call->data.nr == __NR_sendmsg ? args[2] : args[3]) & (MSG_OOB | MSG_FASTOPEN))
                return -EOPNOTSUPP;             /* as the filter has it */
        if (carried && carried->family == AF_UNIX)
                return call->data.nr == __NR_sendto ? CALL_CONTINUES : send_unix(call, target);
        if (call->program->ranges.n_paths > 0 && is_packet_unix(fd))
                return send_packets(call, target);
        if (!call->program->ranges.datagrams || (carried ? !carried->datagrams : !datagrams_are(fd)))
                return CALL_CONTINUES;
        return send_datagrams(supervisor, call, target, fd, carried);
}
