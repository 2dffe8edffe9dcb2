/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How connections begin and end: refused, waited for in vain, reset, closed by halves, with and without lingering. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "case.h"

static const struct sockaddr *any(const struct sockaddr_in *address) {
        return (const struct sockaddr *) address;
}

/* A port of 127.0.0.1 where nobody listens: one that was free a moment ago. */
static struct sockaddr_in closed_address(const struct case_context *context) {
        struct sockaddr_in address = context->peer;
        uint16_t port;

        close(listener_new(context, 1, &port));
        address.sin_port = htons(port);
        return address;
}

void case_refused(struct case_context *context) {
        struct sockaddr_in address = closed_address(context);
        int fd = socket_new(0);
        short events;

        tell(context, "connect() to a closed port", connect(fd, any(&address), sizeof(address)));
        tell(context, "SO_ERROR after it", take_error(fd));
        tell(context, "write() after it", write(fd, "x", 1));
        close(fd);

        fd = socket_new(SOCK_NONBLOCK);
        if (connect(fd, any(&address), sizeof(address)) < 0 && errno == EINPROGRESS)
                events = (short) wait_events(fd, POLLOUT, CASE_WAIT_MS);
        else
                events = POLLOUT | POLLERR | POLLHUP, tell(context, "connect() without waiting", -1);
        tell_text(context, "poll() of a refused connect()", "%s%s%s", events & POLLOUT ? "out " : "", events & POLLERR ? "err " : "",
                  events & POLLHUP ? "hup" : "");
        tell_text(context, "SO_ERROR", "%s", strerrorname_np(take_error(fd)));
        tell(context, "SO_ERROR once more", take_error(fd));
        close(fd);
}

void case_timeout(struct case_context *context) {
        struct sockaddr_in address = context->peer;
        struct timeval time = { .tv_usec = 300000 };
        int keeper = peer_connect(context, 'b'), fd;
        uint16_t port;

        if (read_all(keeper, &address.sin_port, 2) != 2)
                return (void) tell_text(context, "a full accept queue", "none");
        /* The queue of a backlog of 0 holds one more than zero: the peer's own connection is in it. */
        fd = socket_new(SOCK_NONBLOCK);
        tell(context, "connect() to a full accept queue", connect(fd, any(&address), sizeof(address)));
        tell(context, "poll() within 300 ms", wait_events(fd, POLLOUT, 300));
        tell(context, "connect() once more", connect(fd, any(&address), sizeof(address)));
        tell(context, "SO_ERROR meanwhile", take_error(fd));
        tell(context, "read() meanwhile", read(fd, &time, 1));
        close(fd);

        fd = socket_new(0);
        time = (struct timeval) { .tv_usec = 300000 };
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
        tell(context, "connect() with SO_SNDTIMEO", connect(fd, any(&address), sizeof(address)));
        close(fd);
        close(keeper);

        fd = peer_connect(context, 's');
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
        tell(context, "read() with SO_RCVTIMEO", read(fd, &time, 1));
        close(fd);

        fd = listener_new(context, 1, &port);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
        tell(context, "accept() with SO_RCVTIMEO", accept(fd, NULL, NULL));
        close(fd);
}

void case_reset(struct case_context *context) {
        int fd = peer_connect(context, 'r');
        short events = (short) wait_events(fd, POLLIN, CASE_WAIT_MS);
        char byte;

        tell_text(context, "poll() of a reset connection", "%s%s%s", events & POLLIN ? "in " : "", events & POLLERR ? "err " : "",
                  events & POLLHUP ? "hup" : "");
        tell(context, "read()", read(fd, &byte, 1));
        tell(context, "read() once more", read(fd, &byte, 1));
        tell(context, "write()", write(fd, "x", 1));
        tell(context, "SO_ERROR", take_error(fd));
        close(fd);

        fd = peer_connect(context, 'r');
        wait_events(fd, POLLIN, CASE_WAIT_MS);
        tell_text(context, "SO_ERROR at first", "%s", strerrorname_np(take_error(fd)));
        tell(context, "read() after it", read(fd, &byte, 1));
        close(fd);
}

void case_half_close(struct case_context *context) {
        int fd = peer_connect(context, 'h');
        char text[32] = "";

        tell(context, "write()", write_all(fd, "hello", 5));
        tell(context, "shutdown(SHUT_WR)", shutdown(fd, SHUT_WR));
        tell(context, "write() after it", write(fd, "x", 1));
        tell(context, "read() of the answer", read_all(fd, text, sizeof(text) - 1));
        tell_text(context, "the peer's count", "%s", text);
        tell(context, "read() at the end", read(fd, text, 1));
        tell(context, "shutdown(SHUT_WR) once more", shutdown(fd, SHUT_WR));
        close(fd);

        fd = peer_connect(context, 's');
        tell(context, "shutdown(SHUT_RD)", shutdown(fd, SHUT_RD));
        tell(context, "read() after it", read(fd, text, 1));
        tell(context, "write() after SHUT_RD", write(fd, "x", 1));
        close(fd);

        fd = socket_new(0);
        tell(context, "shutdown() of an unconnected socket", shutdown(fd, SHUT_RDWR));
        close(fd);
}

void case_address_in_use(struct case_context *context) {
        struct sockaddr_in address = context->peer;
        int fd = socket_new(0), listener, one = 1;
        uint16_t port;

        tell(context, "bind() to the peer's port", bind(fd, any(&address), sizeof(address)));
        close(fd);

        listener = listener_new(context, 5, &port);
        address.sin_port = htons(port);
        fd = socket_new(0);
        tell(context, "bind() to a port of our own", bind(fd, any(&address), sizeof(address)));
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        tell(context, "bind() to it with SO_REUSEADDR", bind(fd, any(&address), sizeof(address)));
        close(listener);
        tell(context, "bind() when it is free", bind(fd, any(&address), sizeof(address)));
        tell(context, "bind() once more", bind(fd, any(&address), sizeof(address)));
        close(fd);

        fd = socket_new(0);
        address.sin_addr.s_addr = htonl(0xc0000201);   /* 192.0.2.1, TEST-NET-1 of RFC 5737: nobody's */
        tell(context, "bind() to an address of nobody", bind(fd, any(&address), sizeof(address)));
        close(fd);
}

static void ending_tell(struct case_context *context, const char *call) {
        int fd = peer_connect(context, 'q');
        char text[32] = "";

        read_all(fd, text, sizeof(text) - 1);
        tell_text(context, call, "%s", text);
        close(fd);
}

void case_linger(struct case_context *context) {
        struct linger linger = {}, none = { .l_onoff = 1 };
        socklen_t n = sizeof(linger);
        int fd = peer_connect(context, 'w');

        tell(context, "getsockopt(SO_LINGER)", getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &n));
        tell_text(context, "SO_LINGER at first", "%d %d", linger.l_onoff, linger.l_linger);
        tell(context, "setsockopt(SO_LINGER, 0 s)", setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)));
        tell(context, "close()", close(fd));
        ending_tell(context, "the peer's end after it");

        fd = peer_connect(context, 'w');
        linger = (struct linger) { .l_onoff = 1, .l_linger = 5 };
        tell(context, "setsockopt(SO_LINGER, 5 s)", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
        write_all(fd, "last words", 10);
        tell(context, "close() with something sent", close(fd));
        ending_tell(context, "the peer's end after 5 s of lingering");

        fd = peer_connect(context, 'w');
        close(fd);
        ending_tell(context, "the peer's end after a plain close()");
}
