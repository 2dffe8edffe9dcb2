/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "connect.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int connect_failed(const char *program, const char *what, int r, const sd_bus_error *error) {
        fprintf(stderr, "%s: %s: %s\n", program, what, error && error->message ? error->message : strerror(-r));
        return r;
}

int connect_bus(const char *program, const char *address, sd_bus **ret_bus) {
        __attribute__((cleanup(sd_bus_unrefp))) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                return connect_failed(program, address, r, NULL);
        *ret_bus = bus;
        bus = NULL;
        return 0;
}
