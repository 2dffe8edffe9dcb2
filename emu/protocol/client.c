/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A connection to xenemud; see client.h. */

#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Receives one reply into reply and iov. Whatever descriptors came are in ret_fds; surplus ones are closed. */
static int receive(int fd, struct emu_reply *reply, void *body, size_t n_body, int *ret_fds, size_t n_fds) {
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int) * EMU_FDS_MAX)];
        } control;
        struct iovec iov[] = {
                { .iov_base = reply, .iov_len = sizeof *reply },
                { .iov_base = body, .iov_len = n_body },
        };
        struct msghdr message = {
                .msg_iov = iov,
                .msg_iovlen = n_body > 0 ? 2 : 1,
                .msg_control = &control,
                .msg_controllen = sizeof control,
        };
        size_t n_received = 0;
        ssize_t n;

        do
                n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == ECONNRESET ? -EPIPE : -errno;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
                        int received;

                        memcpy(&received, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                        if (n_received < n_fds)
                                ret_fds[n_received] = received;
                        else
                                close(received);
                        n_received++;
                }
        }

        if (n == 0)
                return -EPIPE;
        if ((size_t) n < sizeof *reply)
                return -EPROTO;

        if ((size_t) n - sizeof *reply < n_body)
                memset((char *) body + ((size_t) n - sizeof *reply), 0, n_body - ((size_t) n - sizeof *reply));
        if (message.msg_flags & MSG_CTRUNC)
                return -EMFILE;
        if (reply->n_fds != n_received || n_received > n_fds)
                return -EPROTO;
        return 0;
}

/* Sends one request. Returns 0 or a negative errno. */
static int request_send(int fd, uint32_t op, uint32_t flags, const void *argument, size_t n_argument) {
        struct emu_request request = { .op = op, .flags = flags };
        struct iovec iov[] = {
                { .iov_base = &request, .iov_len = sizeof request },
                { .iov_base = (void *) argument, .iov_len = n_argument },
        };
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = n_argument > 0 ? 2 : 1 };
        ssize_t n;

        do
                n = sendmsg(fd, &message, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == ECONNRESET ? -EPIPE : -errno;
        return 0;
}

int emu_post(int fd, uint32_t op, const void *argument, size_t n_argument) {
        return request_send(fd, op, EMU_REQUEST_POSTED, argument, n_argument);
}

int emu_call(int fd, uint32_t op, const void *argument, size_t n_argument, void *ret_reply, size_t n_reply, int *ret_fds, size_t n_fds) {
        struct emu_reply reply = {};
        int r;

        for (size_t i = 0; i < n_fds; i++)
                ret_fds[i] = -1;

        r = request_send(fd, op, 0, argument, n_argument);
        if (r < 0)
                return r;

        r = receive(fd, &reply, ret_reply, n_reply, ret_fds, n_fds);
        if (r < 0) {
                for (size_t i = 0; i < n_fds; i++)
                        if (ret_fds[i] >= 0) {
                                close(ret_fds[i]);
                                ret_fds[i] = -1;
                        }
                return r;
        }

        return reply.result;
}

int emu_connect(const char *path, int cloexec) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct emu_hello hello = { .version = EMU_PROTOCOL_VERSION };
        int fd, r;

        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);

        fd = socket(AF_UNIX, SOCK_SEQPACKET | (cloexec ? SOCK_CLOEXEC : 0), 0);
        if (fd < 0)
                return -errno;

        if (connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                r = -errno;
        else
                r = emu_call(fd, EMU_HELLO, &hello, sizeof hello, &hello, sizeof hello, NULL, 0);
        if (r < 0) {
                close(fd);
                return r;
        }

        return fd;
}
