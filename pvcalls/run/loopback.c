/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "loopback.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 2000                /* of what the kernel does at once */
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
        struct sockaddr_storage storage;
};

/* 127.0.0.1 and a port, as a socket of this family writes it. Returns the length. */
static socklen_t address_make(union address *address, bool v6, uint16_t port) {
        *address = (union address) {};
        if (!v6) {
                address->in = (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
                return sizeof address->in;
        }
        address->in6 = (struct sockaddr_in6) { .sin6_family = AF_INET6, .sin6_port = htons(port) };
        memcpy(address->in6.sin6_addr.s6_addr + 10, (uint8_t[]) { 0xff, 0xff, 127, 0, 0, 1 }, 6);
        return sizeof address->in6;
}

static int port_of(int r, const union address *address) {
        if (r < 0)
                return -errno;
        return ntohs(address->any.sa_family == AF_INET6 ? address->in6.sin6_port : address->in.sin_port);
}

int loopback_peer_port(int fd) {
        union address address;
        socklen_t n = sizeof address;

        return port_of(getpeername(fd, &address.any, &n), &address);
}

int loopback_own_port(int fd) {
        union address address;
        socklen_t n = sizeof address;

        return port_of(getsockname(fd, &address.any, &n), &address);
}

int loopback_open(void) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        union address address;
        socklen_t n = address_make(&address, false, 0);

        if (fd < 0)
                return -errno;
        if (bind(fd, &address.any, n) < 0 || listen(fd, SOMAXCONN) < 0) {
                int r = -errno;

                close(fd);
                return r;
        }
        return fd;
}

/* Our end of the connection from this port. Others that connect here are let go of. */
static int take(int loopback, int port) {
        for (;;) {
                struct pollfd wait = { .fd = loopback, .events = POLLIN };
                int fd = accept4(loopback, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd >= 0 && loopback_peer_port(fd) == port)
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

static void prepare(int fd) {
        int on = 1;

        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int loopback_plug(int loopback, int fd, bool v6, bool filled, size_t *ret_junk, bool *ret_locked) {
        union address address;
        socklen_t n;
        int r, own;

        (void) connect(fd, &(struct sockaddr) { .sa_family = AF_UNSPEC }, sizeof(struct sockaddr));     /* of an attempt before */
        n = address_make(&address, v6, (uint16_t) loopback_own_port(loopback));
        r = connect_now(fd, &address, n);
        if (r < 0)
                return r;
        own = take(loopback, loopback_own_port(fd));
        if (own < 0)
                return own;
        prepare(own);
        *ret_locked = false;
        *ret_junk = filled ? fill(fd, own, ret_locked) : 0;
        return own;
}

int loopback_join(int fd, bool v6) {
        int own = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;
        union address address;
        socklen_t n = address_make(&address, false, 0);

        if (own < 0)
                return -errno;
        r = bind(own, &address.any, n);
        if (r == 0) {
                n = address_make(&address, v6, (uint16_t) loopback_own_port(own));
                r = connect(fd, &address.any, n);
        }
        if (r == 0) {
                n = address_make(&address, false, (uint16_t) loopback_own_port(fd));
                r = connect(own, &address.any, n);
        }
        if (r == 0)
                return own;
        r = -errno;
        close(own);
        return r;
}

int loopback_listen(int fd, bool v6, int backlog) {
        union address address;
        socklen_t n = address_make(&address, v6, 0);

        if (loopback_own_port(fd) == 0 && bind(fd, &address.any, n) < 0)
                return -errno;
        if (listen(fd, backlog > 0 ? backlog : 1) < 0)
                return -errno;
        return loopback_own_port(fd);
}

int loopback_dial(uint16_t port, uint16_t *ret_own_port) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;
        union address address;
        socklen_t n = address_make(&address, false, port);

        if (fd < 0)
                return -errno;
        r = connect_now(fd, &address, n);
        if (r < 0) {
                close(fd);
                return r;
        }
        prepare(fd);
        *ret_own_port = (uint16_t) loopback_own_port(fd);
        return fd;
}

void loopback_reset(int fd) {
        struct linger linger = { .l_onoff = 1 };

        (void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(fd);
}
