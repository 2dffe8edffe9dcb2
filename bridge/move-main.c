/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * xcp-move: moves a service on one bus, for tests. It does what MoveService() does, and stops where it is told to:
 *
 *     xcp-move NAME [STEP [elsewhere]]
 *
 * elsewhere: the old one is in another domain, as one that cannot be reached may be alive.
 * It prints each step as it begins it. At STEP it waits for a line on standard input first: go, or cancel. The last line is
 *
 *     moved PAUSE_US WAITING_CALLS EPOCH      or      failed ERROR SENTENCE
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"
#include "move.h"

struct mover {
        sd_event *event;
        struct move *move;
        const char *stop;
        bool is_elsewhere;
};

static void on_step(enum move_step step, void *userdata) {
        struct mover *mover = userdata;
        char line[16] = "";

        printf("step %s\n", move_step_name(step));
        fflush(stdout);
        if (!mover->stop || strcmp(mover->stop, move_step_name(step)) != 0)
                return;
        if (fgets(line, sizeof line, stdin) && strcmp(line, "cancel\n") == 0 && move_cancel(mover->move) < 0)
                puts("too late");
}

static void on_end(int r, struct idl_error *error, const struct move_result *result, void *userdata) {
        struct mover *mover = userdata;

        if (r < 0)
                printf("failed %s %s\n", error->name ? error->name : "?", error->message ? error->message : "");
        else
                printf("moved %llu %u %llu\n", (unsigned long long) result->pause_usec, result->waiting_calls, (unsigned long long) result->epoch);
        fflush(stdout);
        sd_event_exit(mover->event, r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static const struct move_listener listener = { on_step, on_end };

static int run(struct mover *mover, const char *name) {
        const struct move_options options = { .name = name, .may_start = true, .old_is_here = !mover->is_elsewhere };
        AUTO(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        const char *address = getenv("XCP_BUS_ADDRESS");
        int r;

        r = sd_event_new(&mover->event);
        if (r >= 0)
                r = sd_bus_new(&bus);
        if (r >= 0)
                r = address ? sd_bus_set_address(bus, address) : -EDESTADDRREQ;
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, mover->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = move_start(&mover->move, bus, mover->event, &options, &listener, mover);
        if (r >= 0)
                r = sd_event_loop(mover->event);
        move_free(mover->move);
        if (bus)
                sd_bus_detach_event(bus);
        sd_event_unref(mover->event);
        return r;
}

int main(int argc, char **argv) {
        struct mover mover = { .stop = argc > 2 ? argv[2] : NULL, .is_elsewhere = argc > 3 };
        int r;

        if (argc < 2) {
                fputs("Usage: xcp-move NAME [STEP [elsewhere]]; $XCP_BUS_ADDRESS is the bus\n", stderr);
                return 2;
        }
        log_open("xcp-move");
        r = run(&mover, argv[1]);
        if (r < 0)
                fprintf(stderr, "xcp-move: %s\n", strerrordesc_np(-r));
        return r < 0 ? EXIT_FAILURE : r;
}
