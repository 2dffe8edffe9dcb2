/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

_Static_assert(_COUNTER_N <= sizeof(((struct control_figures *) NULL)->counters) / sizeof(uint64_t), "a place for each");

/* What goes over the socket: this, and the two texts, each with a null byte. */
struct head {
        uint32_t type, value;
        uint64_t number;
};

static struct iovec text_of(const char *text) {
        size_t n = text ? strnlen(text, CONTROL_TEXT_MAX - 1) : 0;

        return (struct iovec) { .iov_base = (void *) text, .iov_len = n };
}

union passed {                          /* room for one descriptor, cmsg(3) */
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_packet(int fd, int flags, const struct head *head, const char *first, const char *second, int passed) {
        struct iovec iov[] = { { (void *) head, sizeof *head }, text_of(first), { "", 1 }, text_of(second), { "", 1 } };
        union passed control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
        struct msghdr header = { .msg_iov = iov, .msg_iovlen = sizeof iov / sizeof iov[0] };
        ssize_t n;

        if (passed >= 0) {
                memcpy(CMSG_DATA(&control.head), &passed, sizeof passed);
                header.msg_control = &control;
                header.msg_controllen = sizeof control;
        }
        do
                n = sendmsg(fd, &header, MSG_NOSIGNAL | flags);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

int control_send(int fd, bool wait, enum control_type type, uint32_t value, uint64_t number, const char *first, const char *second) {
        return send_packet(fd, wait ? 0 : MSG_DONTWAIT, &(struct head) { type, value, number }, first, second, -1);
}

int control_send_fd(int fd, enum control_type type, uint32_t value, uint64_t number, const char *first, int passed) {
        return send_packet(fd, MSG_DONTWAIT, &(struct head) { type, value, number }, first, NULL, passed);
}

static const char *take_text(const char *p, const char *end, char *ret_text) {
        const char *null = p && p < end ? memchr(p, '\0', (size_t) (end - p)) : NULL;

        if (!null || null - p >= CONTROL_TEXT_MAX)
                return NULL;
        strcpy(ret_text, p);
        return null + 1;
}

static int receive(int fd, struct control *ret_control, union passed *passed) {
        char packet[sizeof(struct head) + 2 * CONTROL_TEXT_MAX];
        struct iovec iov = { packet, sizeof packet };
        struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = passed, .msg_controllen = passed ? sizeof *passed : 0 };
        const struct cmsghdr *cmsg;
        struct head head;
        const char *p;
        ssize_t n;

        n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -EPIPE;
        ret_control->fd = -1;
        cmsg = CMSG_FIRSTHDR(&header);
        if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS && cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
                memcpy(&ret_control->fd, CMSG_DATA(cmsg), sizeof(int));
        if ((size_t) n < sizeof head)
                return -EBADMSG;
        memcpy(&head, packet, sizeof head);
        ret_control->type = head.type;
        ret_control->value = head.value;
        ret_control->number = head.number;
        p = take_text(packet + sizeof head, packet + n, ret_control->first);
        p = take_text(p, packet + n, ret_control->second);
        return p == packet + n ? 1 : -EBADMSG;
}

int control_receive(int fd, struct control *ret_control) {
        return receive(fd, ret_control, NULL);
}

int control_receive_fd(int fd, struct control *ret_control) {
        union passed passed;

        return receive(fd, ret_control, &passed);
}

int control_map(struct control_figures **ret_figures, const struct control_news **ret_news) {
        struct control_figures *figures = mmap(NULL, sizeof *figures, PROT_READ | PROT_WRITE, MAP_SHARED, CONTROL_FIGURES_FD, 0);
        struct control_news *news = mmap(NULL, sizeof *news, PROT_READ, MAP_SHARED, CONTROL_NEWS_FD, 0);

        if (figures == MAP_FAILED || news == MAP_FAILED)
                return -errno;          /* the process ends */
        *ret_figures = figures;
        *ret_news = news;
        return 0;
}
