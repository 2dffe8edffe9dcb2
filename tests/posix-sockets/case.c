/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "case.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

long tell(const struct case_context *context, const char *call, long result) {
        int error = errno;

        if (result < 0)
                printf("%s: %s = %s\n", context->name, call, strerrorname_np(error) ?: "an unknown error");
        else
                printf("%s: %s = %ld\n", context->name, call, result);
        errno = error;
        return result;
}

void tell_text(const struct case_context *context, const char *call, const char *format, ...) {
        va_list arguments;

        printf("%s: %s = ", context->name, call);
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        putchar('\n');
}

static void die(const struct case_context *context, const char *what) {
        fflush(stdout);
        fprintf(stderr, "posix-sockets: %s: %s: %s\n", context ? context->name : "setup", what, strerror(errno));
        exit(1);
}

int socket_new(int flags) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

        if (fd < 0)
                die(NULL, "socket()");
        return fd;
}

int peer_connect(const struct case_context *context, char what) {
        int fd = socket_new(0);

        if (connect(fd, (const struct sockaddr *) &context->peer, sizeof(context->peer)) < 0 || write_all(fd, &what, 1) != 1)
                die(context, "no connection to the peer");
        return fd;
}

int peer_dial(const struct case_context *context, uint16_t port) {
        uint16_t number = htons(port);
        int fd = peer_connect(context, 'd');

        if (write_all(fd, &number, sizeof(number)) != sizeof(number))
                die(context, "the peer cannot be asked to connect");
        return fd;
}

int listener_new(const struct case_context *context, int backlog, uint16_t *ret_port) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof(address);
        int fd = socket_new(0);

        if (bind(fd, (struct sockaddr *) &address, n) < 0 || listen(fd, backlog) < 0 || getsockname(fd, (struct sockaddr *) &address, &n) < 0)
                die(context, "cannot listen");
        *ret_port = ntohs(address.sin_port);
        return fd;
}

int wait_events(int fd, short events, int milliseconds) {
        struct pollfd wait = { .fd = fd, .events = events };

        return poll(&wait, 1, milliseconds) == 1 ? wait.revents : 0;
}

int take_error(int fd) {
        int error = 0;
        socklen_t n = sizeof(error);

        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 ? errno : error;
}

ssize_t read_all(int fd, void *data, size_t n) {
        size_t done = 0;

        for (ssize_t k; done < n; done += (size_t) k) {
                k = read(fd, (char *) data + done, n - done);
                if (k < 0)
                        return -1;
                if (k == 0)
                        break;
        }
        return (ssize_t) done;
}

ssize_t write_all(int fd, const void *data, size_t n) {
        size_t done = 0;

        for (ssize_t k; done < n; done += (size_t) k) {
                k = write(fd, (const char *) data + done, n - done);
                if (k < 0)
                        return -1;
        }
        return (ssize_t) done;
}
