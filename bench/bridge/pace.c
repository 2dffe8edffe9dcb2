/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A call to each of many services in turn, so many a second whatever the answers do: bench-pace ADDRESS RATE SECONDS NAME...
 *
 * Prints "sent N answered N failed N median MICROSECONDS p99 MICROSECONDS max MICROSECONDS" when all calls have ended.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bus/connect.h"

#define PROGRAM "bench-pace"
#define N_CALLS_MAX 1000000

struct pace {
        sd_bus *bus;
        uint64_t *latencies;            /* microseconds, of the calls that were answered */
        unsigned n_calls, n_sent, n_answered, n_failed;
};

struct call {
        struct pace *pace;
        uint64_t began;
};

static uint64_t now_usec(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct call *call = userdata;
        struct pace *pace = call->pace;

        if (sd_bus_message_is_method_error(m, NULL)) {
                if (pace->n_failed++ == 0)
                        fprintf(stderr, "%s: %s\n", PROGRAM, sd_bus_message_get_error(m)->message);
        } else
                pace->latencies[pace->n_answered++] = now_usec() - call->began;
        return 0;
}

static int send_call(struct pace *pace, const char *name) {
        __attribute__((cleanup(sd_bus_slot_unrefp))) sd_bus_slot *slot = NULL;
        struct call *call = malloc(sizeof *call);
        int r;

        if (!call)
                return -ENOMEM;
        *call = (struct call) { .pace = pace, .began = now_usec() };
        r = sd_bus_call_method_async(pace->bus, &slot, name, "/", "org.freedesktop.DBus.Peer", "Ping", on_answer, call, NULL);
        if (r < 0) {
                free(call);
                return r;
        }
        sd_bus_slot_set_destroy_callback(slot, free);
        sd_bus_slot_set_floating(slot, true);
        pace->n_sent++;
        return 0;
}

/* Sends when it is time, and takes answers until there is one for each. */
static int pace_run(struct pace *pace, unsigned rate, char **names, unsigned n_names) {
        uint64_t began = now_usec(), due, now;
        int r;

        while (pace->n_answered + pace->n_failed < pace->n_calls) {
                now = now_usec();
                due = began + (uint64_t) pace->n_sent * 1000000 / rate;
                if (pace->n_sent < pace->n_calls && now >= due) {
                        r = send_call(pace, names[pace->n_sent % n_names]);
                        if (r < 0)
                                return r;
                        continue;
                }
                r = sd_bus_process(pace->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(pace->bus, pace->n_sent < pace->n_calls ? due - now : UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        return r;
        }
        return 0;
}

static int compare(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return (x > y) - (x < y);
}

static void pace_print(struct pace *pace) {
        uint64_t *latencies = pace->latencies;
        unsigned n = pace->n_answered;

        qsort(latencies, n, sizeof *latencies, compare);
        printf("sent %u answered %u failed %u median %" PRIu64 " p99 %" PRIu64 " max %" PRIu64 "\n", pace->n_sent, n, pace->n_failed,
               n > 0 ? latencies[n / 2] : 0, n > 0 ? latencies[n * 99 / 100] : 0, n > 0 ? latencies[n - 1] : 0);
}

int main(int argc, char **argv) {
        struct pace pace = {};
        unsigned long rate = 0, seconds = 0;
        int r;

        if (argc >= 5) {
                rate = strtoul(argv[2], NULL, 10);
                seconds = strtoul(argv[3], NULL, 10);
        }
        if (rate < 1 || seconds < 1 || rate > N_CALLS_MAX || seconds > N_CALLS_MAX / rate) {
                fprintf(stderr, "Usage: %s ADDRESS RATE SECONDS NAME...\n", PROGRAM);
                return 2;
        }
        pace.n_calls = (unsigned) (rate * seconds);
        pace.latencies = calloc(pace.n_calls, sizeof *pace.latencies);
        if (!pace.latencies)
                return EXIT_FAILURE;
        r = connect_bus(PROGRAM, argv[1], &pace.bus);
        if (r >= 0) {
                r = pace_run(&pace, (unsigned) rate, argv + 4, (unsigned) argc - 4);
                if (r < 0)
                        connect_failed(PROGRAM, argv[1], r, NULL);
        }
        if (r >= 0)
                pace_print(&pace);
        sd_bus_flush_close_unref(pace.bus);
        free(pace.latencies);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
