/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Descriptors of a connection's messages.
 *
 * The bus sends those of a message with its first byte, and the kernel ends a recvmsg() after the bytes that some came with, unix(7). So they come in the
 * order of the messages, not before the first byte of theirs, and each message takes as many as it says that it has.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "connection-private.h"

#define FDS_MAX 253u                    /* unix(7), SCM_MAX_FD: of one sendmsg() */

static void close_fds(const int *fds, size_t n) {
        for (size_t i = 0; i < n; i++)
                close(fds[i]);
}

/* Takes them. */
static int add_fds(struct connection *connection, const int *fds, size_t n) {
        size_t size = connection->n_fds + n;
        int *larger;

        if (size > connection->fds_size) {
                larger = reallocarray(connection->fds, size, sizeof *larger);
                if (!larger) {
                        close_fds(fds, n);
                        return -ENOMEM;
                }
                connection->fds = larger;
                connection->fds_size = size;
        }
        memcpy(connection->fds + connection->n_fds, fds, n * sizeof *fds);
        connection->n_fds += n;
        return 0;
}

ssize_t connection_receive(struct connection *connection, void *data, size_t n) {
        union {
                struct cmsghdr align;
                uint8_t bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
        } control;
        struct iovec iov = { data, n };
        struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
        ssize_t length;
        int r = 0;

        length = recvmsg(connection->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (length < 0)
                return length;
        for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part && r == 0; part = CMSG_NXTHDR(&header, part))
                if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
                        int fds[FDS_MAX];
                        size_t n_fds = (part->cmsg_len - CMSG_LEN(0)) / sizeof fds[0];

                        memcpy(fds, CMSG_DATA(part), n_fds * sizeof fds[0]);
                        r = add_fds(connection, fds, n_fds);
                }
        if (r == 0 && (header.msg_flags & MSG_CTRUNC))
                r = -EMFILE;            /* no room in this process: which message lost how many cannot be known */
        if (r < 0) {
                errno = -r;
                return -1;
        }
        return length;
}

int connection_begin_fds(struct connection *connection, unsigned n) {
        if (n == 0)
                return 0;
        if (n > connection->n_fds)
                return -EBADMSG;        /* a bus does not say that there are what there are not */
        connection->current_fds = reallocarray(NULL, n, sizeof *connection->current_fds);
        if (!connection->current_fds)
                return -ENOMEM;
        connection->n_current_fds = n;
        memcpy(connection->current_fds, connection->fds, n * sizeof *connection->fds);
        connection->n_fds -= n;
        memmove(connection->fds, connection->fds + n, connection->n_fds * sizeof *connection->fds);
        return 0;
}

void connection_end_fds(struct connection *connection) {
        if (!connection->current_fds)
                return;
        close_fds(connection->current_fds, connection->n_current_fds);
        free(connection_take_fds(connection));
}

int *connection_take_fds(struct connection *connection) {
        int *fds = connection->current_fds;

        connection->current_fds = NULL;
        connection->n_current_fds = 0;
        return fds;
}

void connection_drop_fds(struct connection *connection) {
        close_fds(connection->fds, connection->n_fds);
        free(connection->fds);
        connection->fds = NULL;
        connection->n_fds = connection->fds_size = 0;
}

void connection_close_fds(struct outgoing *outgoing) {
        if (outgoing->fds)
                close_fds(outgoing->fds, outgoing->n_fds);
        free(outgoing->fds);
        outgoing->fds = NULL;
}

ssize_t connection_send_first(struct connection *connection) {
        struct outgoing *outgoing = connection->first;
        union {
                struct cmsghdr align;
                uint8_t bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
        } control = { .bytes = { 0 } };
        struct iovec iov[2] = { { outgoing->head, outgoing->n_head }, { (void *) outgoing->body, outgoing->n_body } };
        struct msghdr header = {
                .msg_iov = iov,
                .msg_iovlen = 2,
                .msg_control = &control,
                .msg_controllen = CMSG_SPACE(outgoing->n_fds * sizeof(int)),
        };
        struct cmsghdr *part = CMSG_FIRSTHDR(&header);
        ssize_t n;

        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(outgoing->n_fds * sizeof(int));
        memcpy(CMSG_DATA(part), outgoing->fds, outgoing->n_fds * sizeof(int));
        n = sendmsg(connection->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0)                     /* they have gone with the first byte */
                connection_close_fds(outgoing);
        return n;
}
