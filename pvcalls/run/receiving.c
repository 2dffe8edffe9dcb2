/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * recvfrom, recvmsg and recvmmsg of UDP sockets that are carried: who has sent a datagram is told in the backend's terms, as the kernel knows only the
 * loopback's. It is taken off the program's own socket, so that what was waited for, looked at and asked for with it stays the kernel's doing.
 *
 * Control messages are what the kernel has for that socket: times are those of the arrival there. In those that have an address of this side (IP_PKTINFO
 * and the like) it is replaced by the one that getsockname tells.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "loopback.h"
#include "message.h"
#include "supervisor.h"

#ifndef IP_ORIGDSTADDR
#define IP_ORIGDSTADDR 20
#endif
#ifndef IPV6_ORIGDSTADDR
#define IPV6_ORIGDSTADDR 74
#endif

#define CONTROL_MAX 4096u               /* more than all that a UDP socket can be asked for */

static _Alignas(struct cmsghdr) uint8_t control[CONTROL_MAX];

/* Takes the next that is there, and tells from whom it is. What somebody else in the domain has sent there is thrown away. */
static ssize_t take(int fd, struct carried *carried, struct msghdr *header, int flags, const struct pvcalls_name **ret_from) {
        size_t n_control = header->msg_controllen;

        for (;;) {
                uint32_t number;
                ssize_t n = loopback_receive(fd, carried->fd, header, (flags & (MSG_PEEK | MSG_CMSG_CLOEXEC)) | MSG_DONTWAIT, &number);

                if (n < 0 && n != -EPERM)
                        return n;
                *ret_from = n == -EPERM ? NULL : number == 0 ? &carried->peer : carried->peers ? peers_find(carried->peers, number) : NULL;
                if (*ret_from)
                        return n;
                if (flags & MSG_PEEK)
                        (void) recv(fd, datagrams_bytes, 0, MSG_DONTWAIT);
                header->msg_controllen = n_control;
        }
}

/* This side's address, in a control message that has that of the loopback. */
static void replace(struct cmsghdr *message, const struct pvcalls_name *local) {
        struct in_addr v4 = { local->any.sa_family == AF_INET ? local->inet.sin_addr.s_addr : htonl(INADDR_ANY) };
        struct pvcalls_name v6 = *local;
        void *data = CMSG_DATA(message);

        if (local->any.sa_family != AF_INET6)
                v6 = address_map(local);
        if (message->cmsg_level == IPPROTO_IP && message->cmsg_type == IP_PKTINFO) {
                struct in_pktinfo *info = data;

                info->ipi_addr = info->ipi_spec_dst = v4;
        } else if (message->cmsg_level == IPPROTO_IP && message->cmsg_type == IP_ORIGDSTADDR) {
                struct sockaddr_in *address = data;

                address->sin_addr = v4;
                address->sin_port = pvcalls_name_port(local);
        } else if (message->cmsg_level == IPPROTO_IPV6 && message->cmsg_type == IPV6_PKTINFO) {
                struct in6_pktinfo *info = data;

                info->ipi6_addr = v6.inet6.sin6_addr;
        } else if (message->cmsg_level == IPPROTO_IPV6 && message->cmsg_type == IPV6_ORIGDSTADDR) {
                memcpy(data, &v6.inet6, sizeof v6.inet6);
        }
}

static int64_t receive_one(struct call *call, const struct target *target, int fd, struct carried *carried, struct message *message, int flags) {
        struct iovec bytes = { .iov_base = datagrams_bytes, .iov_len = DATAGRAMS_BYTES };
        size_t room = message->header.msg_controllen;
        struct msghdr header = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room < sizeof control ? room : sizeof control };
        const struct pvcalls_name *from;
        ssize_t n = take(fd, carried, &header, flags, &from), copied;
        int r = 0;

        if (n < 0)
                return n;
        for (struct cmsghdr *one = CMSG_FIRSTHDR(&header); one; one = CMSG_NXTHDR(&header, one))
                replace(one, &carried->local);
        copied = message_scatter(message, target, datagrams_bytes, (size_t) n);
        if (copied < 0)
                return copied;
        if (message->header.msg_name)
                r = address_write(target, (uint64_t) message->header.msg_name,
                                  message->at ? message->at + offsetof(struct msghdr, msg_namelen) : message->name_length_at, from, carried->family);
        if (r == 0)
                r = message_finish(message, target, control, header.msg_controllen, header.msg_flags | (copied < n ? MSG_TRUNC : 0));
        if (r == 0 && call->data.nr == __NR_recvmmsg)
                r = message_set_length(message, target, (size_t) (flags & MSG_TRUNC ? n : copied));
        return r < 0 ? r : flags & MSG_TRUNC ? n : copied;
}

/* Whether the own address is known that control messages may have. -EINPROGRESS: it is asked for. */
static int know_local(struct carried *carried, const struct message *messages, int n) {
        for (int i = 0; i < n; i++)
                if (messages[i].header.msg_controllen > 0)
                        return local_learn(carried);
        return 0;
}

/*
 * Takes as many as there are. recvmmsg is content with one, if there are no more, as it is with MSG_WAITFORONE: what it had taken would be lost if a
 * signal came while it waits for others.
 */
static int64_t receive_all(struct call *call, const struct target *target, int fd, struct carried *carried, struct message *messages, int n, int flags) {
        int64_t r = 0;
        int i;

        for (i = 0; i < n; i++) {
                r = receive_one(call, target, fd, carried, &messages[i], flags);
                if (r < 0)
                        break;
        }
        return call->data.nr != __NR_recvmmsg ? r : i > 0 ? i : r;
}

int64_t call_receive(struct supervisor *supervisor, struct call *call, const struct target *target, int fd, struct carried *carried) {
        int flags = (int) (call->data.nr == __NR_recvmsg ? call->data.args[2] : call->data.args[3]), n;
        struct message *messages;
        int64_t r;

        if (!carried->datagrams || carried->fd < 0 || flags & MSG_ERRQUEUE)
                return CALL_CONTINUES;
        n = messages_read(target, &call->data, &messages);
        if (n <= 0)
                return CALL_CONTINUES;          /* the kernel says what is wrong with it */
        r = know_local(carried, messages, n) == -EINPROGRESS ? -EINPROGRESS : receive_all(call, target, fd, carried, messages, n, flags);
        if (r != -EINPROGRESS && (r != -EAGAIN || flags & MSG_DONTWAIT || fcntl(fd, F_GETFL) & O_NONBLOCK))
                return r;
        timeout_set(supervisor, call, fd);
        carried_wait(carried, call);
        return CALL_WAITS;
}
