/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Socket options: those on a list, and nothing else. What is there either concerns only this guest's own connection, or is bounded by the
 * host (buffer sizes by net.core.*mem_max). Numbers on the ring are Linux's on x86.
 *
 * Left out with a reason: SO_REUSEPORT, by which sockets of one user share an address, and all guests' backends may be one user; SO_BINDTODEVICE,
 * SO_MARK, IP_TRANSPARENT and the like, which are the host's business; filters and out-of-band data.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "guest-private.h"

enum option_access { GET = 1, SET = 2, BOTH = GET | SET };

enum option_kind {
        NUMBER,                         /* an int, as most are */
        TEXT,
        LINGER,
        V6ONLY,
};

struct option {
        uint32_t level, name;           /* on the ring */
        int host_level, host_name;
        enum option_access access;
        enum option_kind kind;
};

#define LEVEL_SOCKET 1u
#define LEVEL_IP 0u
#define LEVEL_TCP 6u
#define LEVEL_IPV6 41u

static const struct option known[] = {
        { LEVEL_SOCKET, 2, SOL_SOCKET, SO_REUSEADDR, BOTH, NUMBER },
        { LEVEL_SOCKET, 3, SOL_SOCKET, SO_TYPE, GET, NUMBER },
        { LEVEL_SOCKET, 4, SOL_SOCKET, SO_ERROR, GET, NUMBER },
        { LEVEL_SOCKET, 6, SOL_SOCKET, SO_BROADCAST, BOTH, NUMBER },
        { LEVEL_SOCKET, 7, SOL_SOCKET, SO_SNDBUF, BOTH, NUMBER },
        { LEVEL_SOCKET, 8, SOL_SOCKET, SO_RCVBUF, BOTH, NUMBER },
        { LEVEL_SOCKET, 9, SOL_SOCKET, SO_KEEPALIVE, BOTH, NUMBER },
        { LEVEL_SOCKET, 13, SOL_SOCKET, SO_LINGER, BOTH, LINGER },
        { LEVEL_SOCKET, 30, SOL_SOCKET, SO_ACCEPTCONN, GET, NUMBER },
        { LEVEL_SOCKET, 38, SOL_SOCKET, SO_PROTOCOL, GET, NUMBER },
        { LEVEL_SOCKET, 39, SOL_SOCKET, SO_DOMAIN, GET, NUMBER },
        { LEVEL_IP, 1, IPPROTO_IP, IP_TOS, BOTH, NUMBER },
        { LEVEL_IP, 2, IPPROTO_IP, IP_TTL, BOTH, NUMBER },
        { LEVEL_IPV6, 16, IPPROTO_IPV6, IPV6_UNICAST_HOPS, BOTH, NUMBER },
        { LEVEL_IPV6, 26, IPPROTO_IPV6, IPV6_V6ONLY, BOTH, V6ONLY },
        { LEVEL_IPV6, 67, IPPROTO_IPV6, IPV6_TCLASS, BOTH, NUMBER },
        { LEVEL_TCP, 1, IPPROTO_TCP, TCP_NODELAY, BOTH, NUMBER },
        { LEVEL_TCP, 2, IPPROTO_TCP, TCP_MAXSEG, GET, NUMBER },
        { LEVEL_TCP, 3, IPPROTO_TCP, TCP_CORK, BOTH, NUMBER },
        { LEVEL_TCP, 4, IPPROTO_TCP, TCP_KEEPIDLE, BOTH, NUMBER },
        { LEVEL_TCP, 5, IPPROTO_TCP, TCP_KEEPINTVL, BOTH, NUMBER },
        { LEVEL_TCP, 6, IPPROTO_TCP, TCP_KEEPCNT, BOTH, NUMBER },
        { LEVEL_TCP, 7, IPPROTO_TCP, TCP_SYNCNT, BOTH, NUMBER },
        { LEVEL_TCP, 8, IPPROTO_TCP, TCP_LINGER2, BOTH, NUMBER },
        { LEVEL_TCP, 9, IPPROTO_TCP, TCP_DEFER_ACCEPT, BOTH, NUMBER },
        { LEVEL_TCP, 12, IPPROTO_TCP, TCP_QUICKACK, BOTH, NUMBER },
        { LEVEL_TCP, 13, IPPROTO_TCP, TCP_CONGESTION, GET, TEXT },
        { LEVEL_TCP, 18, IPPROTO_TCP, TCP_USER_TIMEOUT, BOTH, NUMBER },
};

/* The option, and a socket of the host's that it can be asked of. */
static int find(struct socket *socket, uint32_t level, uint32_t name, enum option_access access, const struct option **ret_option) {
        const struct option *option = NULL;

        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
                if (known[i].level == level && known[i].name == name && (known[i].access & access))
                        option = &known[i];
        if (!option)
                return -ENOPROTOOPT;
        if (socket->state == SOCKET_EXPECTED || socket->state == SOCKET_CLOSING || socket->state == SOCKET_DEAD)
                return -EBADF;
        *ret_option = option;
        return socket_make_fd(socket);
}

int guest_get_option(struct socket *socket, uint32_t level, uint32_t name, uint8_t ret_value[PVCALLS_PIECE_SIZE], uint32_t *ret_n) {
        const struct option *option;
        socklen_t n = PVCALLS_PIECE_SIZE;
        int r;

        r = find(socket, level, name, GET, &option);
        if (r < 0)
                return r;
        memset(ret_value, 0, PVCALLS_PIECE_SIZE);
        if (getsockopt(socket->fd, option->host_level, option->host_name, ret_value, &n) < 0)
                return -errno;
        *ret_n = n;
        return 0;
}

/* close(2) would wait for a linger's seconds, and RELEASE waits for its own; so only what discards at once is more than a wish. */
static void restrict_linger(struct linger *linger) {
        if (linger->l_linger != 0)
                linger->l_onoff = 0;
}

bool guest_wants_reset(const struct socket *socket) {
        struct linger linger = {};
        socklen_t n = sizeof linger;

        return socket->fd >= 0 && getsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &linger, &n) == 0 && linger.l_onoff;
}

int guest_set_option(struct socket *socket, uint32_t level, uint32_t name, const uint8_t value[PVCALLS_PIECE_SIZE], uint32_t untrusted_n) {
        const struct option *option;
        struct linger linger;
        int number, r;

        r = find(socket, level, name, SET, &option);
        if (r < 0)
                return r;
        if (option->kind == LINGER) {
                if (untrusted_n != sizeof linger)
                        return -EINVAL;
                memcpy(&linger, value, sizeof linger);
                restrict_linger(&linger);
                return setsockopt(socket->fd, option->host_level, option->host_name, &linger, sizeof linger) < 0 ? -errno : 0;
        }
        if (untrusted_n != sizeof number)
                return -EINVAL;
        memcpy(&number, value, sizeof number);
        if (option->level == LEVEL_SOCKET && option->host_name == SO_REUSEADDR)
                return 0;               /* streams have it, and with datagrams it would share a port with others */
        if (setsockopt(socket->fd, option->host_level, option->host_name, &number, sizeof number) < 0)
                return -errno;
        if (option->kind == V6ONLY)
                socket->v6only = number != 0;
        return 0;
}
