/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sockets with datagrams: they have their rings before they are connected, and the policy is asked for each address that they send to. */

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "guest-private.h"

struct judged {
        struct pvcalls_name asked, used;
};

int guest_judge_datagram(struct stream *stream, const struct pvcalls_name *asked, struct pvcalls_name *ret_used) {
        struct socket *socket = (struct socket *) ((uint8_t *) stream - offsetof(struct socket, stream));
        struct judged *judged = socket->judged;
        int r;

        if (judged && pvcalls_name_equal(&judged->asked, asked)) {
                *ret_used = judged->used;
                return 0;
        }
        if (asked->any.sa_family != socket->family)
                return -EAFNOSUPPORT;
        r = guest_ask_policy(socket, POLICY_CONNECT, asked, ret_used);
        if (r < 0)
                return r;
        if (!judged)
                judged = socket->judged = malloc(sizeof *judged);
        if (judged)
                *judged = (struct judged) { .asked = *asked, .used = *ret_used };
        return 0;
}

int guest_attach_datagrams(struct socket *socket, uint32_t ref, uint32_t evtchn) {
        int r;

        if (socket->type != SOCK_DGRAM)
                return -ENOTSUP;
        if (socket->state != SOCKET_NEW && socket->state != SOCKET_BOUND)
                return -EISCONN;
        r = socket_make_fd(socket);
        if (r == 0)
                r = socket_attach(socket, ref, evtchn);
        if (r < 0)
                return r;
        r = guest_watch(socket->guest, socket, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
        if (r < 0)
                socket_detach(socket);
        else
                guest_open_stream(socket);
        return r;
}

int guest_connect_datagrams(struct socket *socket, const struct pvcalls_name *asked) {
        struct pvcalls_name used;
        int r;

        r = guest_ask_policy(socket, POLICY_CONNECT, asked, &used);
        if (r < 0)
                return r;
        if (connect(socket->fd, &used.any, used.size) < 0)
                return -errno;
        socket->connect_asked = true;
        socket->connect_address = *asked;
        socket->remote = used;
        return 0;
}

int guest_disconnect_datagrams(struct socket *socket) {
        const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

        if (connect(socket->fd, &nowhere, sizeof nowhere) < 0)
                return -errno;
        socket->connect_asked = false;
        socket->remote = (struct pvcalls_name) {};
        return 0;
}
