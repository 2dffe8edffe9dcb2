/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The least that a bridge can be: it joins a bus and passes bytes between that connection and a vchan, without a look at them.
 *
 *     bench-relay serve DOMID PATH ADDRESS UNIQUE     the bus of a service: makes the vchan, and is UNIQUE on the bus
 *     bench-relay connect DOMID PATH ADDRESS NAME     the bus of a client: joins it, and owns NAME
 *
 * A call to NAME on the one bus is then one to NAME on the other. It goes there as the first bus has written it: the second one only replaces
 * who sent it. For the answer, which goes to whoever called, to be right as it is too, who calls there has to have the name that the client has
 * here; buses count their connections, so one is made after another until that is so. There can be one client only, and one service.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxenvchan.h>

#include "bus/connect.h"

#define PROGRAM "bench-relay"
#define RING_SIZE (64u * 1024)          /* as a bridge's */

struct relay {
        struct libxenvchan *vchan;
        sd_bus *bus;
        const char *awaited;            /* a name that it is going to be told it has */
        char buffer[RING_SIZE];
};

/* Joining a bus */

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        struct relay *relay = userdata;
        const char *name;

        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus", "NameAcquired") > 0 && sd_bus_message_read(m, "s", &name) >= 0 &&
            strcmp(name, relay->awaited) == 0)
                relay->awaited = NULL;
        return 0;
}

/* Reads all that comes before the first message that is to be passed on. */
static int await_name(struct relay *relay, const char *name) {
        int r;

        relay->awaited = name;
        r = sd_bus_add_filter(relay->bus, NULL, on_message, relay);
        while (r >= 0 && relay->awaited) {
                r = sd_bus_process(relay->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(relay->bus, UINT64_MAX);
        }
        return r < 0 ? r : 0;
}

/* The last number of a unique name. */
static unsigned long number(const char *unique) {
        const char *dot = strrchr(unique, '.');

        return dot ? strtoul(dot + 1, NULL, 10) : 0;
}

static int join_as(struct relay *relay, const char *address, const char *wanted) {
        const char *unique;
        int r;

        for (;;) {
                r = connect_bus(PROGRAM, address, &relay->bus);
                if (r >= 0)
                        r = sd_bus_get_unique_name(relay->bus, &unique);
                if (r < 0)
                        return r;
                if (strcmp(unique, wanted) == 0)
                        return await_name(relay, wanted);
                if (number(unique) >= number(wanted))
                        return -EEXIST; /* somebody had it before */
                relay->bus = sd_bus_flush_close_unref(relay->bus);
        }
}

static int join_and_own(struct relay *relay, const char *address, const char *name) {
        int r;

        r = connect_bus(PROGRAM, address, &relay->bus);
        if (r >= 0)
                r = sd_bus_request_name(relay->bus, name, 0);
        return r < 0 ? r : await_name(relay, name);
}

/* Passing bytes */

/* As long as they are messages of a few calls, the ring takes them all. */
static int to_vchan(struct relay *relay, int fd) {
        ssize_t n = read(fd, relay->buffer, sizeof relay->buffer);

        if (n <= 0)
                return n < 0 ? -errno : -ECONNRESET;
        return libxenvchan_write(relay->vchan, relay->buffer, (size_t) n) == n ? 0 : -ENOBUFS;
}

static int to_bus(struct relay *relay, int fd) {
        const char *p = relay->buffer;
        int n;

        libxenvchan_wait(relay->vchan); /* takes the event; there is one, so it does not wait */
        n = libxenvchan_read(relay->vchan, relay->buffer, sizeof relay->buffer);
        if (n < 0)
                return -EPIPE;
        while (n > 0) {
                struct pollfd bus = { .fd = fd, .events = POLLOUT };
                ssize_t k = write(fd, p, (size_t) n);

                if (k < 0 && (errno != EAGAIN || poll(&bus, 1, -1) < 0))
                        return -errno;
                if (k > 0) {
                        p += k;
                        n -= (int) k;
                }
        }
        return 0;
}

static int pass(struct relay *relay) {
        enum { BUS, VCHAN };
        struct pollfd fds[] = {
                [BUS] = { .fd = sd_bus_get_fd(relay->bus), .events = POLLIN },
                [VCHAN] = { .fd = libxenvchan_fd_for_select(relay->vchan), .events = POLLIN },
        };
        int r = 0;

        while (r >= 0) {
                if (poll(fds, 2, -1) < 0)
                        return -errno;
                if (fds[VCHAN].revents)
                        r = to_bus(relay, fds[BUS].fd);
                if (r >= 0 && fds[BUS].revents)
                        r = to_vchan(relay, fds[BUS].fd);
        }
        return r;
}

static int run(struct relay *relay, char **argv) {
        const char *name = argv[5];
        int domain = atoi(argv[2]), r;

        if (strcmp(argv[1], "serve") == 0) {
                relay->vchan = libxenvchan_server_init(NULL, domain, argv[3], RING_SIZE, RING_SIZE);
                r = relay->vchan ? join_as(relay, argv[4], name) : -errno;
        } else {
                relay->vchan = libxenvchan_client_init(NULL, domain, argv[3]);
                r = relay->vchan ? join_and_own(relay, argv[4], name) : -errno;
        }
        if (r < 0)
                return r;
        relay->vchan->blocking = 0;     /* libxenvchan leaves both as malloc() gave them */
        relay->vchan->server_persist = 0;
        puts("ready");
        fflush(stdout);
        return pass(relay);
}

int main(int argc, char **argv) {
        static struct relay relay;
        int r;

        if (argc != 6 || (strcmp(argv[1], "serve") != 0 && strcmp(argv[1], "connect") != 0)) {
                fprintf(stderr, "Usage: %s serve DOMID PATH ADDRESS UNIQUE | connect DOMID PATH ADDRESS NAME\n", PROGRAM);
                return 2;
        }
        r = run(&relay, argv);
        connect_failed(PROGRAM, argv[1], r, NULL);
        return EXIT_FAILURE;
}
