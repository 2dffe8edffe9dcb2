/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "case.h"

#define STACK_SIZE (256 * 1024)         /* a thousand connections at once have a thread each */

/* How the last 'w' ended, and a lock for it. */
static pthread_mutex_t ending_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ending_known = PTHREAD_COND_INITIALIZER;
static const char *ending;

static struct sockaddr_in loopback(uint16_t port) {
        return (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void echo(int fd) {
        char buffer[16384];
        ssize_t n;

        while ((n = read(fd, buffer, sizeof(buffer))) > 0)
                if (write_all(fd, buffer, (size_t) n) < 0)
                        return;
}

static void count(int fd) {
        char buffer[16384], number[32];
        unsigned long long total = 0;
        ssize_t n;

        while ((n = read(fd, buffer, sizeof(buffer))) > 0)
                total += (unsigned long long) n;
        snprintf(number, sizeof(number), "%llu", total);
        write_all(fd, number, strlen(number));
}

static void remember_ending(int fd) {
        char buffer[4096];
        ssize_t n;

        while ((n = read(fd, buffer, sizeof(buffer))) > 0)
                ;
        pthread_mutex_lock(&ending_lock);
        ending = n == 0 ? "end" : strerrorname_np(errno);
        pthread_cond_broadcast(&ending_known);
        pthread_mutex_unlock(&ending_lock);
}

static void tell_ending(int fd) {
        pthread_mutex_lock(&ending_lock);
        while (!ending)
                pthread_cond_wait(&ending_known, &ending_lock);
        write_all(fd, ending, strlen(ending));
        ending = NULL;
        pthread_mutex_unlock(&ending_lock);
}

static void reset(int fd) {
        struct linger none = { .l_onoff = 1 };

        setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

static void wait_gone(int fd) {
        struct pollfd wait = { .fd = fd, .events = POLLRDHUP };

        poll(&wait, 1, -1);
}

static void dial(int fd) {
        struct sockaddr_in address;
        uint16_t port;
        int connection;

        if (read_all(fd, &port, sizeof(port)) != sizeof(port))
                return;
        address = loopback(ntohs(port));
        connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(connection, (struct sockaddr *) &address, sizeof(address)) == 0)
                echo(connection);
        close(connection);
}

/* With a backlog of 0 Linux's queue holds one connection; the next ones' SYNs are dropped. */
static void be_full(int fd) {
        struct sockaddr_in address = loopback(0);
        socklen_t n = sizeof(address);
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (bind(listener, (struct sockaddr *) &address, n) == 0 && listen(listener, 0) == 0 &&
            getsockname(listener, (struct sockaddr *) &address, &n) == 0 && connect(first, (struct sockaddr *) &address, n) == 0) {
                write_all(fd, &address.sin_port, sizeof(address.sin_port));
                wait_gone(fd);
        }
        close(first);
        close(listener);
}

static void *serve(void *argument) {
        int fd = (int) (intptr_t) argument;
        char what;

        if (read(fd, &what, 1) == 1)
                switch (what) {
                case 'e': echo(fd); break;
                case 'h': count(fd); break;
                case 'w': remember_ending(fd); break;
                case 'q': tell_ending(fd); break;
                case 'r': reset(fd); break;
                case 's': wait_gone(fd); break;
                case 'd': dial(fd); break;
                case 'b': be_full(fd); break;
                default: break;
                }
        close(fd);
        return NULL;
}

int peer_run(uint16_t port) {
        struct sockaddr_in address = loopback(port);
        socklen_t n = sizeof(address);
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        pthread_attr_t attributes;
        pthread_t thread;

        if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 || bind(listener, (struct sockaddr *) &address, n) < 0 ||
            getsockname(listener, (struct sockaddr *) &address, &n) < 0 || listen(listener, 4096) < 0) {
                fprintf(stderr, "posix-sockets: cannot listen on port %u: %s\n", port, strerror(errno));
                return 1;
        }
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_SIZE);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        printf("ready %u\n", ntohs(address.sin_port));
        fflush(stdout);
        for (;;) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

                if (fd >= 0 && pthread_create(&thread, &attributes, serve, (void *) (intptr_t) fd) != 0)
                        close(fd);
        }
}
