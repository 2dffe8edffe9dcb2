/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bridge-service ADDRESS NAME [PID]: a D-Bus service for those who call it from another domain. It has the methods Echo (a string, which it
 * returns), Tell (a descriptor, which it sends to everybody in the signal Told before it answers), Quit (it answers, and ends) and Die (it
 * kills the process PID, its domain's bridge, and does not answer).
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

static int on_echo(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *text;
        int r = sd_bus_message_read(m, "s", &text);

        return r < 0 ? r : sd_bus_reply_method_return(m, "s", text);
}

static int on_tell(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        int fd, r;

        r = sd_bus_message_read(m, "h", &fd);
        if (r >= 0)
                r = sd_bus_emit_signal(sd_bus_message_get_bus(m), "/", "org.example.Test", "Told", "h", fd);
        return r < 0 ? r : sd_bus_reply_method_return(m, "");
}

static int on_quit(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        sd_bus *bus = sd_bus_message_get_bus(m);
        int r = sd_bus_reply_method_return(m, "");

        if (r >= 0)                     /* dbus-daemon drops what it has not handled yet when a connection closes: when it answers, it has */
                r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", NULL, NULL, "");
        if (r >= 0)
                r = sd_event_exit(sd_bus_get_event(bus), 0);
        return r < 0 ? r : 1;           /* 0 would say that somebody else may answer */
}

static int on_die(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        pid_t *bridge = userdata;

        if (*bridge <= 0 || kill(*bridge, SIGKILL) < 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_FAILED, "cannot kill %d", (int) *bridge);
        return 1;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Echo", "s", "s", on_echo, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Tell", "h", "", on_tell, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("Told", "h", 0),
        SD_BUS_METHOD("Quit", "", "", on_quit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Die", "", "", on_die, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static int serve(sd_bus *bus, sd_event *event, const char *address, const char *name, pid_t *bridge) {
        int r = sd_bus_set_address(bus, address);

        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, "/", "org.example.Test", vtable, bridge);
        if (r >= 0)
                r = sd_bus_request_name(bus, name, 0);
        return r < 0 ? r : sd_event_loop(event);
}

int main(int argc, char **argv) {
        __attribute__((cleanup(sd_event_unrefp))) sd_event *event = NULL;
        __attribute__((cleanup(sd_bus_flush_close_unrefp))) sd_bus *bus = NULL;
        pid_t bridge;
        int r;

        if (argc < 3 || argc > 4) {
                fprintf(stderr, "usage: bridge-service ADDRESS NAME [PID]\n");
                return 2;
        }
        bridge = argc == 4 ? (pid_t) strtol(argv[3], NULL, 10) : 0;
        r = sd_event_new(&event);
        if (r >= 0)
                r = sd_bus_new(&bus);
        if (r >= 0)
                r = serve(bus, event, argv[1], argv[2], &bridge);
        if (r < 0)
                fprintf(stderr, "bridge-service: %s at %s: %s\n", argv[2], argv[1], strerror(-r));
        return r < 0;
}
