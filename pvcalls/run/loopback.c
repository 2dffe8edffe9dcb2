/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "loopback.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DEADLINE_MS 2000                /* of what the kernel does at once */
#define NUMBERS 0x7f000000u             /* 127.0.0.0/8, where a datagram's number becomes an address */
#define JUNK_SEGMENT 8192
#define SEND_SIZE (2 * JUNK_SEGMENT)    /* and the kernel doubles it: a few segments at a time, as every second is acknowledged at once */
#define FILL_ATTEMPTS 200               /* four are what it takes */
#define RECEIVE_SIZE 65536              /* bytes, which the kernel doubles: what it gives a socket at first */

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72                  /* Linux 5.14 */
#endif
#define BUF_LOCK_SEND 1                 /* the kernel's SOCK_SNDBUF_LOCK */

union address {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un local;
        struct sockaddr_storage storage;
};

/* 127.0.0.1 and a port, as a socket of this family writes it. Returns the length. */
static socklen_t address_make(union address *address, int family, uint16_t port) {
        *address = (union address) {};
        if (family == AF_INET) {
                address->in = (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
                return sizeof address->in;
        }
        address->in6 = (struct sockaddr_in6) { .sin6_family = AF_INET6, .sin6_port = htons(port) };
        memcpy(address->in6.sin6_addr.s6_addr + 10, (uint8_t[]) { 0xff, 0xff, 127, 0, 0, 1 }, 6);
        return sizeof address->in6;
}

/* The abstract name that the kernel has chosen for a listener, and that which our end of a connection has. Return the length. */
static socklen_t local_make(union address *address, uint32_t number) {
        *address = (union address) { .local.sun_family = AF_UNIX };
        snprintf(address->local.sun_path + 1, 6, "%05x", number & 0xfffff);
        return offsetof(struct sockaddr_un, sun_path) + 6;
}

#define OWN_NAME "xcp-pvcalls-run/"

static socklen_t own_make(union address *address, uint16_t number) {
        *address = (union address) { .local.sun_family = AF_UNIX };
        return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 +
                            (size_t) snprintf(address->local.sun_path + 1, sizeof address->local.sun_path - 1, OWN_NAME "%d/%u", getpid(), number));
}

/* Whether the other end of a UNIX socket is ours. */
static bool is_ours(int fd) {
        struct ucred who;
        socklen_t n = sizeof who;

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.pid == getpid();
}

static int port_of(int r, const union address *address) {
        if (r < 0)
                return -errno;
        return ntohs(address->any.sa_family == AF_INET6 ? address->in6.sin6_port : address->in.sin_port);
}

int loopback_peer_port(int fd) {
        union address address = {};
        socklen_t n = sizeof address;
        int r = getpeername(fd, &address.any, &n);
        const char *slash;

        if (r < 0 || address.any.sa_family != AF_UNIX)
                return port_of(r, &address);
        slash = strrchr(address.local.sun_path + 1, '/');       /* there is a byte 0 behind: the union is longer than a name */
        return is_ours(fd) && slash ? 65536 + (int) (strtoul(slash + 1, NULL, 10) & 0xffff) : -EPERM;
}

static int own_port(int fd) {
        union address address;
        socklen_t n = sizeof address;

        return port_of(getsockname(fd, &address.any, &n), &address);
}

static int listen_anywhere(int family) {
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        union address address = { .any.sa_family = AF_UNIX };
        socklen_t n = family == AF_UNIX ? (socklen_t) sizeof(sa_family_t) : address_make(&address, family, 0);

        if (fd < 0)
                return -errno;
        if (bind(fd, &address.any, n) < 0 || listen(fd, SOMAXCONN) < 0) {
                int r = -errno;

                close(fd);
                return r;
        }
        return fd;
}

int loopback_open(struct loopback *ret_loopback) {
        struct loopback loopback = { .tcp = listen_anywhere(AF_INET) };

        if (loopback.tcp < 0)
                return loopback.tcp;
        loopback.local = listen_anywhere(AF_UNIX);
        if (loopback.local < 0) {
                close(loopback.tcp);
                return loopback.local;
        }
        *ret_loopback = loopback;
        return 0;
}

/* Our end of the connection from this port, or of a UNIX socket that we have connected. Others that connect here are let go of. */
static int take(int loopback, int family, int port) {
        for (;;) {
                struct pollfd wait = { .fd = loopback, .events = POLLIN };
                int fd = accept4(loopback, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd >= 0 && (family == AF_UNIX ? is_ours(fd) : loopback_peer_port(fd) == port))
                        return fd;
                if (fd >= 0)
                        close(fd);
                else if (errno != EAGAIN && errno != ECONNABORTED)
                        return -errno;
                else if (poll(&wait, 1, DEADLINE_MS) == 0)
                        return -ETIMEDOUT;
        }
}

static int unsent(int fd) {
        int n = 0;

        return ioctl(fd, SIOCOUTQNSD, &n) < 0 ? 0 : n;
}

/*
 * Fills the socket (fd) until it is not writable, and stays so: the receiver (own) has no room left, gets none, and there is more to be sent.
 *
 * Segments that are acknowledged at once leave no doubt; others would be 40 ms later, and make room then. What the socket may hold is
 * little until loopback_unlock(), or the kernel would let it grow; a size that the program has set itself stays.
 */
static size_t fill(int fd, int own, bool *ret_locked) {
        static const uint8_t junk[JUNK_SEGMENT];
        int small = SEND_SIZE, smallest = 1, on = 1, no_delay = 0, locked = 0;
        socklen_t n_no_delay = sizeof no_delay, n_locked = sizeof locked;
        size_t n_junk = 0;
        ssize_t n;

        if (getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locked, &n_locked) == 0 && !(locked & BUF_LOCK_SEND))
                *ret_locked = setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0;
        (void) getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &n_no_delay);
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        for (int i = 0; i < FILL_ATTEMPTS && unsent(fd) == 0; i++) {
                while ((n = send(fd, junk, sizeof junk, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
                        n_junk += (size_t) n;
                (void) setsockopt(own, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
        }
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay);
        (void) setsockopt(own, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof smallest);
        return n_junk;
}

void loopback_open_up(int own) {
        int size = RECEIVE_SIZE, locked = 0;

        (void) setsockopt(own, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        (void) setsockopt(own, SOL_SOCKET, SO_BUF_LOCK, &locked, sizeof locked);        /* and the kernel lets it grow */
}

void loopback_unlock(int fd) {
        int locked = 0;
        socklen_t n = sizeof locked;

        if (getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locked, &n) < 0)
                return;
        locked &= ~BUF_LOCK_SEND;
        (void) setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locked, sizeof locked);
}

static int connect_now(int fd, const union address *address, socklen_t n) {
        struct pollfd writable = { .fd = fd, .events = POLLOUT };
        int error = 0;
        socklen_t n_error = sizeof error;

        if (connect(fd, &address->any, n) == 0)
                return 0;
        if (errno != EINPROGRESS)
                return -errno;
        if (poll(&writable, 1, DEADLINE_MS) <= 0)
                return -ETIMEDOUT;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n_error) < 0)
                return -errno;
        return -error;
}

/* An IPv6 socket that is for IPv6 alone cannot be connected to ours. Before it is bound, it can be told otherwise. */
static void allow_mapped(int fd, int family) {
        int off = 0;

        if (family == AF_INET6)
                (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
}

static void prepare(int fd) {
        int on = 1;

        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int plug_local(const struct loopback *loopback, int fd) {
        union address address;
        socklen_t n = sizeof address;
        int r;

        if (getsockname(loopback->local, &address.any, &n) < 0)
                return -errno;
        r = connect_now(fd, &address, n);
        return r < 0 ? r : take(loopback->local, AF_UNIX, 0);
}

int loopback_plug(const struct loopback *loopback, int fd, int family, bool filled, size_t *ret_junk, bool *ret_locked) {
        union address address;
        socklen_t n;
        int r, own;

        *ret_junk = 0;
        *ret_locked = false;
        if (family == AF_UNIX)
                return plug_local(loopback, fd);
        (void) connect(fd, &(struct sockaddr) { .sa_family = AF_UNSPEC }, sizeof(struct sockaddr));     /* of an attempt before */
        allow_mapped(fd, family);
        n = address_make(&address, family, (uint16_t) own_port(loopback->tcp));
        r = connect_now(fd, &address, n);
        if (r < 0)
                return r;
        own = take(loopback->tcp, family, own_port(fd));
        if (own < 0)
                return own;
        prepare(own);
        *ret_junk = filled ? fill(fd, own, ret_locked) : 0;
        return own;
}

int loopback_join(int fd, int family, bool connected) {
        int own = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;
        union address address;
        socklen_t n = address_make(&address, AF_INET, 0);

        if (own < 0)
                return -errno;
        allow_mapped(fd, family);
        r = bind(own, &address.any, n);
        if (r == 0) {
                n = address_make(&address, family, connected ? (uint16_t) own_port(own) : 0);
                r = connected ? connect(fd, &address.any, n) : bind(fd, &address.any, n);
        }
        if (r == 0) {
                n = address_make(&address, AF_INET, (uint16_t) own_port(fd));
                r = connect(own, &address.any, n);
        }
        if (r == 0)
                return own;
        r = -errno;
        close(own);
        return r;
}

void loopback_send(int own, const void *data, size_t size, uint32_t number) {
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
        } control = { .header = { .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO, .cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)) } };
        struct in_pktinfo from = { .ipi_spec_dst.s_addr = htonl(NUMBERS + number) };
        struct iovec iov = { .iov_base = (void *) data, .iov_len = size };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        memcpy(CMSG_DATA(&control.header), &from, sizeof from);
        if (number > 0) {
                message.msg_control = &control;
                message.msg_controllen = sizeof control;
        }
        (void) sendmsg(own, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t loopback_receive(int fd, int own, struct msghdr *message, int flags, uint32_t *ret_number) {
        union address address = {};
        uint32_t from;
        ssize_t n;

        message->msg_name = &address;
        message->msg_namelen = sizeof address;
        n = recvmsg(fd, message, flags);
        if (n < 0)
                return -errno;
        if (address.any.sa_family == AF_INET6)
                memcpy(&from, address.in6.sin6_addr.s6_addr + 12, sizeof from);
        else
                from = address.in.sin_addr.s_addr;
        from = ntohl(from);
        if (port_of(0, &address) != own_port(own) || from >> 24 != NUMBERS >> 24)
                return -EPERM;
        *ret_number = from == INADDR_LOOPBACK ? 0 : from - NUMBERS;
        return n;
}

/* Has the kernel choose a name, if there is none, and returns it as a number. */
static int listen_local(int fd, int backlog) {
        union address address = { .local.sun_family = AF_UNIX };
        socklen_t n = sizeof address;

        (void) bind(fd, &address.any, sizeof(sa_family_t));     /* EINVAL: it has one, as it listens already */
        if (listen(fd, backlog) < 0 || getsockname(fd, &address.any, &n) < 0)
                return -errno;
        return address.local.sun_path[0] == '\0' ? (int) (strtoul(address.local.sun_path + 1, NULL, 16) & 0xfffff) : -EINVAL;
}

int loopback_listen(int fd, int family, int backlog) {
        union address address;
        socklen_t n;

        backlog = backlog > 0 ? backlog : 1;
        if (family == AF_UNIX)
                return listen_local(fd, backlog);
        allow_mapped(fd, family);
        n = address_make(&address, family, 0);
        if (own_port(fd) == 0 && bind(fd, &address.any, n) < 0)
                return -errno;
        if (listen(fd, backlog) < 0)
                return -errno;
        return own_port(fd);
}

/* Gives our end the next name that nobody has. */
static int name_own(struct loopback *loopback, int fd) {
        union address address;

        for (unsigned i = 0; i <= UINT16_MAX; i++) {
                uint16_t number = loopback->next++;
                socklen_t n = own_make(&address, number);

                if (bind(fd, &address.any, n) == 0)
                        return number;
                if (errno != EADDRINUSE)
                        return -errno;
        }
        return -EADDRINUSE;
}

int loopback_dial(struct loopback *loopback, int family, uint32_t port, uint32_t *ret_own_port) {
        bool local = family == AF_UNIX;
        int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;
        union address address;
        socklen_t n = local ? local_make(&address, port) : address_make(&address, AF_INET, (uint16_t) port);

        if (fd < 0)
                return -errno;
        r = local ? name_own(loopback, fd) : 0;
        *ret_own_port = 65536 + (uint32_t) r;
        if (r >= 0)
                r = connect_now(fd, &address, n);
        if (r < 0) {
                close(fd);
                return r;
        }
        if (!local) {
                prepare(fd);
                *ret_own_port = (uint32_t) own_port(fd);
        }
        return fd;
}

void loopback_reset(int fd) {
        struct linger linger = { .l_onoff = 1 };

        (void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(fd);
}
