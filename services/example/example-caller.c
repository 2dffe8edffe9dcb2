/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A caller that stays on the bus: for tests, since tasks go with who asked for them.
 *
 *         example-caller ADDRESS
 *
 * Each line "PATH STEPS STEP_MS N" on standard input makes N calls of Count() at once. For each there is a line on standard output: the
 * task's path, or the error's name and message. It ends with its input.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <systemd/sd-bus.h>

#define NAME "org.xen.xcp.example"
#define INTERFACE "org.xen.xcp.example1.Counter"

static unsigned n_waiting;

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        const char *path;

        n_waiting--;
        if (error)
                printf("%s %s\n", error->name, error->message);
        else if (sd_bus_message_read(reply, "o", &path) >= 0)
                printf("%s\n", path);
        return 0;
}

static int count(sd_bus *bus, const char *path, unsigned steps, unsigned step_ms, unsigned n) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < n; i++, n_waiting++)
                r = sd_bus_call_method_async(bus, NULL, NAME, path, INTERFACE, "Count", on_reply, NULL, "uu", steps, step_ms);
        while (r >= 0 && n_waiting > 0) {
                r = sd_bus_process(bus, NULL);
                if (r == 0) {
                        fflush(stdout);
                        r = sd_bus_wait(bus, UINT64_MAX);
                }
        }
        fflush(stdout);
        return r;
}

int main(int argc, char **argv) {
        unsigned steps, step_ms, n;
        char path[256];
        sd_bus *bus;
        int r;

        if (argc != 2 || sd_bus_new(&bus) < 0)
                return 2;
        r = sd_bus_set_address(bus, argv[1]);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        while (r >= 0 && scanf("%255s %u %u %u", path, &steps, &step_ms, &n) == 4)
                r = count(bus, path, steps, step_ms, n);
        if (r < 0)
                fprintf(stderr, "example-caller: %s\n", strerrordesc_np(-r));
        sd_bus_flush_close_unref(bus);
        return r < 0;
}
