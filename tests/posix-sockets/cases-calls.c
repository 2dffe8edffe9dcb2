/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls out of turn, names, options, accepting, and descriptors that are shared and waited for. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"

void case_states(struct case_context *context) {
        struct sockaddr_in address = context->peer;
        const void *volatile nowhere = (const void *) 8;
        int fd = socket_new(0);
        char byte;

        tell(context, "read() of an unconnected socket", read(fd, &byte, 1));
        tell(context, "write() to it", write(fd, "x", 1));
        tell(context, "accept() on it", accept(fd, NULL, NULL));
        tell(context, "getpeername() of it", getpeername(fd, (struct sockaddr *) &address, &(socklen_t) { sizeof(address) }));
        address = context->peer;
        tell(context, "connect() with a short address", connect(fd, (struct sockaddr *) &address, 4));
        address.sin_family = AF_UNIX;
        tell(context, "connect() to another family", connect(fd, (struct sockaddr *) &address, sizeof(address)));
        tell(context, "connect()", connect(fd, (const struct sockaddr *) &context->peer, sizeof(context->peer)));
        tell(context, "connect() once more", connect(fd, (const struct sockaddr *) &context->peer, sizeof(context->peer)));
        tell(context, "listen() on a connected socket", listen(fd, 1));
        tell(context, "bind() of a connected socket", bind(fd, (const struct sockaddr *) &context->peer, sizeof(context->peer)));
        tell(context, "write() from no memory", write(fd, nowhere, 1));
        tell(context, "close()", close(fd));
        tell(context, "read() after it", read(fd, &byte, 1));
        tell(context, "lseek() of a socket", (fd = peer_connect(context, 'e'), lseek(fd, 0, SEEK_CUR)));
        tell(context, "pread() of a socket", pread(fd, &byte, 1, 0));
        close(fd);
        tell(context, "socket() of an unknown type", socket(AF_INET, 77, 0));
        tell(context, "socket() of an unknown protocol", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
}

static void address_tell(struct case_context *context, const char *call, int r, const struct sockaddr_in *address, socklen_t n, uint16_t port) {
        if (tell(context, call, r) < 0)
                return;
        tell_text(context, "what it gave", "%u bytes, family %u, %s, port %s", n, address->sin_family,
                  address->sin_addr.s_addr == htonl(INADDR_LOOPBACK) ? "127.0.0.1" : address->sin_addr.s_addr == 0 ? "0.0.0.0" : "another",
                  address->sin_port == htons(port) ? "as asked" : address->sin_port == 0 ? "0" : "another");
}

void case_names(struct case_context *context) {
        struct sockaddr_in address;
        socklen_t n = sizeof(address);
        int fd = socket_new(0), listener, connection, asked;
        uint16_t port;

        address_tell(context, "getsockname() at first", getsockname(fd, (struct sockaddr *) &address, &n), &address, n, 0);
        close(fd);
        fd = peer_connect(context, 'e');
        n = sizeof(address);
        address_tell(context, "getpeername()", getpeername(fd, (struct sockaddr *) &address, &n), &address, n, ntohs(context->peer.sin_port));
        n = sizeof(address);
        address_tell(context, "getsockname()", getsockname(fd, (struct sockaddr *) &address, &n), &address, n, 0);
        n = 4;
        tell(context, "getsockname() into four bytes", getsockname(fd, (struct sockaddr *) &address, &n));
        tell(context, "the length it gave", (long) n);
        close(fd);

        listener = listener_new(context, 5, &port);
        asked = peer_dial(context, port);
        n = sizeof(address);
        connection = accept(listener, (struct sockaddr *) &address, &n);
        address_tell(context, "accept()", connection < 0 ? -1 : 0, &address, n, 0);
        n = sizeof(address);
        address_tell(context, "getsockname() of what was accepted", getsockname(connection, (struct sockaddr *) &address, &n), &address, n, port);
        n = sizeof(address);
        address_tell(context, "getpeername() of it", getpeername(connection, (struct sockaddr *) &address, &n), &address, n, 0);
        close(connection);
        close(asked);
        close(listener);
}

static void option_tell(struct case_context *context, const char *name, int fd, int level, int option) {
        int value = -1;
        socklen_t n = sizeof(value);

        tell(context, name, getsockopt(fd, level, option, &value, &n) < 0 ? -1 : value);
}

void case_options(struct case_context *context) {
        uint16_t port;
        int fd = peer_connect(context, 'e'), listener = listener_new(context, 5, &port), one = 1, size = 65536;

        option_tell(context, "SO_TYPE", fd, SOL_SOCKET, SO_TYPE);
        option_tell(context, "SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN);
        option_tell(context, "SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL);
        option_tell(context, "SO_ACCEPTCONN of a connection", fd, SOL_SOCKET, SO_ACCEPTCONN);
        option_tell(context, "SO_ACCEPTCONN of a listener", listener, SOL_SOCKET, SO_ACCEPTCONN);
        option_tell(context, "SO_KEEPALIVE", fd, SOL_SOCKET, SO_KEEPALIVE);
        tell(context, "setsockopt(SO_KEEPALIVE)", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
        option_tell(context, "SO_KEEPALIVE after it", fd, SOL_SOCKET, SO_KEEPALIVE);
        tell(context, "setsockopt(TCP_NODELAY)", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
        option_tell(context, "TCP_NODELAY after it", fd, IPPROTO_TCP, TCP_NODELAY);
        tell(context, "setsockopt(SO_SNDBUF)", setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
        tell(context, "setsockopt(SO_RCVBUF)", setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
        tell(context, "setsockopt() of an unknown option", setsockopt(fd, SOL_SOCKET, 9999, &one, sizeof(one)));
        tell(context, "setsockopt() of too few bytes", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, 1));
        close(listener);
        close(fd);
}

void case_accept(struct case_context *context) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        uint16_t port;
        int listener = listener_new(context, 5, &port), asked, connection;
        char text[4] = "";

        fcntl(listener, F_SETFL, O_NONBLOCK);
        tell(context, "accept() of nobody", accept(listener, NULL, NULL));
        tell(context, "poll() of nobody", wait_events(listener, POLLIN, 100));
        asked = peer_dial(context, port);
        tell_text(context, "poll() of somebody", "%s", wait_events(listener, POLLIN, CASE_WAIT_MS) & POLLIN ? "in" : "nothing");
        connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        tell(context, "accept4()", connection < 0 ? -1 : 0);
        tell(context, "O_NONBLOCK of what was accepted", (fcntl(connection, F_GETFL) & O_NONBLOCK) != 0);
        tell(context, "FD_CLOEXEC of it", fcntl(connection, F_GETFD) & FD_CLOEXEC);
        tell(context, "read() of it", read(connection, text, 1));
        write_all(connection, "abc", 3);
        fcntl(connection, F_SETFL, 0);
        tell(context, "echo over it", read_all(connection, text, 3));
        close(connection);
        close(asked);
        tell(context, "read() of a listener", read(listener, text, 1));
        tell(context, "connect() of a listener", connect(listener, (const struct sockaddr *) &context->peer, sizeof(context->peer)));
        close(listener);
        address.sin_port = htons(port);
        connection = socket_new(0);
        tell(context, "connect() to a closed listener", connect(connection, (struct sockaddr *) &address, sizeof(address)));
        close(connection);
}

void case_sharing(struct case_context *context) {
        int fd = peer_connect(context, 'e'), copy = dup(fd), status = -1;
        char text[8] = "";
        pid_t pid;

        tell(context, "close() of one of two", close(fd));
        write_all(copy, "one", 3);
        tell(context, "echo over the other", read_all(copy, text, 3));
        pid = fork();
        if (pid == 0)
                _exit(write_all(copy, "two", 3) == 3 && read_all(copy, text, 3) == 3 && memcmp(text, "two", 3) == 0 ? 0 : 1);
        waitpid(pid, &status, 0);
        tell(context, "a child's use of it", status);
        write_all(copy, "six", 3);
        tell(context, "the parent's use after it", read_all(copy, text, 3));
        fd = dup2(copy, copy + 20);
        close(copy);
        write_all(fd, "ten", 3);
        tell(context, "echo over a dup2()", read_all(fd, text, 3));
        close(fd);
}

void case_waiting(struct case_context *context) {
        int fd = peer_connect(context, 'e'), epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
        struct timeval time = { .tv_sec = CASE_WAIT_MS / 1000 };
        fd_set set;
        char byte;

        tell(context, "epoll_ctl()", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
        tell(context, "epoll_wait()", epoll_wait(epoll, &event, 1, CASE_WAIT_MS));
        tell(context, "its events", (long) event.events);
        tell(context, "epoll_wait() once more, edge-triggered", epoll_wait(epoll, &event, 1, 0));
        write_all(fd, "x", 1);
        event.events = 0;
        while (!(event.events & EPOLLIN) && epoll_wait(epoll, &event, 1, CASE_WAIT_MS) == 1)
                ;
        tell(context, "EPOLLIN when something can be read", (event.events & EPOLLIN) != 0);
        FD_ZERO(&set);
        FD_SET(fd, &set);
        tell(context, "select()", select(fd + 1, &set, NULL, NULL, &time));
        tell(context, "read()", read(fd, &byte, 1));
        shutdown(fd, SHUT_WR);
        tell_text(context, "poll() at the end", "%s", wait_events(fd, POLLIN | POLLRDHUP, CASE_WAIT_MS) & POLLRDHUP ? "rdhup" : "something else");
        close(epoll);
        close(fd);
}
