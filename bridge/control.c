/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control.h"

#include <errno.h>
#include <string.h>
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

int control_send(int fd, bool wait, enum control_type type, uint32_t value, uint64_t number, const char *first, const char *second) {
        struct head head = { .type = type, .value = value, .number = number };
        struct iovec iov[] = { { &head, sizeof head }, text_of(first), { "", 1 }, text_of(second), { "", 1 } };
        const struct msghdr header = { .msg_iov = iov, .msg_iovlen = sizeof iov / sizeof iov[0] };
        ssize_t n;

        do
                n = sendmsg(fd, &header, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

static const char *take_text(const char *p, const char *end, char *ret_text) {
        const char *null = p && p < end ? memchr(p, '\0', (size_t) (end - p)) : NULL;

        if (!null || null - p >= CONTROL_TEXT_MAX)
                return NULL;
        strcpy(ret_text, p);
        return null + 1;
}

int control_receive(int fd, struct control *ret_control) {
        char packet[sizeof(struct head) + 2 * CONTROL_TEXT_MAX];
        struct head head;
        const char *p;
        ssize_t n;

        n = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -EPIPE;
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
