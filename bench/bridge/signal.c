/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Rounds (rounds.h) of signals, one after another: bench-signal EMITTER SUBSCRIBERS N NAME, two addresses of buses.
 *
 * It owns NAME on the bus at EMITTER, and has N connections to the one at SUBSCRIBERS that want NAME's signals. A round of K sends K
 * signals, each when all N have got the one before.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>

#include "bus/connect.h"
#include "rounds.h"

#define PROGRAM "bench-signal"
#define PATH "/org/xen/xcp/bench"
#define INTERFACE "org.xen.xcp.bench1.Signal"
#define N_SUBSCRIBERS_MAX 1000

struct subscriber {
        sd_bus *bus;
        uint64_t n_heard;
};

struct measurement {
        sd_bus *emitter;
        struct subscriber *subscribers;
        size_t n_subscribers;
        uint64_t n_sent;
};

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct subscriber *subscriber = userdata;

        subscriber->n_heard++;
        return 0;
}

/* Until it has heard all that was sent. */
static int subscriber_await(struct subscriber *subscriber, uint64_t n) {
        int r;

        while (subscriber->n_heard < n) {
                r = sd_bus_process(subscriber->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(subscriber->bus, UINT64_MAX);
                if (r < 0)
                        return r;
        }
        return subscriber->n_heard == n ? 0 : -EPROTO;
}

static int send_many(void *userdata, uint64_t n) {
        struct measurement *measurement = userdata;
        int r;

        while (n-- > 0) {
                r = sd_bus_emit_signal(measurement->emitter, PATH, INTERFACE, "Happened", "t", measurement->n_sent);
                if (r >= 0)
                        r = sd_bus_flush(measurement->emitter);
                if (r < 0)
                        return r;
                measurement->n_sent++;
                for (size_t i = 0; i < measurement->n_subscribers; i++) {
                        r = subscriber_await(&measurement->subscribers[i], measurement->n_sent);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int subscriber_open(struct subscriber *subscriber, const char *address, const char *name) {
        int r;

        r = connect_bus(PROGRAM, address, &subscriber->bus);
        if (r < 0)
                return r;
        r = sd_bus_match_signal(subscriber->bus, NULL, name, PATH, INTERFACE, NULL, on_signal, subscriber);
        return r < 0 ? connect_failed(PROGRAM, "AddMatch", r, NULL) : 0;
}

static int measurement_open(struct measurement *measurement, char **argv) {
        int r;

        r = connect_bus(PROGRAM, argv[1], &measurement->emitter);
        if (r < 0)
                return r;
        r = sd_bus_request_name(measurement->emitter, argv[4], 0);
        if (r < 0)
                return connect_failed(PROGRAM, argv[4], r, NULL);
        for (size_t i = 0; i < measurement->n_subscribers; i++) {
                r = subscriber_open(&measurement->subscribers[i], argv[2], argv[4]);
                if (r < 0)
                        return r;
        }
        return 0;
}

int main(int argc, char **argv) {
        struct measurement measurement = {};
        int status = EXIT_FAILURE;

        if (argc == 5)
                measurement.n_subscribers = strtoul(argv[3], NULL, 10);
        if (measurement.n_subscribers < 1 || measurement.n_subscribers > N_SUBSCRIBERS_MAX) {
                fprintf(stderr, "Usage: %s EMITTER SUBSCRIBERS N NAME\n", PROGRAM);
                return 2;
        }
        measurement.subscribers = calloc(measurement.n_subscribers, sizeof *measurement.subscribers);
        if (measurement.subscribers && measurement_open(&measurement, argv) >= 0)
                status = rounds_serve(PROGRAM, send_many, &measurement);
        for (size_t i = 0; measurement.subscribers && i < measurement.n_subscribers; i++)
                sd_bus_flush_close_unref(measurement.subscribers[i].bus);
        free(measurement.subscribers);
        sd_bus_flush_close_unref(measurement.emitter);
        return status;
}
