/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A service and a client for the tests of a bus: bus-peer ADDRESS COMMAND.
 *
 *   serve NAME         owns NAME, prints "serving" and answers for ever. Object /test:
 *                      interface org.xen.xcp.test1: Echo(ay) -> ay, ReadFd(h) -> s, Pid() -> u, Environment(s) -> s, Shout(),
 *                      signal Heard(s)
 *                      interface org.xen.xcp.test1.Admin: Reset()
 *   own NAME           tries to own NAME and prints the answer: "owner", or the error's name
 *   call NAME INTERFACE MEMBER
 *                      calls a method of /test without arguments and prints "done", or the error's name; INTERFACE - is none
 *   matches N          adds N match rules and prints how many were taken, and the error's name
 *   names PREFIX N     the same with names
 *   connections N      the same with connections
 *   calls NAME N       N calls of Pid at once without waiting, prints how many answers and how many errors came
 *   echo NAME BYTES    sends so many bytes to be echoed, and prints "same" if they are
 *   fd NAME            passes a pipe with "through a pipe" in it, and prints what the service has read
 *   hear NAME          prints the argument of the first Heard signal of NAME
 *
 * Every answer is a line on standard output; the exit status is 0 whenever there was one.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define PATH "/test"
#define INTERFACE "org.xen.xcp.test1"

static void fail(const char *what, int r) {
        fprintf(stderr, "bus-peer: %s: %s\n", what, strerror(-r));
        exit(1);
}

static int try_connect(const char *address, sd_bus **ret_bus) {
        int r;

        r = sd_bus_new(ret_bus);
        if (r >= 0)
                r = sd_bus_set_address(*ret_bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(*ret_bus, 1);
        if (r >= 0)
                r = sd_bus_negotiate_fds(*ret_bus, 1);
        if (r >= 0)
                r = sd_bus_start(*ret_bus);
        if (r >= 0)     /* waits for Hello */
                r = sd_bus_get_unique_name(*ret_bus, &(const char *) { NULL });
        return r;
}

static sd_bus *connect_bus(const char *address) {
        sd_bus *bus;
        int r = try_connect(address, &bus);

        if (r < 0)
                fail("cannot connect", r);
        return bus;
}

static int on_echo(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        sd_bus_message *reply;
        const void *data;
        size_t n;
        int r;

        r = sd_bus_message_read_array(m, 'y', &data, &n);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_append_array(reply, 'y', data, n);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

static int on_read_fd(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        char text[256];
        ssize_t n;
        int r, fd;

        r = sd_bus_message_read(m, "h", &fd);
        if (r < 0)
                return r;
        n = read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = '\0';
        return sd_bus_reply_method_return(m, "s", text);
}

static int on_pid(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "u", getpid());
}

static int on_environment(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *value;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        value = getenv(name);
        return sd_bus_reply_method_return(m, "s", value ? value : "");
}

static int on_shout(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        int r;

        r = sd_bus_emit_signal(sd_bus_message_get_bus(m), PATH, INTERFACE, "Heard", "s", "a shout");
        return r < 0 ? r : sd_bus_reply_method_return(m, "");
}

static int on_reset(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Echo", "ay", "ay", on_echo, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ReadFd", "h", "s", on_read_fd, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Pid", "", "u", on_pid, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Environment", "s", "s", on_environment, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Shout", "", "", on_shout, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("Heard", "s", 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable admin_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Reset", "", "", on_reset, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int serve(const char *address, char **argv) {
        sd_bus *bus = connect_bus(address);
        int r;

        r = sd_bus_add_object_vtable(bus, NULL, PATH, INTERFACE, vtable, NULL);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, PATH, INTERFACE ".Admin", admin_vtable, NULL);
        if (r >= 0)
                r = sd_bus_request_name(bus, argv[0], 0);
        if (r < 0)
                fail(argv[0], r);
        puts("serving");
        fflush(stdout);
        while ((r = sd_bus_process(bus, NULL)) >= 0)
                if (r == 0)
                        sd_bus_wait(bus, UINT64_MAX);
        return 0;
}

/* Calls a method of the bus itself. Returns whether it did what was asked; *ret_error has the error's name if not. */
static int call_driver(sd_bus *bus, const char *member, const char *types, const char *text, char **ret_error) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        /* The 0 is for the u of "su", and not looked at otherwise. */
        r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", member, &error, NULL, types,
                               text, 0);
        *ret_error = r < 0 ? strdup(error.name ? error.name : strerror(-r)) : NULL;
        sd_bus_error_free(&error);
        return r >= 0;
}

static int own(const char *address, char **argv) {
        char *error;

        puts(call_driver(connect_bus(address), "RequestName", "su", argv[0], &error) ? "owner" : error);
        return 0;
}

static int call(const char *address, char **argv) {
        const char *interface = strcmp(argv[1], "-") == 0 ? NULL : argv[1];
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_call_method(connect_bus(address), argv[0], PATH, interface, argv[2], &error, NULL, "");
        puts(r >= 0 ? "done" : error.name ? error.name : strerror(-r));
        return 0;
}

static int matches(const char *address, char **argv) {
        sd_bus *bus = connect_bus(address);
        char rule[64], *error = NULL;
        unsigned i, n = strtoul(argv[0], NULL, 10);

        for (i = 0; i < n; i++) {
                snprintf(rule, sizeof rule, "type='signal',member='Member%u'", i);
                if (!call_driver(bus, "AddMatch", "s", rule, &error))
                        break;
        }
        printf("%u %s\n", i, error ? error : "");
        return 0;
}

static int names(const char *address, char **argv) {
        sd_bus *bus = connect_bus(address);
        char name[256], *error = NULL;
        unsigned i, n = strtoul(argv[1], NULL, 10);

        for (i = 0; i < n; i++) {
                snprintf(name, sizeof name, "%s.n%u", argv[0], i);
                if (!call_driver(bus, "RequestName", "su", name, &error))
                        break;
        }
        printf("%u %s\n", i, error ? error : "");
        return 0;
}

static int connections(const char *address, char **argv) {
        unsigned i, n = strtoul(argv[0], NULL, 10);
        int r = 0;

        for (i = 0; i < n; i++) {
                sd_bus *bus;

                r = try_connect(address, &bus);
                if (r < 0)
                        break;
        }
        printf("%u %s\n", i, r < 0 ? strerror(-r) : "");
        return 0;
}

static unsigned n_answers, n_errors;

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_error(m, NULL))
                n_errors++;
        else
                n_answers++;
        return 0;
}

static int calls(const char *address, char **argv) {
        sd_bus *bus = connect_bus(address);
        unsigned n = strtoul(argv[1], NULL, 10);
        int r = 0;

        for (unsigned i = 0; i < n && r >= 0; i++)
                r = sd_bus_call_method_async(bus, NULL, argv[0], PATH, INTERFACE, "Pid", on_answer, NULL, "");
        while (r >= 0 && n_answers + n_errors < n) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        }
        if (r < 0)
                fail("calls", r);
        printf("%u answers, %u errors\n", n_answers, n_errors);
        return 0;
}

static int echo(const char *address, char **argv) {
        size_t n = strtoul(argv[1], NULL, 10), n_back;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus *bus = connect_bus(address);
        sd_bus_message *call, *reply;
        const void *back;
        char *data;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, argv[0], PATH, INTERFACE, "Echo");
        if (r >= 0)
                r = sd_bus_message_append_array_space(call, 'y', n, (void **) &data);
        if (r < 0)
                fail("echo", r);
        for (size_t i = 0; i < n; i++)
                data[i] = i * 7 + i / 251;
        r = sd_bus_call(bus, call, 0, &error, &reply);
        if (r >= 0)
                r = sd_bus_message_read_array(reply, 'y', &back, &n_back);
        if (r < 0)
                puts(error.name ? error.name : strerror(-r));
        else
                puts(n_back == n && memcmp(back, data, n) == 0 ? "same" : "different");
        return 0;
}

static int pass_fd(const char *address, char **argv) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus *bus = connect_bus(address);
        sd_bus_message *reply;
        const char *text;
        int r, fds[2];

        if (pipe(fds) < 0 || write(fds[1], "through a pipe", 14) != 14)
                fail("pipe", -errno);
        r = sd_bus_call_method(bus, argv[0], PATH, INTERFACE, "ReadFd", &error, &reply, "h", fds[0]);
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &text);
        puts(r >= 0 ? text : error.name ? error.name : strerror(-r));
        return 0;
}

static int on_heard(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *text = "";

        (void) sd_bus_message_read(m, "s", &text);
        puts(text);
        exit(0);
}

static int hear(const char *address, char **argv) {
        sd_bus *bus = connect_bus(address);
        int r;

        r = sd_bus_match_signal(bus, NULL, argv[0], PATH, INTERFACE, "Heard", on_heard, NULL);
        if (r < 0)
                fail("hear", r);
        puts("listening");
        fflush(stdout);
        while ((r = sd_bus_process(bus, NULL)) >= 0)
                if (r == 0)
                        sd_bus_wait(bus, UINT64_MAX);
        return 1;
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                int n_arguments;
                int (*run)(const char *address, char **argv);
        } commands[] = {
                { "serve", 1, serve }, { "own", 1, own },     { "call", 3, call },
                { "matches", 1, matches }, { "names", 2, names }, { "connections", 1, connections },
                { "calls", 2, calls }, { "echo", 2, echo },   { "fd", 1, pass_fd },      { "hear", 1, hear },
        };

        for (size_t i = 0; argc > 2 && i < sizeof commands / sizeof commands[0]; i++)
                if (strcmp(commands[i].name, argv[2]) == 0 && argc == 3 + commands[i].n_arguments)
                        return commands[i].run(argv[1], argv + 3);
        fputs("bus-peer: wrong arguments; see its source\n", stderr);
        return 2;
}
