/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bridge-client ADDRESS NAME DOMAIN quit|die: calls a bridge-service of another domain over this domain's bus, and checks what it sees.
 *
 * It waits for NAME, which a bridge brings from DOMAIN (any, if that is "-"), has it echo, and passes it the end of a pipe, which must come back in a
 * signal to everybody and still be the end of that pipe. Then it has the service quit, and must be told once that NAME has no owner any
 * more; or die, and must get the error NoReply for the call, and the end of NAME, both at once: within DEATH_SECONDS.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#define INTERFACE "org.example.Test"
#define N_ECHOES 20
#define DEATH_SECONDS 10         /* below the 15 s of a silent link, and far above what emulated processors need */
#define CALL_USEC 100000000       /* the lab emulates every processor, on machines that do other things as well */

struct watched {
        char owner[256];
        unsigned n_gained, n_lost;
};

static int fail(const char *what, int r, const sd_bus_error *error) {
        fprintf(stderr, "bridge-client: %s: %s\n", what, error && error->message ? error->message : strerror(-r));
        return r < 0 ? r : -EPROTO;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct watched *watched = userdata;
        const char *name, *before, *after;
        int r = sd_bus_message_read(m, "sss", &name, &before, &after);

        if (r < 0)
                return r;
        printf("%s: '%s' after '%s'\n", name, after, before);
        if (*after)
                watched->n_gained++;
        else
                watched->n_lost++;
        snprintf(watched->owner, sizeof watched->owner, "%s", after);
        return 0;
}

/* One more message, if there is one before the deadline. */
static int take_message(sd_bus *bus) {
        int r = sd_bus_process(bus, NULL);

        if (r == 0)
                r = sd_bus_wait(bus, CALL_USEC);
        return r == 0 ? -ETIMEDOUT : r;
}

static int watch_name(sd_bus *bus, const char *name, struct watched *watched) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        char match[512];
        const char *owner;
        int r;

        snprintf(match, sizeof match, "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'", name);
        r = sd_bus_add_match(bus, NULL, match, on_owner_changed, watched);
        if (r < 0)
                return fail("AddMatch", r, NULL);
        r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", NULL, &reply,
                               "s", name);
        if (r >= 0 && sd_bus_message_read(reply, "s", &owner) >= 0)
                snprintf(watched->owner, sizeof watched->owner, "%s", owner);
        while (!*watched->owner) {
                r = take_message(bus);
                if (r < 0)
                        return fail("the name does not come", r, NULL);
        }
        return 0;
}

static int echo(sd_bus *bus, const char *name, unsigned number) {
        __attribute__((cleanup(sd_bus_error_free))) sd_bus_error error = SD_BUS_ERROR_NULL;
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        char text[64];
        const char *same;
        int r;

        snprintf(text, sizeof text, "number %u", number);
        r = sd_bus_call_method(bus, name, "/", INTERFACE, "Echo", &error, &reply, "s", text);
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &same);
        if (r < 0)
                return fail("Echo", r, &error);
        return strcmp(same, text) == 0 ? 0 : fail("Echo returns something else", -EPROTO, NULL);
}

static int on_told(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        int *told = userdata, fd, r;

        r = sd_bus_message_read(m, "h", &fd);
        if (r >= 0 && *told < 0)
                *told = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return r < 0 ? r : 0;
}

/* What there is to read until the end, which is expected to be this. */
static int read_all(int fd, const char *expected) {
        struct pollfd readable = { .fd = fd, .events = POLLIN };
        char text[64];
        size_t n = 0;
        ssize_t length;

        for (; n < sizeof text; n += (size_t) length) {
                if (poll(&readable, 1, CALL_USEC / 1000) <= 0)
                        return fail("nothing comes out of the pipe", -ETIMEDOUT, NULL);
                length = read(fd, text + n, sizeof text - n);
                if (length < 0)
                        return fail("the pipe", -errno, NULL);
                if (length == 0)
                        break;
        }
        return n == strlen(expected) && memcmp(text, expected, n) == 0 ? 0 : fail("something else comes out of the pipe", -EPROTO, NULL);
}

static int await_told(sd_bus *bus, const char *name, int fd, int *told) {
        __attribute__((cleanup(sd_bus_error_free))) sd_bus_error error = SD_BUS_ERROR_NULL;
        __attribute__((cleanup(sd_bus_slot_unrefp))) sd_bus_slot *slot = NULL;
        char match[512];
        int r;

        snprintf(match, sizeof match, "type='signal',sender='%s',member='Told'", name);
        r = sd_bus_add_match(bus, &slot, match, on_told, told);
        if (r >= 0)
                r = sd_bus_call_method(bus, name, "/", INTERFACE, "Tell", &error, NULL, "h", fd);
        if (r < 0)
                return fail("Tell", r, &error);
        while (*told < 0) {
                r = take_message(bus);
                if (r < 0)
                        return fail("the signal does not come", r, NULL);
        }
        return 0;
}

static int pass_pipe(sd_bus *bus, const char *name) {
        static const char text[] = "through two domains and back";
        int ends[2], told = -1, r;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return fail("pipe", -errno, NULL);
        r = await_told(bus, name, ends[0], &told);
        close(ends[0]);
        if (r >= 0 && write(ends[1], text, strlen(text)) != (ssize_t) strlen(text))
                r = fail("write", -EIO, NULL);
        close(ends[1]);
        if (r >= 0)
                r = read_all(told, text);
        if (told >= 0)
                close(told);
        return r;
}

static int check_domain(sd_bus *bus, const char *name, const char *domain) {
        __attribute__((cleanup(sd_bus_error_free))) sd_bus_error error = SD_BUS_ERROR_NULL;
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        unsigned found;
        int r;

        if (strcmp(domain, "-") == 0)
                return 0;
        r = sd_bus_call_method(bus, "org.xen.xcp.bridge", "/org/xen/xcp/bridge", "org.xen.xcp.bridge1.Manager", "GetServiceDomain", &error,
                               &reply, "s", name);
        if (r >= 0)
                r = sd_bus_message_read(reply, "u", &found);
        if (r < 0)
                return fail("GetServiceDomain", r, &error);
        return found == strtoul(domain, NULL, 10) ? 0 : fail("GetServiceDomain says another domain", -EPROTO, NULL);
}

/* The name has lost its owner, once, and nobody has it now. */
static int await_end(sd_bus *bus, struct watched *watched) {
        int r;

        while (watched->n_lost == 0) {
                r = take_message(bus);
                if (r < 0)
                        return fail("the name does not go", r, NULL);
        }
        /* What the bus has sent before the answer to this is there when that is. */
        r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", NULL, NULL, "");
        while (r >= 0 && (r = sd_bus_process(bus, NULL)) > 0)
                ;
        if (r < 0)
                return fail("the bus", r, NULL);
        return watched->n_lost == 1 && !*watched->owner ? 0 : fail("the name has changed hands more than once", -EPROTO, NULL);
}

static int end_service(sd_bus *bus, const char *name, bool dies, struct watched *watched) {
        __attribute__((cleanup(sd_bus_error_free))) sd_bus_error error = SD_BUS_ERROR_NULL;
        time_t began = time(NULL);
        int r;

        if (dies)
                r = sd_bus_call_method(bus, name, "/", INTERFACE, "Die", &error, NULL, "");
        else                            /* without a callback it wants no reply: this is about the end of the name */
                r = sd_bus_call_method_async(bus, NULL, name, "/", INTERFACE, "Quit", NULL, NULL, "");
        if (!dies && r < 0)
                return fail("Quit", r, NULL);
        if (dies && !sd_bus_error_has_name(&error, SD_BUS_ERROR_NO_REPLY))
                return fail("Die: not NoReply", r, &error);
        r = await_end(bus, watched);
        if (r < 0)
                return r;
        if (dies)
                printf("%s\n", error.message);
        return !dies || time(NULL) - began <= DEATH_SECONDS ? 0 : fail("it took too long", -ETIMEDOUT, NULL);
}

static int check(sd_bus *bus, char **argv) {
        struct watched watched = {};
        int r = sd_bus_set_address(bus, argv[1]);

        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                return fail(argv[1], r, NULL);
        r = watch_name(bus, argv[2], &watched);
        if (r >= 0)
                r = check_domain(bus, argv[2], argv[3]);
        for (unsigned i = 0; i < N_ECHOES && r >= 0; i++)
                r = echo(bus, argv[2], i);
        if (r >= 0)
                r = pass_pipe(bus, argv[2]);
        return r < 0 ? r : end_service(bus, argv[2], strcmp(argv[4], "die") == 0, &watched);
}

int main(int argc, char **argv) {
        __attribute__((cleanup(sd_bus_flush_close_unrefp))) sd_bus *bus = NULL;

        setlinebuf(stdout);
        if (argc != 5 || (strcmp(argv[4], "quit") != 0 && strcmp(argv[4], "die") != 0)) {
                fprintf(stderr, "usage: bridge-client ADDRESS NAME DOMAIN quit|die\n");
                return 2;
        }
        if (sd_bus_new(&bus) < 0)
                return 1;
        return check(bus, argv) < 0;
}
