/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pvcalls-linux-front: has Linux's PV Calls frontend make every call, by the module of tests/lab/pvcalls-drive, and checks what the
 * backend makes of it.
 *
 *     pvcalls-linux-front ECHO CLOSED DENIED LISTEN -- COMMAND
 *
 * ECHO, CLOSED, DENIED and LISTEN are ports of the backend's 127.0.0.1: one where a server echoes, one where nobody listens, one that
 * the policy denies, and one to listen on. COMMAND is run when it listens; then somebody connects, sends, and reads the same back.
 * Exit status 0 if all was right; otherwise 1, and a line says what was not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lab/pvcalls-drive/pvcalls-drive.h"
#include "pattern.h"

#define DEVICE "/dev/pvcalls"
#define ECHO_BYTES (200 * 1024)         /* the rings are 32 KiB each way: several times around */
#define PIECE_SIZE 5000
#define POLL_MS 60000                   /* only has to end a hang */

static void fail(const char *what) {
        fprintf(stderr, "pvcalls-linux-front: %s\n", what);
        exit(1);
}

/* A failed call: what it was, which error came, and which was expected. */
static void fail_error(const char *what, int expected) {
        int found = errno;

        fprintf(stderr, "pvcalls-linux-front: %s: %s (%d), expected %s\n", what, strerror(found), found, strerror(expected));
        exit(1);
}

static int socket_new(void) {
        int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

        if (fd < 0)
                fail_error("SOCKET", 0);
        return fd;
}

static struct sockaddr_in address_of(const char *port) {
        return (struct sockaddr_in) {
                .sin_family = AF_INET,
                .sin_port = htons((uint16_t) strtoul(port, NULL, 10)),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
}

static void write_all(int fd, const uint8_t *data, size_t n) {
        for (ssize_t k; n > 0; data += k, n -= (size_t) k) {
                k = write(fd, data, n);         /* Linux's frontend gives up on a full ring after a while: 0 */
                if (k < 0)
                        fail_error("sendmsg", 0);
        }
}

static void connect_fails(const char *what, const char *port, int expected) {
        struct sockaddr_in address = address_of(port);
        int fd = socket_new();

        errno = 0;
        if (ioctl(fd, PVCALLS_DRIVE_CONNECT, &address) == 0 || errno != expected)
                fail_error(what, expected);
        close(fd);
}

static void connect_and_echo(const char *port) {
        struct sockaddr_in address = address_of(port);
        uint8_t sent[PIECE_SIZE], got[PIECE_SIZE];
        int fd = socket_new();

        if (ioctl(fd, PVCALLS_DRIVE_CONNECT, &address) < 0)
                fail_error("CONNECT to the echo server", 0);
        for (size_t offset = 0; offset < ECHO_BYTES; offset += PIECE_SIZE) {
                pattern_fill(offset, sent, PIECE_SIZE);
                write_all(fd, sent, PIECE_SIZE);
                for (size_t n_got = 0; n_got < PIECE_SIZE;) {
                        ssize_t n = read(fd, got + n_got, PIECE_SIZE - n_got);

                        if (n <= 0)
                                fail_error("recvmsg from the echo server", 0);
                        n_got += (size_t) n;
                }
                if (memcmp(sent, got, PIECE_SIZE) != 0)
                        fail("the echo server's bytes are others than those sent");
        }
        close(fd);
}

/* Linux's frontend returns 0 from bind() whatever the backend says (pvcalls_front_bind()): what it said shows at the listen. */
static void bind_denied(const char *port) {
        struct sockaddr_in address = address_of(port);
        int fd = socket_new();

        if (ioctl(fd, PVCALLS_DRIVE_BIND, &address) < 0 && errno != EACCES)
                fail_error("BIND to a denied port", EACCES);
        if (ioctl(fd, PVCALLS_DRIVE_LISTEN, 1) == 0)
                fail("LISTEN after a BIND that was denied: success");
        close(fd);
}

static int listen_on(const char *port, char *command) {
        struct sockaddr_in address = address_of(port);
        int fd = socket_new();

        if (ioctl(fd, PVCALLS_DRIVE_BIND, &address) < 0)
                fail_error("BIND", 0);
        if (ioctl(fd, PVCALLS_DRIVE_LISTEN, 5) < 0)
                fail_error("LISTEN", 0);
        if (system(command) != 0)
                fail("the command to run when it listens failed");
        return fd;
}

static void accept_and_echo(int listener) {
        struct pollfd wait = { .fd = listener, .events = POLLIN };
        uint8_t buffer[PIECE_SIZE];
        ssize_t n;
        int fd;

        if (poll(&wait, 1, POLL_MS) != 1 || !(wait.revents & POLLIN))
                fail("POLL: no connection within 60 s");
        fd = ioctl(listener, PVCALLS_DRIVE_ACCEPT);
        if (fd < 0)
                fail_error("ACCEPT", 0);
        while ((n = read(fd, buffer, sizeof(buffer))) > 0)
                write_all(fd, buffer, (size_t) n);
        if (n < 0)
                fail_error("recvmsg of an accepted connection", 0);
        close(fd);
}

int main(int argc, char *argv[]) {
        int listener;

        if (argc != 7 || strcmp(argv[5], "--") != 0) {
                fprintf(stderr, "Usage: pvcalls-linux-front ECHO CLOSED DENIED LISTEN -- COMMAND\n");
                return 2;
        }
        connect_fails("CONNECT to a port where nobody listens", argv[2], ECONNREFUSED);
        connect_fails("CONNECT to a denied port", argv[3], EACCES);
        connect_and_echo(argv[1]);
        bind_denied(argv[3]);
        listener = listen_on(argv[4], argv[6]);
        accept_and_echo(listener);
        accept_and_echo(listener);
        close(listener);
        return 0;
}
