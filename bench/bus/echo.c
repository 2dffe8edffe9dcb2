/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-event.h>

#include "connect.h"

int echo_main(const char *program, const char *name, int (*export)(sd_bus *bus), int argc, char **argv) {
        __attribute__((cleanup(sd_event_unrefp))) sd_event *event = NULL;
        __attribute__((cleanup(sd_bus_unrefp))) sd_bus *bus = NULL;
        int r;

        if (argc < 2 || argc > 3) {
                fprintf(stderr, "Usage: %s ADDRESS [NAME]\n", program);
                return 2;
        }
        if (argc == 3)
                name = argv[2];
        r = connect_bus(program, argv[1], &bus);
        if (r < 0)
                return EXIT_FAILURE;
        r = sd_event_new(&event);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = export(bus);
        if (r >= 0)
                r = sd_bus_request_name(bus, name, 0);
        if (r >= 0) {
                puts("ready");
                fflush(stdout);
                r = sd_event_loop(event);
        }
        if (r < 0)
                connect_failed(program, name, r, NULL);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
