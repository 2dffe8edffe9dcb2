/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * event-channel: events between two domains, through libxenevtchn.
 *
 *     event-channel answer DOMID           prints a port for DOMID, and answers every event on it with one
 *     event-channel ignore DOMID           prints a port for DOMID, and takes no event from it: a receiver that is busy
 *     event-channel trip DOMID PORT        rounds: an event there, an event back
 *     event-channel send DOMID PORT        rounds: an event there
 *
 * With --poll it waits as an event loop does, in poll(2) for the handle's descriptor, and else in xenevtchn_pending().
 */

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenevtchn.h>

#include "rounds.h"

#define PROGRAM "event-channel"

struct channel {
        xenevtchn_handle *handle;
        evtchn_port_t port;
        bool poll;
};

/* Waits for an event and takes it. Returns 0, or a negative errno. */
static int channel_take(const struct channel *channel) {
        struct pollfd p = { .events = POLLIN };
        xenevtchn_port_or_error_t port;

        if (channel->poll) {
                p.fd = xenevtchn_fd(channel->handle);
                if (poll(&p, 1, -1) < 0)
                        return -errno;
        }
        port = xenevtchn_pending(channel->handle);
        if (port < 0 || xenevtchn_unmask(channel->handle, port) < 0)
                return -errno;
        return 0;
}

static int channel_send(void *userdata, uint64_t n) {
        const struct channel *channel = userdata;

        for (; n > 0; n--)
                if (xenevtchn_notify(channel->handle, channel->port) < 0)
                        return -errno;
        return 0;
}

static int channel_trip(void *userdata, uint64_t n) {
        int r = 0;

        for (; r == 0 && n > 0; n--) {
                r = channel_send(userdata, 1);
                if (r == 0)
                        r = channel_take(userdata);
        }
        return r;
}

/* Offers a port. Returns 0 or an exit status. */
static int channel_offer(struct channel *channel, int domid) {
        xenevtchn_port_or_error_t port = xenevtchn_bind_unbound_port(channel->handle, domid);

        if (port < 0)
                return rounds_fail(PROGRAM, "cannot offer a port");
        channel->port = port;
        printf("port %d\n", port);
        fflush(stdout);
        return 0;
}

static int answer(struct channel *channel, int domid) {
        int r = channel_offer(channel, domid);

        if (r != 0)
                return r;
        for (;;)
                if (channel_take(channel) < 0 || channel_send(channel, 1) < 0)
                        return rounds_fail(PROGRAM, "cannot answer an event");
}

static int ignore(struct channel *channel, int domid) {
        int r = channel_offer(channel, domid);

        if (r == 0)
                rounds_await_end();
        return r;
}

static int measure(struct channel *channel, int domid, evtchn_port_t remote, int (*operate)(void *userdata, uint64_t n)) {
        xenevtchn_port_or_error_t port = xenevtchn_bind_interdomain(channel->handle, domid, remote);

        if (port < 0)
                return rounds_fail(PROGRAM, "cannot bind to the port");
        channel->port = port;
        if (channel_take(channel) < 0) /* the one that binding sends to the side that binds */
                return rounds_fail(PROGRAM, "cannot take the first event");
        return rounds_serve(PROGRAM, operate, channel);
}

int main(int argc, char **argv) {
        static const struct option options[] = { { "poll", no_argument, NULL, 'p' }, { 0 } };
        struct channel channel = {};
        const char *role;
        int c, domid;

        while ((c = getopt_long(argc, argv, "", options, NULL)) == 'p')
                channel.poll = true;
        argc -= optind;
        argv += optind;
        if (c == '?' || argc < 2) {
                fprintf(stderr, "usage: event-channel [--poll] answer|ignore DOMID | trip|send DOMID PORT\n");
                return 2;
        }
        role = argv[0];
        domid = atoi(argv[1]);

        channel.handle = xenevtchn_open(NULL, 0);
        if (!channel.handle)
                return rounds_fail(PROGRAM, "cannot open event channels");

        if (argc == 2 && strcmp(role, "answer") == 0)
                return answer(&channel, domid);
        if (argc == 2 && strcmp(role, "ignore") == 0)
                return ignore(&channel, domid);
        if (argc == 3 && strcmp(role, "trip") == 0)
                return measure(&channel, domid, atoi(argv[2]), channel_trip);
        if (argc == 3 && strcmp(role, "send") == 0)
                return measure(&channel, domid, atoi(argv[2]), channel_send);
        fprintf(stderr, "event-channel: what is '%s' with %d arguments?\n", role, argc - 1);
        return 2;
}
