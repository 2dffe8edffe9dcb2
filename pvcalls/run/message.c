/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "message.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define CONTROL_MAX 20480u              /* as net.core.optmem_max has it */

static int header_read(struct message *message, const struct target *target, uint64_t at) {
        *message = (struct message) { .at = at };
        if (target_read(target, at, &message->header, sizeof message->header) < 0)
                return -EFAULT;
        if (!message->header.msg_name)
                message->header.msg_namelen = 0;
        if ((int) message->header.msg_namelen < 0)
                return -EINVAL;
        if (message->header.msg_namelen > sizeof(struct sockaddr_storage))
                message->header.msg_namelen = sizeof(struct sockaddr_storage);
        return message->header.msg_iovlen > UIO_MAXIOV ? -EMSGSIZE : 0;
}

int messages_read(const struct target *target, const struct seccomp_data *call, struct message **ret_messages) {
        static struct message messages[MESSAGES_MAX];
        bool sends = call->nr == __NR_sendto, writes = call->nr == __NR_write;
        unsigned n = (uint32_t) call->args[2];
        int r = 0;

        *ret_messages = messages;
        if (sends || writes || call->nr == __NR_recvfrom) {
                messages[0] = (struct message) {
                        .name_length_at = sends || writes ? 0 : call->args[5],
                        .header = { .msg_name = writes ? NULL : (void *) call->args[4], .msg_namelen = sends ? (socklen_t) call->args[5] : 0 },
                        .only = { .iov_base = (void *) call->args[1], .iov_len = call->args[2] },
                };
                return 1;
        }
        if (call->nr == __NR_sendmsg || call->nr == __NR_recvmsg) {
                r = header_read(&messages[0], target, call->args[1]);
                return r < 0 ? r : 1;
        }
        n = n < MESSAGES_MAX ? n : MESSAGES_MAX;
        for (unsigned i = 0; i < n; i++) {
                r = header_read(&messages[i], target, call->args[1] + i * sizeof(struct mmsghdr));
                if (r < 0)
                        return i > 0 ? (int) i : r;     /* those before it are sent, and the next call says what is wrong with it */
        }
        return (int) n;
}

/* Where the pieces are. Returns how many. */
static int pieces(struct message *message, const struct target *target, struct iovec **ret_pieces) {
        static struct iovec several[UIO_MAXIOV];
        size_t n = message->header.msg_iovlen;

        if (message->at == 0) {
                several[0] = message->only;
                n = 1;
        } else if (n > 0 && target_read(target, (uint64_t) message->header.msg_iov, several, n * sizeof several[0]) < 0) {
                return -EFAULT;
        }
        message->size = 0;
        for (size_t i = 0; i < n; i++) {
                if (several[i].iov_len > SSIZE_MAX - message->size)
                        return -EINVAL;
                message->size += several[i].iov_len;
        }
        *ret_pieces = several;
        return (int) n;
}

ssize_t message_measure(struct message *message, const struct target *target) {
        struct iovec *piece;
        int n = pieces(message, target, &piece);

        return n < 0 ? n : (ssize_t) message->size;
}

ssize_t message_gather(struct message *message, const struct target *target, void *data, size_t size) {
        struct iovec *piece;
        uint8_t *to = data;
        int n = pieces(message, target, &piece);

        if (n < 0)
                return n;
        if (message->size > size)
                return -EMSGSIZE;
        for (int i = 0; i < n; to += piece[i++].iov_len)
                if (target_read(target, (uint64_t) piece[i].iov_base, to, piece[i].iov_len) < 0)
                        return -EFAULT;
        return (ssize_t) message->size;
}

ssize_t message_scatter(struct message *message, const struct target *target, const void *data, size_t n) {
        struct iovec *piece;
        const uint8_t *from = data;
        int n_pieces = pieces(message, target, &piece);

        if (n_pieces < 0)
                return n_pieces;
        n = n < message->size ? n : message->size;
        for (size_t left = n, i = 0; left > 0; i++) {
                size_t now = left < piece[i].iov_len ? left : piece[i].iov_len;

                if (target_write(target, (uint64_t) piece[i].iov_base, from, now) < 0)
                        return -EFAULT;
                from += now;
                left -= now;
        }
        return (ssize_t) n;
}

int message_control(const struct message *message, const struct target *target, int level, int type, void *ret_data, size_t n) {
        static _Alignas(struct cmsghdr) uint8_t untrusted[CONTROL_MAX];
        size_t size = message->header.msg_controllen, left;

        if (size > sizeof untrusted)
                return -ENOBUFS;
        if (target_read(target, (uint64_t) message->header.msg_control, untrusted, size) < 0)
                return -EFAULT;
        for (size_t at = 0; size - at >= sizeof(struct cmsghdr);) {
                struct cmsghdr header;

                left = size - at;
                memcpy(&header, untrusted + at, sizeof header);
                if (header.cmsg_len < sizeof header || header.cmsg_len > left)
                        return -EINVAL;
                if (header.cmsg_level == level && header.cmsg_type == type && header.cmsg_len - sizeof header >= n) {
                        if (n > 0)
                                memcpy(ret_data, untrusted + at + sizeof header, n);
                        return 1;
                }
                if (CMSG_ALIGN(header.cmsg_len) >= left)
                        break;
                at += CMSG_ALIGN(header.cmsg_len);
        }
        return 0;
}

int message_finish(const struct message *message, const struct target *target, const void *control, size_t n_control, int flags) {
        uint64_t length = n_control;
        int r;

        if (message->at == 0)
                return 0;
        r = n_control > 0 ? target_write(target, (uint64_t) message->header.msg_control, control, n_control) : 0;
        if (r == 0)
                r = target_write(target, message->at + offsetof(struct msghdr, msg_controllen), &length, sizeof length);
        return r == 0 ? target_write(target, message->at + offsetof(struct msghdr, msg_flags), &flags, sizeof flags) : r;
}

int message_set_length(const struct message *message, const struct target *target, size_t n) {
        uint32_t length = (uint32_t) n;

        return target_write(target, message->at + offsetof(struct mmsghdr, msg_len), &length, sizeof length);
}
