/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * eventfd: what the kernel has in place of event channels, a pair of eventfds between two processes.
 *
 *     eventfd trip CPU         rounds: a signal to a process on CPU, and one back
 *     eventfd send CPU         rounds: a signal to a process that takes none
 *
 * With --poll it waits in poll(2), and else in read(2).
 */

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "rounds.h"

#define PROGRAM "eventfd"

struct pair {
        int send;
        int receive;
        bool poll;
};

static int pair_take(const struct pair *pair) {
        struct pollfd p = { .fd = pair->receive, .events = POLLIN };
        uint64_t value;

        if (pair->poll && poll(&p, 1, -1) < 0)
                return -errno;
        return read(pair->receive, &value, sizeof value) == sizeof value ? 0 : -errno;
}

static int pair_send(void *userdata, uint64_t n) {
        const struct pair *pair = userdata;
        const uint64_t one = 1;

        for (; n > 0; n--)
                if (write(pair->send, &one, sizeof one) != sizeof one)
                        return -errno;
        return 0;
}

static int pair_trip(void *userdata, uint64_t n) {
        int r = 0;

        for (; r == 0 && n > 0; n--) {
                r = pair_send(userdata, 1);
                if (r == 0)
                        r = pair_take(userdata);
        }
        return r;
}

static int answer(const struct pair *pair) {
        struct pair reversed = { .send = pair->receive, .receive = pair->send, .poll = pair->poll };

        for (;;)
                if (pair_take(&reversed) < 0 || pair_send(&reversed, 1) < 0)
                        return rounds_fail(PROGRAM, "cannot answer");
}

int main(int argc, char **argv) {
        static const struct option options[] = { { "poll", no_argument, NULL, 'p' }, { 0 } };
        struct pair pair = { .send = eventfd(0, EFD_CLOEXEC), .receive = eventfd(0, EFD_CLOEXEC) };
        bool trip;
        pid_t pid;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) == 'p')
                pair.poll = true;
        argc -= optind;
        argv += optind;
        if (c == '?' || argc != 2) {
                fprintf(stderr, "usage: eventfd [--poll] trip|send CPU\n");
                return 2;
        }
        if (pair.send < 0 || pair.receive < 0)
                return rounds_fail(PROGRAM, "cannot make an eventfd");

        trip = strcmp(argv[0], "trip") == 0;
        pid = rounds_fork(atoi(argv[1]));
        if (pid < 0)
                return rounds_fail(PROGRAM, "cannot fork");
        if (pid == 0 && trip)
                return answer(&pair);
        if (pid == 0)
                return pause();
        return rounds_serve(PROGRAM, trip ? pair_trip : pair_send, &pair);
}
