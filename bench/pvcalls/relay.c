/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The least that any design needs which has somebody else's process hold the socket: shared memory, an eventfd each way, and a process that does
 * nothing but wait for the one, send, receive, and write the other. For "echo" only.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rounds.h"
#include "transport.h"

#define SHARED_SIZE 4096u

struct shared {
        size_t n;
        uint8_t data[SHARED_SIZE - sizeof(size_t)];
};

static struct shared *shared;
static int requests, responses;

static _Noreturn void fail(const char *what) {
        exit(rounds_fail("bench-pvcalls-relay", what));
}

int transport_open(int argc, char **argv) {
        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        requests = eventfd(0, EFD_CLOEXEC);
        responses = eventfd(0, EFD_CLOEXEC);
        return shared == MAP_FAILED || requests < 0 || responses < 0 ? -errno : 0;
}

static void await(int fd) {
        eventfd_t count;

        if (eventfd_read(fd, &count) < 0)
                fail("wait");
}

static void tell(int fd) {
        if (eventfd_write(fd, 1) < 0)
                fail("wake the other up");
}

/* The first is what the connection is for (enum transport_purpose), and has no answer. */
static _Noreturn void relay(int fd) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setsid();                       /* a group of its own for the scheduler, as another domain's process is */
        for (bool first = true;; first = false) {
                await(requests);
                if (send(fd, shared->data, shared->n, MSG_NOSIGNAL) != (ssize_t) shared->n)
                        fail("send");
                if (!first && recv(fd, shared->data, shared->n, MSG_WAITALL) != (ssize_t) shared->n)
                        fail("receive");
                tell(responses);
        }
}

void transport_connect(unsigned first, unsigned n, uint16_t port) {
        const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = transport_address() };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int on = 1;
        pid_t pid;

        if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof address) < 0)
                fail("connect");
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        pid = fork();
        if (pid < 0)
                fail("fork");
        if (pid == 0)
                relay(fd);
        close(fd);
}

void transport_close(unsigned first, unsigned n) {
        fail("close: it has one connection, which ends with it");
}

void transport_write(unsigned number, const void *data, size_t n) {
        static bool is_told;

        if (n > sizeof shared->data)
                fail("write as much");
        shared->n = n;
        memcpy(shared->data, data, n);
        tell(requests);
        if (!is_told)
                await(responses);
        is_told = true;
}

void transport_read(unsigned number, void *data, size_t n) {
        await(responses);
        memcpy(data, shared->data, n);
}

void transport_serve(uint16_t port) {
        fail("serve: bench-pvcalls-server does");
}
